"""The CSV that inference writes can be read as labels, whatever the photographs are called."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

from dr_ovo.commands.prepare import main
from dr_ovo.errors import run
from dr_ovo.grading.reading import Reading
from dr_ovo.grading.row_files import Row, photograph_cells, write_rows
from dr_ovo.grading.rules import Rules
from dr_ovo.predictions.verdict import Verdict
from tests.conftest import drawn_eye

NAMES = ["=1+1", "+a", "-b", "@c", "'=d", "plain"]


def test_names_that_a_spreadsheet_would_run(tmp_path, capsys):
    images = tmp_path / "images"
    images.mkdir()
    paths = [Path(f"{name}_{number}.png") for name in NAMES for number in range(3)]
    for number, path in enumerate(paths):
        eye = drawn_eye(number % 5, np.random.default_rng(number))
        cv2.imwrite(str(images / path), eye)
    grades = [str(number % 5) for number in range(len(paths))]
    labels = tmp_path / "labels.csv"
    rules = Rules(tuple("01234"), None, "not evaluated", 0.9, "0" * 64, 1, ())
    why = ("a reason; and another, by the points",)
    readings = [
        Reading(str(Verdict.PERSON), why, True, int(grade), grade, (0.2,) * 5) for grade in grades
    ]
    found = [Row(path, one, "2026-01-01") for path, one in zip(paths, readings, strict=True)]
    write_rows(labels, (photograph_cells(row, "", "", rules) for row in found))
    with labels.open(newline="") as file:
        written = [row["file"] for row in csv.DictReader(file)]
    assert written[0] == "'=1+1_0.png"
    assert written[-1] == "plain_2.png"
    words = ["--labels", str(labels), "--images", str(images), "--output", str(tmp_path / "out")]
    code = run(lambda: main([*words, "--dry_run"], "prepare_dataset.py"))
    out, errors = capsys.readouterr()
    assert (code, errors) == (0, "")
    assert str(len(paths)) in out
