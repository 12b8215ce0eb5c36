"""pyproject.toml is the one place for versions, and the package holds all that it needs."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import dr_ovo
from dr_ovo.__main__ import COMMANDS
from dr_ovo.training.writing import versions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def listed(name: str) -> list[Requirement]:
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-r ")]


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("requirements.txt", PROJECT["dependencies"]),
        ("requirements-dev.txt", PROJECT["optional-dependencies"]["dev"]),
    ],
)
def test_the_requirements_files_repeat_the_project(name, declared):
    assert listed(name) == [Requirement(line) for line in declared]


def test_the_dev_requirements_begin_with_the_others():
    assert "-r requirements.txt" in (ROOT / "requirements-dev.txt").read_text().splitlines()


def test_torch_for_a_v100_is_inside_the_project_s_ranges():
    script = (ROOT / "scripts" / "environment.sh").read_text()
    for name in ("torch", "torchvision"):
        (installed,) = re.findall(rf"'({name}>=[^']*)'", script)
        (ours,) = [one for one in listed("requirements.txt") if one.name == name]
        low, high = re.findall(r"\d+\.\d+", str(Requirement(installed).specifier))[::-1]
        assert ours.specifier.contains(low)
        assert f"<{high}" in str(ours.specifier)


def test_the_assets_are_package_data():
    folder = resources.files("dr_ovo.document").joinpath("html")
    assert all(folder.joinpath(f"page.{suffix}").is_file() for suffix in ("html", "css", "js"))
    criteria = resources.files("dr_ovo.reports.criteria").joinpath("default_criteria.toml")
    assert criteria.is_file()
    recipes = resources.files("dr_ovo.settings").joinpath("recipes")
    assert {file.name for file in recipes.iterdir()} == {"guide.toml", "recommended.toml"}
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "package-data"
    ]
    for package, patterns in data.items():
        for pattern in patterns:
            folder = ROOT.joinpath(*package.split("."))
            assert any(folder.glob(pattern)), f"{package}: {pattern}"


def test_the_package_has_the_version_that_the_project_takes():
    assert re.fullmatch(r"\d+\.\d+\.\d+", dr_ovo.__version__)
    assert PROJECT["dynamic"] == ["version"]


def test_every_command_has_its_module():
    here = resources.files("dr_ovo.commands")
    for module, _ in COMMANDS.values():
        assert here.joinpath(*module.split(".")[:-1], f"{module.split('.')[-1]}.py").is_file()


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    done = subprocess.run(
        ["git", "-C", folder, *identity, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_commit_is_that_of_our_checkout_and_of_no_other(tmp_path, monkeypatch):
    """A virtual environment inside the user's own repository is not a checkout of this package."""
    package = tmp_path / "site-packages" / "dr_ovo"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (tmp_path / "notes.txt").write_text("the user's own")
    monkeypatch.setattr(dr_ovo, "__file__", str(package / "__init__.py"))
    assert versions.git_commit() is None
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "notes.txt")
    git(tmp_path, "commit", "--quiet", "-m", "notes")
    assert versions.git_commit() is None
    git(tmp_path, "add", "site-packages")
    git(tmp_path, "commit", "--quiet", "-m", "package")
    assert versions.git_commit() == git(tmp_path, "rev-parse", "HEAD")
