"""The commands of docs/data.md are understood, and every public set has a row."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from dr_ovo.prepare.command_line import parse_options
from dr_ovo.prepare.readers.grade_map import scale_of

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "data.md"
SETS = (
    "EyePACS", "EyeQ", "APTOS", "IDRiD", "Messidor-1", "Messidor-2", "DDR", "DeepDRiD", "RFMiD",
    "ODIR", "FGADR", "BRSET", "mBRSET", "GDRBench", "MedMNIST",
)  # fmt: skip
TEXT = DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SETS)
def test_a_public_set_has_a_row(name):
    (row, *_) = [line for line in TEXT.splitlines() if line.startswith(f"| {name}")]
    assert "`python prepare_dataset.py --images" in row or "Can't be read" in row


@pytest.mark.parametrize("command", re.findall(r"`python prepare_dataset\.py ([^`]+)`", TEXT))
def test_a_command_of_the_table_is_understood(command):
    options = parse_options([*shlex.split(command), "--output", "out"])
    scale_of(options.class_names, options.grade_map)
    assert options.labels or options.is_medmnist


@pytest.mark.parametrize("rules", re.findall(r"`--grade_map ([^`]+)`", TEXT))
def test_a_map_in_the_text_is_understood(rules):
    if "LABEL" not in rules:
        scale_of((), rules.split())
