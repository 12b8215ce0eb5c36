"""Networks that give every image the same answer: said while they train, after, and in reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dr_ovo.decoding import expected_grade
from dr_ovo.models.checkpoints.files import save_checkpoint
from dr_ovo.models.network import Branch
from dr_ovo.predictions.predictions_file import load_predictions
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.model_results import read_facts
from tests.fixtures.sealed import seal_again

LAST = ("--epochs", 1, "--warmup_epochs", 0, "--learning_rate", "1e-2")


@pytest.fixture
def train(small, trainer, three_grades):
    def into(folder: Path, *flags: object):
        return trainer(
            *small, "--dataset_path", three_grades, "--num_classes", 3, "--output_dir", folder,
            *LAST, *flags,
        )  # fmt: skip

    return into


@pytest.fixture
def evaluate(trainer, three_grades) -> Callable[..., str]:
    def words(folder: Path, *flags: object) -> str:
        outcome = trainer(
            "--mode", "evaluate", "--dataset_path", three_grades, "--output_dir", folder,
            "--device", "cpu", "--num_workers", 0, *flags,
        )  # fmt: skip
        assert outcome.code == 0, outcome.stderr
        return outcome.stdout + outcome.stderr

    return words


def silence(path: Path) -> None:
    """Makes a checkpoint answer every image alike."""
    change_state(path, lambda state: state["head.weight"].zero_())


def change_state(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Changes weights of a checkpoint in place."""
    content = torch.load(path, weights_only=True)
    state = content.pop("state_dict")
    change(state)
    tensors = {name: one for name, one in content.items() if isinstance(one, torch.Tensor)}
    meta = {name: one for name, one in content.items() if name not in tensors}
    save_checkpoint(path, meta, state, tensors)


def stopped(folder: Path, split: str = "test") -> list[str]:
    return ResultsFolder(folder).read_evaluation(split)["stopped_learning"]


def test_it_is_said_after_the_epoch(train, tmp_path, monkeypatch):
    outcome = train(tmp_path / "learns")
    assert outcome.code == 0, outcome.stderr
    assert "stopped learning" not in outcome.stdout + outcome.stderr
    whole = Branch.features
    monkeypatch.setattr(Branch, "features", lambda self, x: 0 * whole(self, x))
    outcome = train(tmp_path / "stopped")
    assert outcome.code == 0, outcome.stderr
    said = outcome.stdout + outcome.stderr
    assert "branch ovo gives the same output for every val image" in said
    assert "Lower --learning_rate" in said


def test_a_network_of_one_branch(train, evaluate, tmp_path):
    folder = tmp_path / "net_5class_results"
    assert train(folder).code == 0
    assert "Stopped learning" not in evaluate(folder)
    assert stopped(folder) == stopped(folder, "val") == []
    (path,) = (folder / "models").glob("*.pth")
    silence(path)
    words = "Stopped learning (every image gets the same answer): ovo."
    said = evaluate(folder)
    assert f"{folder}, on test: {words} Train again with a lower --learning_rate" in said
    assert said.count(words) == 3  # of val and of test, and with the figures
    assert stopped(folder) == stopped(folder, "val") == ["ovo"]
    assert read_facts(folder, "ovo").stopped == ("ovo",)


@pytest.fixture(scope="module")
def larger(draw_dataset, tmp_path_factory) -> Path:
    """A data set of three grades with as many images as one grade for all is said of."""
    return draw_dataset(tmp_path_factory.mktemp("larger") / "data", grades=3, images=7)


def favour_the_last(folder: Path) -> None:
    """Lets the network of a folder give every image the last of three grades, by a bias."""
    (path,) = (folder / "models").glob("*.pth")
    change_state(path, lambda state: state["head.bias"].copy_(torch.tensor([0.0, 0.0, 30.0])))


