"""The command itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.commands import Command

ROOT = Path(__file__).parents[3]


def test_the_command(tmp_path: Path, save: Callable[..., Path], command: Command) -> None:
    save(tmp_path / "results folder")
    (tmp_path / "results folder/models/broken.pth").touch()
    words = ("--model", "results*/models/*", "--output", "report.json")
    done = command("reports.analyze", *words, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "broken.pth: empty: 0 bytes" in done.stdout
    said = " ".join(done.stdout.split())
    assert "at the epoch that was kept; where val chose that epoch, they are too good." in said
    assert json.loads((tmp_path / "report.json").read_text())["models"]
    words = ("--model", "nowhere", "results folder/models/broken.pth")
    failed = command("reports.analyze", *words, folder=tmp_path)
    assert failed.returncode == 2
    assert "nowhere" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.slow
def test_the_analyzer_needs_neither_timm_nor_torchvision() -> None:
    code = (
        "import sys; sys.modules.update(timm=None, torchvision=None, matplotlib=None)\n"
        "import dr_ovo.reports.checkpoints.analyzer, dr_ovo.reports.evaluation_table"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 0
