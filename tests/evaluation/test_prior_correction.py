"""`--prior_correction` of what is evaluated together: the mean of models, and several decoders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from dr_ovo.decoding.decoders import DECODERS, Fitted, decode
from dr_ovo.distributed.launch import Launch
from dr_ovo.evaluation.evaluation import evaluate
from dr_ovo.evaluation.external.external_predictions import can_any_be_corrected, is_corrected
from dr_ovo.inference.ensemble import Ensemble
from dr_ovo.predictions.metrics import accuracy
from dr_ovo.predictions.predictions_file import load_predictions
from dr_ovo.settings.command_line import parse_settings
from tests.fixtures.sealed import edit

NAMES = ("test_efficientnet", "test_resnet")
HERE = ("--device", "cpu", "--num_workers", 0)


@pytest.fixture(scope="module")
def train(trainer, tiny_dataset):
    """Trains small networks with class weights below a folder."""

    def into(folder: Path, *flags: object) -> None:
        outcome = trainer(
            "--img_size", 32, *HERE, "--no-pretrained", "--dataset_path", tiny_dataset,
            "--output_dir", folder, "--epochs", 2, "--warmup_epochs", 0, "--learning_rate", "1e-2",
            "--class_weights", 1, 2, 4, 8, 16, *flags,
        )  # fmt: skip
        assert outcome.code == 0, outcome.stderr

    return into


@pytest.fixture(scope="module")
def corrected(train, tmp_path_factory) -> Path:
    """Two networks that were trained with --prior_correction; read only."""
    folder = tmp_path_factory.mktemp("corrected") / "out"
    train(folder, "--base_models", *NAMES, "--head", "softmax", "--prior_correction")
    return folder


def evaluation(folder: Path, data: Path, *names: str) -> tuple[object, ...]:
    """The flags that evaluate these networks."""
    flags = ("--base_models", *names, "--output_dir", folder, "--dataset_path", data)
    return ("--mode", "evaluate", *flags, *HERE)


def own(folder: Path, name: str) -> Path:
    return folder / f"{name}_5class_results"


def test_the_mean_is_corrected_as_its_members_were_trained(
    corrected, trainer, tiny_dataset, tmp_path
):
    folder = Path(shutil.copytree(corrected, tmp_path / "out"))
    outcome = trainer(*evaluation(folder, tiny_dataset, *NAMES))
    assert outcome.code == 0, outcome.stderr
    for root in (*(own(folder, name) for name in NAMES), folder / "ensemble"):
        assert json.loads((root / "evaluation.json").read_text())["prior_corrected"] is True
    inference = ("--mode", "inference", "--base_models", *NAMES, "--output_dir", folder, *HERE)
    graded = trainer(*inference, "--input", tiny_dataset / "test")
    assert graded.code == 0, graded.stderr
    assert "No operating points" not in graded.stderr


def test_models_that_are_corrected_otherwise_have_no_mean(
    corrected, train, trainer, tiny_dataset, contents, tmp_path
):
    folder = Path(shutil.copytree(corrected, tmp_path / "out"))
    shutil.rmtree(own(folder, NAMES[1]))
    train(own(folder, NAMES[1]), "--base_models", NAMES[1], "--head", "softmax")
    before = contents(folder)
    outcome = trainer(*evaluation(folder, tiny_dataset, *NAMES))
    assert outcome.code == 2
    assert f"is on for {own(folder, NAMES[0])} and off for {own(folder, NAMES[1])}" in (
        outcome.stderr
    )
    assert contents(folder) == before
    for flag, expected in (("--prior_correction", True), ("--no-prior_correction", False)):
        outcome = trainer(*evaluation(folder, tiny_dataset, *NAMES), flag)
        assert outcome.code == 0, outcome.stderr
        report = json.loads((folder / "ensemble" / "evaluation.json").read_text())
        assert report["prior_corrected"] is expected


def test_every_decoder_is_compared_on_corrected_logits(train, tiny_dataset, tmp_path):
    folder = own(tmp_path, NAMES[0])
    train(folder, "--base_models", NAMES[0], "--epochs", 20)  # else it has one answer for all
    words = evaluation(folder, tiny_dataset, NAMES[0])
    settings = parse_settings([str(word) for word in (*words, "--prior_correction")])
    (found,) = evaluate(settings, Launch(None))
    test = load_predictions(folder / "predictions_test.npz")
    (path,) = (folder / "models").glob("*.json")
    meta = json.loads(path.read_text())
    pair_accuracy = np.array([row["val_accuracy"] for row in meta["metrics"]["pairs"]])
    shifts = (None, tuple(meta["prior_shift"]))
    raw, expected = (
        {
            name: accuracy(
                test.targets,
                decode("ovo", test.logits, 5, name, pair_accuracy, Fitted(prior_shift=shift))[0],
            )
            for name in DECODERS
        }
        for shift in shifts
    )
    assert {name: row["accuracy"] for name, row in found.decoders.items()} == expected != raw
    assert found.decoders["coupling"]["accuracy"] == found.report["accuracy"]["value"]


def test_nothing_is_corrected_of_a_number(train, trainer, tiny_dataset, tmp_path):
    folder = own(tmp_path, NAMES[0])
    train(folder, "--base_models", NAMES[0], "--head", "regression", "--prior_correction")
    words = evaluation(folder, tiny_dataset, NAMES[0])
    for flags in ((), ("--prior_correction",), ("--splits", "test")):
        outcome = trainer(*words, *flags)
        assert outcome.code == 0, outcome.stderr
        assert f"--prior_correction does nothing for {folder}" in outcome.stderr
        report = json.loads((folder / "evaluation.json").read_text())
        assert report["prior_corrected"] is False
    outcome = trainer(*words, "--no-prior_correction")
    assert "does nothing" not in outcome.stderr
    # What an earlier version recorded is no other calibration.
    edit(folder / "evaluation_val.json", lambda content: content.update(prior_corrected=True))
    assert trainer(*words, "--splits", "test").code == 0
    inference = ("--mode", "inference", "--output_dir", folder, "--prior_correction", *HERE)
    graded = trainer(*inference, "--input", tiny_dataset / "test")
    assert graded.code == 0, graded.stderr
    assert "does nothing" in graded.stderr
    assert "No operating points" not in graded.stderr


def test_a_number_has_a_mean_with_what_is_corrected(
    corrected, train, trainer, tiny_dataset, tmp_path
):
    folder = Path(shutil.copytree(corrected, tmp_path / "out"))
    shutil.rmtree(own(folder, NAMES[1]))
    train(own(folder, NAMES[1]), "--base_models", NAMES[1], "--head", "regression")
    outcome = trainer(*evaluation(folder, tiny_dataset, *NAMES))
    assert outcome.code == 0, outcome.stderr
    report = json.loads((folder / "ensemble" / "evaluation.json").read_text())
    assert report["prior_corrected"] is True
    inference = ("--mode", "inference", "--base_models", *NAMES, "--output_dir", folder, *HERE)
    graded = trainer(*inference, "--input", tiny_dataset / "test")
    assert graded.code == 0, graded.stderr
    assert "No operating points" not in graded.stderr
    assert "averaged as they are" not in graded.stderr


def test_a_mean_with_a_number_is_corrected_as_the_others_are():
    """Of a head that answers with a number nothing can be corrected."""

    def ensemble(*heads: str) -> Ensemble:
        models = [SimpleNamespace(meta={"head": head}) for head in heads]
        shifts = [None if head == "regression" else np.zeros(1) for head in heads]
        fitted = [Fitted(prior_shift=shift) for shift in shifts]
        return cast(Ensemble, SimpleNamespace(models=models, fitted=fitted))

    for heads in (("softmax", "regression"), ("regression", "softmax")):
        assert is_corrected(ensemble(*heads))
        assert can_any_be_corrected(ensemble(*heads))
    assert not can_any_be_corrected(ensemble("regression"))
