"""The networks that grade, decoded as they were evaluated."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from dr_ovo.commands.predict import main
from dr_ovo.decoding.decoders import decode
from dr_ovo.decoding.heads import HEADS
from dr_ovo.errors import run
from dr_ovo.files import write_json
from dr_ovo.grading.grader import Grader
from dr_ovo.grading.models import words_for
from dr_ovo.predictions.predictions_file import load_predictions
from dr_ovo.settings.command_line import parse_settings

HERE = ("--device", "cpu", "--num_workers", 0)
OF_HEADS = [(name, decoder) for name, head in HEADS.items() for decoder in head.decoders]


@pytest.mark.parametrize(("head", "decoder"), OF_HEADS)
def test_every_decoder_of_a_head_is_asked_for_again(head, decoder, tmp_path):
    write_json(tmp_path / "evaluation_val.json", {"head": head, "decoder": decoder})
    settings = parse_settings(words_for(tmp_path), "predict.py")
    assert "decoder" in settings.given()
    assert HEADS[head].decoder(settings.config.decoder) == decoder


@pytest.mark.parametrize("report", [None, {"head": "ensemble", "decoder": "mean"}, {}])
def test_an_evaluation_that_names_no_decoder_of_a_model(report, tmp_path):
    if report is not None:
        write_json(tmp_path / "evaluation_val.json", report)
    assert words_for(tmp_path) == ["--mode", "inference", "--output_dir", str(tmp_path)]


def test_a_reading_decodes_as_the_evaluation_did(words, trainer, tiny_dataset, tmp_path):
    """Not as the network was trained to."""
    folder, output = tmp_path / "net", tmp_path / "reading"
    data = ("--dataset_path", tiny_dataset, "--output_dir", folder)
    trained = trainer(*words, *data, "--head", "softmax", "--decoder", "expected")
    assert trained.code == 0, trained.stderr
    evaluated = trainer("--mode", "evaluate", *data, *HERE, "--decoder", "coupling")
    assert evaluated.code == 0, evaluated.stderr
    test = load_predictions(folder / "predictions_test.npz")
    expected, _ = decode("softmax", test.logits, 5, "expected")
    assert test.predicted.tolist() != expected.tolist()  # else nothing is tested

    flags = ("--models", folder, "--input", tiny_dataset / "test", "--output", output, *HERE)
    assert run(lambda: main([str(flag) for flag in flags], "predict.py")) == 0
    with (output / "photographs.csv").open(newline="") as file:
        rows = {"/".join(Path(row["file"]).parts[-2:]): row for row in csv.DictReader(file)}
    assert [int(rows[name]["grade"]) for name in test.sample_ids] == test.predicted.tolist()
    assert Grader.load(folder, device="cpu").ensemble.decoders == ["coupling"]
