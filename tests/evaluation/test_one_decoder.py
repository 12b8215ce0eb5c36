"""The split on which is chosen and the one that is reported are decoded in one way."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dr_ovo.errors import UserError
from dr_ovo.grading.grader import Grader
from dr_ovo.grading.workload import own_test
from dr_ovo.predictions.predictions_file import load_predictions
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.model_results import read_results
from tests.fixtures.sealed import edit

HERE = ("--device", "cpu", "--num_workers", 0)
LEARNING = ("--epochs", 2, "--warmup_epochs", 0, "--learning_rate", "1e-2")


@pytest.fixture(scope="module")
def evaluated(small, tiny_dataset, trainer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that is evaluated by coupling; read only."""
    folder = tmp_path_factory.mktemp("one_decoder") / "out"
    data = ("--dataset_path", tiny_dataset, "--output_dir", folder)
    assert trainer(*small, *data, *LEARNING).code == 0
    assert trainer("--mode", "evaluate", *data, *HERE).code == 0
    return folder


@pytest.fixture
def folder(evaluated, tmp_path) -> Path:
    return Path(shutil.copytree(evaluated, tmp_path / "out"))


@pytest.fixture
def evaluate(trainer, tiny_dataset, folder):
    def run(*flags: object):
        data = ("--dataset_path", tiny_dataset, "--output_dir", folder)
        return trainer("--mode", "evaluate", *data, *HERE, *flags)

    return run


def decoder_of(folder: Path, split: str) -> str:
    return load_predictions(folder / f"predictions_{split}.npz").decoder


def test_test_by_the_decoder_before_is_stale(folder, evaluate):
    calibration = (folder / "calibration.json").read_bytes()
    outcome = evaluate("--splits", "val", "--decoder", "vote")
    assert outcome.code == 0, outcome.stderr
    assert (folder / "calibration.json").read_bytes() == calibration
    assert "evaluation.json is stale" in outcome.stderr
    assert (decoder_of(folder, "val"), decoder_of(folder, "test")) == ("vote", "coupling")
    with pytest.raises(UserError, match=r"is of the decoder vote .* of the decoder coupling"):
        read_results(folder, "x")
    rules = Grader.load(folder, device="cpu").rules
    assert "is of the decoder vote" in own_test(ResultsFolder(folder), rules)["reason"]
    again = evaluate("--splits", "test", "--decoder", "vote")
    assert again.code == 0, again.stderr
    assert read_results(folder, "x").verified
    assert "no_person" in own_test(ResultsFolder(folder), rules)
    assert "is stale" not in evaluate("--splits", "val", "--decoder", "vote").stderr


def test_test_is_decoded_as_val_was(folder, evaluate, contents):
    before = contents(folder)
    refused = evaluate("--splits", "test", "--decoder", "vote")
    assert refused.code == 2
    assert "was evaluated with --decoder coupling --prior_correction false" in refused.stderr
    assert "Give the same options, or evaluate both splits" in refused.stderr
    assert contents(folder) == before
    both = evaluate("--decoder", "vote")
    assert both.code == 0, both.stderr
    assert "is stale" not in both.stderr
    assert read_results(folder, "x").verified


def test_an_evaluation_of_an_earlier_version_names_no_decoder(folder, evaluate):
    for name in ("evaluation.json", "evaluation_val.json"):
        edit(folder / name, lambda content: content.pop("decoder"))
    assert read_results(folder, "x").verified
    assert evaluate("--splits", "test", "--decoder", "vote").code == 0