def test_one_grade_for_all_is_said_though_logits_differ(train, evaluate, larger, tmp_path):
    folder = tmp_path / "out"
    where = ("--dataset_path", larger)
    assert train(folder, *where, "--allow_leaks").code == 0
    (path,) = (folder / "models").glob("*.pth")
    change_state(path, lambda state: state["head.bias"].copy_(torch.full((3,), 30.0)))
    said = evaluate(folder, *where)
    assert f"{folder}, on test: every image gets grade 2." in said
    assert stopped(folder) == []
    said = evaluate(folder, "--external", larger)
    assert f"{folder / 'external' / 'data'}, on external: every image gets grade 2." in said
    assert said.count("every image gets grade") == 1


def test_one_grade_by_rounding_that_thresholds_divide(
    train, evaluate, larger, tmp_path, monkeypatch
):
    folder = tmp_path / "out"
    where = ("--dataset_path", larger)
    assert train(folder, *where, "--allow_leaks", "--head", "softmax").code == 0
    (path,) = (folder / "models").glob("*.pth")
    change_state(path, lambda state: (state["head.weight"].mul_(0.1), state["head.bias"].zero_()))
    said = evaluate(folder, *where, "--decoder", "expected")
    for split in ("val", "test"):
        assert f"{folder}, on {split}: every image gets grade 1." in said
    monkeypatch.setattr(expected_grade, "MIN_IMAGES", 20)
    said = evaluate(folder, *where, "--decoder", "expected")
    assert len(np.unique(load_predictions(folder / "predictions_val.npz").predicted)) > 1
    assert f"{folder}, on val: every image gets" not in said


def test_one_grade_for_all_of_a_mean(train, evaluate, larger, tmp_path):
    names, where = ("test_efficientnet", "test_resnet"), ("--dataset_path", larger)
    for name in names:
        flags = ("--base_models", name, "--pretrained_path", "", "--no-pretrained")
        folder = tmp_path / f"{name}_3class_results"
        outcome = train(folder, *where, *flags, "--allow_leaks", "--head", "softmax")
        assert outcome.code == 0, outcome.stderr
        favour_the_last(folder)
    said = evaluate(tmp_path, *where, "--base_models", *names, "--num_classes", 3)
    assert f"{tmp_path / 'ensemble'}, on test: every image gets grade 2." in said
    assert said.count("on test: every image gets grade 2.") == 3


def test_one_grade_for_all_of_the_mean_of_folds(train, evaluate, larger, tmp_path):
    folder, folds = tmp_path / "out", ("--folds", 2, "--head", "softmax", "--allow_leaks")
    where = ("--dataset_path", larger)
    assert train(folder, *where, *folds).code == 0
    for number in (1, 2):
        favour_the_last(folder / f"fold_{number}")
        seal_again(folder / f"fold_{number}")
    outcome = train(folder, *where, *folds, "--resume")
    assert outcome.code == 0, outcome.stderr
    assert f"{folder}, on oof: every image gets grade 2." in outcome.stdout + outcome.stderr
    said = evaluate(folder, *where)
    assert f"{folder}, on test: every image gets grade 2." in said
    assert said.count("every image gets grade") == 1


def test_one_pair_of_an_independent_network(train, evaluate, tmp_path):
    folder = tmp_path / "out"
    assert train(folder, "--ovo_mode", "independent").code == 0
    (path,) = (folder / "models").glob("*_0_2.pth")
    silence(path)
    assert "on val: Stopped learning (every image gets the same answer): 0-2." in evaluate(folder)
    assert stopped(folder) == ["0-2"]


def test_a_member_of_folds(train, evaluate, tmp_path):
    folder = tmp_path / "out"
    assert train(folder, "--folds", 2).code == 0
    assert stopped(folder, "oof") == []
    (path,) = (folder / "fold_2" / "models").glob("*.pth")
    silence(path)
    seal_again(folder / "fold_2")  # its state names the checkpoint that training left
    outcome = train(folder, "--folds", 2, "--resume")
    assert outcome.code == 0, outcome.stderr
    assert "fold_2, on " in outcome.stdout + outcome.stderr
    assert stopped(folder, "oof") == ["fold_2"]
    assert read_facts(folder, "ovo").stopped == ("fold_2",)  # test is not evaluated yet
    evaluate(folder)
    assert stopped(folder) == ["fold_2"]
