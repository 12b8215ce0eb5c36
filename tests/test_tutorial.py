"""The commands of docs/tutorial.md, each after the other, in an empty folder."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.test_commands import ROOT, commands_in, parses, python

TUTORIAL = ROOT / "docs" / "tutorial.md"
TRAINER = "ensemble_5class_trainer.py"


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory):
    """The folder in which all of them were run, on the CPU."""
    folder = tmp_path_factory.mktemp("tutorial")
    for command in commands_in(TUTORIAL):
        words = shlex.split(command)
        assert words[0] == "python"
        on_cpu = TRAINER in words or "predict.py" in words
        flags = ["--device", "cpu", "--num_workers", "0"] if on_cpu else []
        ended = python([*words[1:], *flags], folder)
        assert ended.code == 0, ended.said
    return folder


@pytest.mark.parametrize("command", commands_in(TUTORIAL))
def test_a_command_has_its_flags(command, tmp_path):
    assert parses(shlex.split(command), tmp_path).code == 0


@pytest.mark.slow
def test_it_leads_to_a_reading(walked):
    summary = json.loads((walked / "reading" / "summary.json").read_text())
    assert summary["marks"] == ["SYNTHETIC"]
    assert sum(summary["counts"]["patients"].values()) == 14
    assert summary["first_reader"]["eyes"] == summary["own_test"]["eyes"] == 28
    page = (walked / "reading" / "sheet.html").read_text()
    assert "SYNTHETIC" in page
    assert "Of 1,000 eyes" in page


@pytest.mark.slow
def test_it_leads_to_a_report(walked):
    page = (walked / "report.html").read_text()
    assert "How much work does it save?" in page
    assert "Train on photographs" in page


@pytest.mark.slow
def test_it_leads_to_a_card(walked):
    card = (walked / "card" / "card.md").read_text()
    assert "model-index" in card
    assert "SYNTHETIC" in card
    assert "[to be answered]" in card


@pytest.mark.slow
def test_what_it_names_is_there(walked):
    text = TUTORIAL.read_text()
    for name in ("sheet.html", "photographs.csv", "eyes.csv", "patients.csv"):
        assert name in text
        assert (walked / "reading" / name).is_file()
