"""Reports on models, classes and photographs with names that programs trip over."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dr_ovo.commands.reports import compare, diversity, ensemble, report, strengths, validate
from dr_ovo.errors import run
from dr_ovo.predictions.predictions_file import load_predictions, save_predictions
from tests.fixtures.slow import slow

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ["$x$ {", "=1+1\x1b[31m", "\u4e2d\u6587", "\u05d0\u202egpj", "a\nb_%\\frac"]
MODELS = ["=cmd|'x'!A1", "$\\alpha_{\x1b[2J", "\u4e2d\u6587"]
SAMPLES = ["=HYPERLINK(1)", "+1-1\tx", "caf\udce9.png", 'a,"b"\r\nc']
FORBIDDEN = ("\x1b", "\r", "\u202e", "\udce9")


@pytest.fixture
def odd_results(results, tmp_path) -> list[str]:
    """Three results folders whose models, classes and photographs have odd names."""
    folders = []
    for folder, name in zip(results("coatnet", "resnet50", "swinv2"), MODELS, strict=True):
        for split in ("val", "test"):
            stored = load_predictions(folder / f"predictions_{split}.npz")
            ids = stored.sample_ids.astype("U40")
            ids[: len(SAMPLES)] = SAMPLES
            odd = replace(stored, sample_ids=ids, class_names=np.array(CLASSES))
            save_predictions(folder / f"predictions_{split}.npz", odd)
        folders.append(str(folder.rename(tmp_path / f"{name}_5class_results")))
    return folders


@pytest.mark.parametrize(
    ("module", "code"),
    [(compare, 0), (validate, 1), *slow((strengths, 0), (diversity, 0), (ensemble, 0))],
)
def test_a_report(module, code, odd_results, tmp_path, capsys):
    words = ["--results_dirs", *odd_results, "--output", str(tmp_path / "out")]
    assert run(lambda: module.main(words, "report")) == code
    out, errors = capsys.readouterr()
    assert errors == ""
    assert not [character for character in FORBIDDEN if character in out]
    for file in (tmp_path / "out").glob("*.json"):
        json.loads(file.read_text(encoding="utf-8"))
    tables = list((tmp_path / "out").glob("*.csv"))
    cells = [
        cell
        for file in tables
        for row in csv.reader(file.open(newline="", encoding="utf-8"))
        for cell in row
    ]
    assert tables
    assert not [cell for cell in cells if cell[:1] in "=+@\t\r" and cell]
    assert module is validate or "'=cmd|'x'!A1" in cells


@pytest.mark.usefixtures("blank_figures")
def test_the_page(odd_results, tmp_path, capsys, reports_here):
    page = tmp_path / "report.html"
    words = ["--results_dirs", odd_results[1], "--output", str(page)]
    assert run(lambda: report.main(words, "report.py")) == 0
    assert capsys.readouterr().err == ""
    text = page.read_text(encoding="utf-8")
    assert "\\x1b[2J" in text
    assert not [character for character in FORBIDDEN if character in text]


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "latin-1"},
        *slow({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    ],
    ids=str,
)
def test_a_terminal_of_another_encoding(variables, results, tmp_path):
    (folder,) = results("coatnet")
    folder = folder.rename(tmp_path / "\u4e2d\u6587_5class_results")
    # Twice in one process: with the results, and with a folder that is not there.
    code = (
        "import runpy, sys\n"
        "script, *folders = sys.argv[1:]\n"
        "for folder in folders:\n"
        "    sys.argv = [script, '--results_dirs', folder]\n"
        "    try: runpy.run_path(script, run_name='__main__')\n"
        "    except SystemExit as end: print('exit', end.code, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, ROOT / "medical_validation.py", folder, "\u4e2d\u6587"],
        cwd=tmp_path, env=os.environ | variables, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    not_met, error, wrong = done.stderr.splitlines()
    assert not_met == b"exit 1"  # the criteria are not met
    assert b"Written to validation" in done.stdout
    assert error.startswith(b"error: ")
    assert wrong == b"exit 2"
