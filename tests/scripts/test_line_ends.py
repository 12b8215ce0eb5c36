"""A clone under core.autocrlf=true, as on Windows, has the same bytes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PICTURE = b"\x89PNG\r\n\x1a\n\x00\n\r\n"
COPIED = [
    ".gitattributes", ".env.example", ".ci/run", "pyproject.toml", "report.py", "README.md",
    "quickstart.sh", "run_all.sh", "run_tests.sh", "train_coatnet.sh", "scripts/environment.sh",
    "scripts/wrapper_settings.sh", "dr_ovo/document/html/page.js",
]  # fmt: skip

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *words: str) -> None:
    named = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *named, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A clone of a repository with some of this one's files and a few of other kinds."""
    origin = tmp_path_factory.mktemp("origin")
    for name in COPIED:
        (origin / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, origin / name)
    for suffix in ("png", "npz", "pth", "jpeg"):
        (origin / f"picture.{suffix}").write_bytes(PICTURE)
        (origin / f"text.{suffix}").write_bytes(b"looks like text\n")
    git(origin, "init", "-q")
    git(origin, "add", "-A")
    git(origin, "commit", "-q", "-m", "files")
    target = tmp_path_factory.mktemp("clone") / "here"
    git(origin, "clone", "-q", "-c", "core.autocrlf=true", str(origin), str(target))
    return target


@pytest.mark.parametrize("name", COPIED)
def test_text_keeps_its_line_ends(name, clone):
    assert b"\r" not in (clone / name).read_bytes()
    assert (clone / name).read_bytes() == (ROOT / name).read_bytes()


def test_scripts_start(clone):
    for name in ("quickstart.sh", "run_all.sh", "train_coatnet.sh"):
        subprocess.run(["bash", "-n", clone / name], check=True)
    assert subprocess.run([clone / "quickstart.sh", "--help"], check=False).returncode == 0


@pytest.mark.parametrize("suffix", ["png", "npz", "pth", "jpeg"])
def test_binary_files_keep_their_bytes(suffix, clone):
    assert (clone / f"picture.{suffix}").read_bytes() == PICTURE
    assert (clone / f"text.{suffix}").read_bytes() == b"looks like text\n"
