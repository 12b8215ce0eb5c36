"""`python -m benchmarks`: its help, its flags, its exit codes, what it writes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as command
from benchmarks.results import NotMeasured, Result
from benchmarks.timing import Spread
from dr_ovo.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def fake(value: float) -> SimpleNamespace:
    """A benchmark module that finds `value`, against a goal of at least 1."""

    def measure(size: str, folder: Path) -> list[Result]:
        assert folder.is_dir()
        return [Result(size, "seconds", Spread(value, value, value), 1.0, at_least=True)]

    return SimpleNamespace(measure=measure, QUICK="quick", FULL="full")


def broken(size: str, folder: Path) -> list[Result]:
    raise MemoryError


def lacking(_size: str, _folder: Path) -> list[Result]:
    raise NotMeasured("no weights")


@pytest.fixture
def modules(monkeypatch) -> dict[str, SimpleNamespace]:
    """Stand-ins for the benchmarks, by name; all meet their goals."""
    found = {f"benchmarks.{name}": fake(2.0) for name in command.BENCHMARKS}
    monkeypatch.setattr(command.importlib, "import_module", found.__getitem__)
    return found


def test_the_help_names_every_file_of_the_folder():
    outcome = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    named = set(re.findall(r"^  (\w+(?:\.\w+)?)  ", outcome.stdout, re.M))
    found = [path for path in (ROOT / "benchmarks").iterdir() if path.name != "__pycache__"]
    there = {path.name for path in found if path.suffix in (".py", ".sh") or path.is_dir()}
    there -= {"__init__.py", "__main__.py", *(f"{name}.py" for name in command.BENCHMARKS)}
    assert named == there | command.BENCHMARKS.keys()


@pytest.mark.parametrize("name", command.BENCHMARKS)
def test_each_benchmark_has_a_file(name):
    assert (ROOT / "benchmarks" / f"{name}.py").is_file()


def test_all_goals_met(modules, tmp_path, capsys):
    file = tmp_path / "results.json"
    assert command.main(["--json", str(file)]) == 0
    rows = json.loads(file.read_text())
    assert [row["name"] for row in rows] == ["full"] * len(modules)
    assert "| `full` | seconds | 2.000 |" in capsys.readouterr().out


def test_a_goal_that_is_missed(modules):
    modules["benchmarks.growth"] = fake(0.5)
    assert command.main(["--quick"]) == 1
    assert command.main(["--quick", "--only", "reports"]) == 0


def test_what_was_measured_outlives_a_crash(modules, tmp_path):
    modules["benchmarks.growth"].measure = broken
    file = tmp_path / "results.json"
    with pytest.raises(MemoryError):
        command.main(["--only", "reports", "growth", "--json", str(file)])
    assert [row["name"] for row in json.loads(file.read_text())] == ["full"]


def test_what_can_not_be_measured_is_left_out(modules, tmp_path, capsys):
    modules["benchmarks.growth"].measure = lacking
    file = tmp_path / "results.json"
    assert command.main(["--only", "growth", "reports", "--quick", "--json", str(file)]) == 0
    assert [row["name"] for row in json.loads(file.read_text())] == ["quick"]
    assert "growth: not measured here: no weights" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--only", "nothing"], ["--threads", "0"]])
def test_wrong_flags(argv):
    with pytest.raises(UserError, match=re.escape(argv[0])):
        command.main(argv)
