"""The command itself, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.fixtures.commands import Command

SCRIPT = Path(__file__).parents[3] / "model_analyzer.py"


def run(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_command(tmp_path: Path, save: Callable[..., Path], command: Command) -> None:
    save(tmp_path / "results folder")
    (tmp_path / "results folder/models/broken.pth").touch()
    done = run("--model", "results*/models/*", "--output", "report.json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "broken.pth: empty: 0 bytes" in done.stdout
    assert json.loads((tmp_path / "report.json").read_text())["models"]
    words = ("--model", "nowhere", "results folder/models/broken.pth")
    failed = command("reports.analyze", *words, folder=tmp_path)
    assert failed.returncode == 2
    assert "nowhere" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_the_analyzer_needs_neither_timm_nor_torchvision() -> None:
    code = (
        "import sys; sys.modules.update(timm=None, torchvision=None, matplotlib=None)\n"
        "import dr_ovo.reports.checkpoints.analyzer, dr_ovo.reports.evaluation_table"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPT.parent, check=False)
    assert done.returncode == 0
