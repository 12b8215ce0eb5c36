"""A Python without the packages, or with broken ones: one line that says what to do, exit 2."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from dr_ovo import broken_imports
from dr_ovo.__main__ import COMMANDS
from dr_ovo.errors import run
from tests.fixtures.slow import slow

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(path.name for path in ROOT.glob("*.py"))
ANALYZES = ("--model", "x")  # its --help needs no package
WRAPPERS = sorted(path.name for path in ROOT.glob("train_*.sh"))


def quick_or_slow(names: Iterable[str], *quick: str) -> list[Any]:
    """All names, of which those that are not `quick` are marked slow."""
    return [*quick, *slow(*sorted(set(names) - set(quick)))]


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory) -> Path:
    """A Python with its own library alone."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    return folder / "bin" / "python"


def ended(*words: str | Path, **variables: str | Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        list(map(str, words)), cwd=ROOT, env=kept | {n: str(v) for n, v in variables.items()},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert "./quickstart.sh" in line
    assert "`source .venv/bin/activate`" in line
    return line


@pytest.mark.parametrize("script", quick_or_slow(SCRIPTS, "model_analyzer.py", "report.py"))
def test_a_script_outside_the_environment(script, bare_python):
    words = ANALYZES if script == "model_analyzer.py" else ("--help",)
    line = one_line(ended(bare_python, ROOT / script, *words))
    assert line.startswith("error: the package ")
    assert f" is missing from {bare_python}. In {ROOT}, " in line


@pytest.mark.parametrize("command", quick_or_slow(COMMANDS.keys() - {"doctor"}, "analyze", "train"))
def test_a_command_outside_the_environment(command, bare_python):
    words = ANALYZES if command == "analyze" else ("--dataset_path", "x")
    line = one_line(ended(bare_python, "-m", "dr_ovo", command, *words))
    assert " is missing from " in line


def test_the_doctor_says_what_is_missing(bare_python):
    done = ended(bare_python, "-m", "dr_ovo", "doctor")
    assert (done.returncode, done.stderr) == (1, "")
    assert "torch" in done.stdout


@pytest.mark.parametrize("wrapper", quick_or_slow(WRAPPERS, "train_resnet.sh"))
def test_a_wrapper_with_another_python(wrapper, bare_python):
    line = one_line(ended(ROOT / wrapper, PYTHON=bare_python))
    assert re.search(r"package \w+ is missing", line)


def broken(folder: Path, package: str, body: str) -> Path:
    """A folder for PYTHONPATH in which a package fails to load."""
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text(body)
    return folder


@pytest.mark.parametrize(
    ("package", "body", "said"),
    [
        (
            "cv2",
            "raise ImportError('libGL.so.1: cannot open shared object file: No such file')",
            "the package opencv-python-headless can't be loaded by",
        ),
        (
            "numpy",
            "try:\n    raise ImportError('libopenblas.so: not found')\n"
            "except ImportError as cause:\n    raise ImportError('\\n\\nADVICE') from cause",
            "(libopenblas.so: not found)",
        ),
        ("tqdm", "raise OSError('libcudart.so.12: cannot open')", "tqdm can't be loaded by"),
        *slow(
            ("cv2", "import absent_dependency", "the package absent_dependency is missing from"),
            ("cv2", "raise ValueError('numpy.dtype size changed')", "(numpy.dtype size changed)"),
        ),
        ("tqdm", "", "the package tqdm can't be loaded by"),  # too old: it has not what we need
    ],
)
def test_a_package_that_does_not_load(package, body, said, tmp_path):
    path = broken(tmp_path, package, body)
    script = "report.py" if package == "numpy" else "prepare_dataset.py"
    assert said in one_line(ended(sys.executable, script, PYTHONPATH=path))


def test_a_module_of_ours_that_is_missing_is_a_mistake_in_the_code(capsys):
    def command() -> int:
        import dr_ovo.commands.gone  # type: ignore[import-not-found]  # noqa: F401

        return 0

    assert run(command) == 70
    assert "unexpected ModuleNotFoundError" in capsys.readouterr().err


def test_an_unknown_name_that_our_code_imports_is_a_mistake_in_the_code(tmp_path, monkeypatch):
    module = tmp_path / "ours.py"
    module.write_text("import nunpy\n")
    monkeypatch.setattr(broken_imports, "PACKAGE", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError) as error:
        __import__("ours")
    error.value.__traceback__ = error.value.__traceback__.tb_next
    assert broken_imports.explain(error.value) is None


def test_an_error_of_a_package_at_work_is_no_broken_import():
    with pytest.raises(ValueError, match="Expecting") as error:
        json.loads("{")
    assert broken_imports.explain(error.value) is None


def test_every_required_package_is_known_by_its_name():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {Requirement(line).name for line in project["dependencies"]}
    assert required <= set(broken_imports.REQUIRED.values())


def test_an_old_python(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 18))
    assert run(lambda: 0) == 2
    assert "is Python 3.9; 3.10 or newer is needed" in capsys.readouterr().err
