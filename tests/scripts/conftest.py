"""Stubs for Python that record their calls, and copies of the scripts."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BASH = shutil.which("bash") or "bash"
SCRIPTS = [
    *(path.name for path in ROOT.glob("train_*.sh")),
    "run_all.sh",
    "quickstart.sh",
    "run_tests.sh",
    ".ci/run",
]


def stub(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{BASH}\n{body}\n")
    path.chmod(0o755)
    return path


def environment(**changes: str | Path) -> dict[str, str]:
    """This process's environment without variables that choose a Python, plus `changes`."""
    choosing = ("PYTHON", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV")
    kept = {name: value for name, value in os.environ.items() if name not in choosing}
    return kept | {name: str(value) for name, value in changes.items()}


@pytest.fixture
def make_stub() -> Callable[[Path, str], Path]:
    """Writes an executable bash script with the given body."""
    return stub


@pytest.fixture
def clean_environment() -> Callable[..., dict[str, str]]:
    """An environment in which only the given variables choose a Python."""
    return environment


@pytest.fixture
def run_script() -> Callable[..., subprocess.CompletedProcess]:
    """Runs a script of the repository, or of `installed`, with arguments and variables."""

    def run(
        script: Path, *arguments: str, cwd: Path, **changes: str | Path
    ) -> subprocess.CompletedProcess:
        return subprocess.run(
            [script, *arguments],
            cwd=cwd,
            env=environment(**changes),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    """A Python that prints its folder, then its arguments, one per line."""
    return stub(tmp_path / "stubs" / "echo", "pwd; printf '%s\\n' \"$@\"")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A copy of the scripts alone, in a folder with a space in its name."""
    folder = tmp_path / "a copy"
    for name in [*SCRIPTS, "pyproject.toml"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    (folder / "dr_ovo").mkdir()
    shutil.copy(ROOT / "dr_ovo" / "torchvision_compat.py", folder / "dr_ovo")
    return folder


@pytest.fixture
def bash() -> Callable[..., subprocess.CompletedProcess]:
    """Runs code after sourcing scripts/environment.sh, as quickstart.sh and run_tests.sh do."""

    def run(code: str, here: Path, **changes: str | Path) -> subprocess.CompletedProcess:
        source = f"here='{here}'\nsource \"$here/scripts/environment.sh\""
        return subprocess.run(
            [BASH, "-c", f"set -euo pipefail\n{source}\n{code}"],
            env=environment(**changes),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.fixture
def environment_stub(tmp_path: Path, installed: Path) -> Path:
    """`.venv` of the copy: its Python appends its calls to `calls`, one per line."""
    site = tmp_path / "site"
    site.mkdir()
    body = (
        f'printf "%s " "$@" >>"{tmp_path}/calls"; echo >>"{tmp_path}/calls"\n'
        f'case "$*" in *purelib*) echo "{site}" ;; *"import torchvision"*) exit 1 ;; esac\n'
        f'[ ! -e "{tmp_path}/broken" ] || case "$*" in *install*) exit 1 ;; esac\n'
        f'[ ! -e "{tmp_path}/untrainable" ] || case "$*" in *"--mode train"*) exit 4 ;; esac'
    )
    stub(installed / ".venv" / "bin" / "python", body)
    return installed


@pytest.fixture
def prepare(bash) -> Callable[..., subprocess.CompletedProcess]:
    """Sets up `.venv` of the given copy."""

    def run(copy: Path, **changes: str | Path) -> subprocess.CompletedProcess:
        return bash('prepare_environment "$here/.venv" ""', copy, **changes)

    return run


@pytest.fixture
def calls(tmp_path: Path) -> Callable[..., list[str]]:
    """The calls of `environment_stub` that contain all given words; clears the record."""

    def read(*words: str) -> list[str]:
        record = tmp_path / "calls"
        lines = record.read_text().splitlines() if record.exists() else []
        record.unlink(missing_ok=True)
        return [line for line in lines if all(word in line for word in words)]

    return read
