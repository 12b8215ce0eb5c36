"""The mean of several networks: used later as it was evaluated, or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from dr_ovo.evaluation.external.external_predictions import decoder_of
from dr_ovo.evaluation.external.metrics.class_map import class_map
from dr_ovo.evaluation.external.own_test import own_test
from dr_ovo.inference.ensemble import open_ensemble
from dr_ovo.settings.command_line import parse_settings
from tests.fixtures.sealed import edit

NAMES = ("test_efficientnet", "test_resnet")
HERE = ("--device", "cpu", "--num_workers", 0)
EXPECTED = ("--decoder", "expected")


@pytest.fixture(scope="module")
def trained(trainer, tiny_dataset, tmp_path_factory) -> Path:
    """Two networks with a softmax head, not evaluated; read only."""
    root = tmp_path_factory.mktemp("trained") / "out"
    outcome = trainer(
        "--base_models", *NAMES, "--img_size", 32, *HERE, "--no-pretrained", "--head", "softmax",
        "--dataset_path", tiny_dataset, "--output_dir", root, "--epochs", 2, "--warmup_epochs", 0,
        "--learning_rate", "1e-2",
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    return root


@pytest.fixture
def models(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "models"))


@pytest.fixture
def evaluate(trainer, tiny_dataset, models):
    def run(*flags: object):
        both = ("--base_models", *NAMES, "--output_dir", models)
        return trainer("--mode", "evaluate", "--dataset_path", tiny_dataset, *both, *HERE, *flags)

    return run


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, draw_dataset) -> Path:
    """Other photographs, of the same grades; read only."""
    return draw_dataset(tmp_path_factory.mktemp("elsewhere") / "elsewhere", height=80)


@pytest.mark.parametrize(
    ("before", "now", "named"),
    [(EXPECTED, (), "--decoder expected"), ((), EXPECTED, "--decoder coupling")],
)
def test_another_data_set_is_graded_as_the_own_test(
    before, now, named, evaluate, models, elsewhere
):
    assert evaluate(*before).code == 0
    refused = evaluate("--external", elsewhere, *now)
    assert refused.code == 2
    assert f"{models / 'ensemble'} was evaluated with {named}, and its" in refused.stderr
    assert not (models / "ensemble" / "external").exists()
    same = evaluate("--external", elsewhere, *before)
    assert same.code == 0, same.stderr
    file = models / "ensemble" / "external" / "elsewhere" / "evaluation_external.json"
    assert json.loads(file.read_text())["own_test"]["n"] == 15


def test_the_own_test_of_other_grades_is_not_compared(evaluate, models):
    assert evaluate().code == 0
    words = ("--mode", "evaluate", "--base_models", *NAMES, "--output_dir", models, *HERE)
    settings = parse_settings([str(word) for word in words])
    ensemble = open_ensemble(settings, torch.device("cpu"))
    classes = class_map(ensemble.class_names, settings.config.grade_map)
    own, source = own_test(ensemble, classes, decoder_of(ensemble, settings.config))
    assert not isinstance(own, str)
    assert list(source) == ["own_test"]
    path = models / "ensemble" / "evaluation.json"
    edit(path, lambda content: content.update(grade_from="expected"))
    own, source = own_test(ensemble, classes, "mean")
    assert own == f"test in {path.parent} was evaluated with grades by expected: evaluate it: " + (
        "--mode evaluate"
    )
    edit(path, lambda content: content.pop("grade_from"))  # earlier versions don't say
    assert not isinstance(own_test(ensemble, classes, "mean")[0], str)


def test_a_mean_that_is_stale_is_evaluated_as_a_whole(evaluate, models):
    assert evaluate().code == 0
    again = evaluate("--splits", "val", *EXPECTED)
    assert again.code == 0, again.stderr
    (said,) = (line for line in again.stderr.splitlines() if "ensemble/evaluation.json is" in line)
    assert said.endswith("decoded alike: --mode evaluate")
