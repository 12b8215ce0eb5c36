"""`--feature_views`: heads on kept features of a frozen backbone."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dr_ovo.batches.features.frozen_features import FrozenFeatures
from dr_ovo.errors import UserError
from dr_ovo.settings.command_line import parse_settings
from dr_ovo.training import pipeline
from dr_ovo.training.writing.run_writer import RunWriter
from tests.fixtures.sealed import seal_again
from tests.fixtures.slow import slow

FROZEN = ("--freeze_stages", 4, "--learning_rate", "0.02", "--warmup_epochs", 0)


@pytest.fixture(scope="module")
def train(small, three_grades, trainer) -> Callable[..., Any]:
    """Trains heads on features of two views, in three epochs, on three grades."""

    def run(folder: Path, *words: object, cache: str = "auto", code: int = 0) -> Any:
        outcome = trainer(
            *small, *FROZEN, "--dataset_path", three_grades, "--num_classes", 3, "--epochs", 3,
            "--keep_epoch", "last", "--feature_views", 2, "--cache", cache,
            "--cache_dir", folder.parent / "cache", "--output_dir", folder, *words,
        )  # fmt: skip
        assert outcome.code == code, outcome.stderr
        return outcome

    return run


@pytest.fixture
def computed(monkeypatch) -> list[int]:
    """The number of images of each pass through the backbone for features."""
    counts: list[int] = []
    whole = FrozenFeatures._features

    def count(self: FrozenFeatures, *given: Any) -> Any:
        counts.append(len(given[2]))
        return whole(self, *given)

    monkeypatch.setattr(FrozenFeatures, "_features", count)
    return counts


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found = {}
    for path in sorted(folder.glob("models/*.pth")):
        state = torch.load(path, weights_only=True)["state_dict"]
        found |= {f"{path.name} {name}": value for name, value in state.items()}
    assert found
    return found


def same(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


def history(folder: Path, column: str) -> list[float]:
    with (folder / "history.csv").open(newline="") as file:
        return [float(row[column]) for row in csv.DictReader(file)]


def stop_inside(patch: pytest.MonkeyPatch) -> None:
    """Has the run stop inside its second epoch, after the first state that is kept there."""
    keep = RunWriter.keep_within

    def keep_and_stop(writer: RunWriter, epoch: int, seconds: float) -> None:
        keep(writer, epoch, seconds)
        if epoch == 2:
            raise KeyboardInterrupt

    patch.setattr(RunWriter, "keep_within", keep_and_stop)


def stop(patch: pytest.MonkeyPatch, after: int) -> None:
    """Has the run stop after so many epochs."""
    keep = RunWriter.keep_epoch

    def keep_and_stop(writer: RunWriter, epoch: int, results: list) -> None:
        keep(writer, epoch, results)
        if epoch == after:
            raise KeyboardInterrupt

    patch.setattr(RunWriter, "keep_epoch", keep_and_stop)


@pytest.mark.parametrize("kind", ["", *slow("--ovo_mode independent", "--head softmax")])
def test_a_second_run_computes_nothing_and_has_the_same_bits(kind, train, computed, tmp_path):
    train(tmp_path / "one", *kind.split())
    # 12 images of train under two views, and as they are; 12 of val.
    assert sum(computed) == 12 * 3 + 12
    assert set(computed) == {1}
    computed.clear()
    again = train(tmp_path / "two", *kind.split())
    assert "48 of them there" in again.stdout
    assert computed == []
    assert same(tmp_path / "one", tmp_path / "two")
    train(tmp_path / "three", *kind.split(), "--num_workers", 1, cache="off")
    assert sum(computed) == 48
    assert same(tmp_path / "one", tmp_path / "three")


@pytest.mark.slow
def test_other_heads_seeds_and_views(train, computed, tmp_path):
    train(tmp_path / "one")
    computed.clear()
    train(tmp_path / "head", "--head", "ordinal", "--ovo_dropout", 0, "--label_smoothing", 0)
    assert computed == []
    train(tmp_path / "more", "--feature_views", 3)
    assert sum(computed) == 12
    computed.clear()
    train(tmp_path / "seed", "--seed", 7)
    assert sum(computed) == 2 * 12
    computed.clear()
    train(tmp_path / "unused", "--feature_views", 9)  # in three epochs
    assert computed == []
    assert same(tmp_path / "more", tmp_path / "unused")


@pytest.mark.parametrize("cache", ["auto", *slow("off")])
@pytest.mark.parametrize("kind", ["shared", *slow("independent")])
def test_a_run_that_was_stopped_goes_on_with_the_same_bits(kind, cache, train, tmp_path):
    words = ("--ovo_mode", kind, "--ema_decay", "0.9")
    train(tmp_path / "whole", *words, cache=cache)
    with pytest.MonkeyPatch.context() as patch:
        stop(patch, after=2)
        train(tmp_path / "stopped", *words, cache=cache, code=130)
    resumed = train(tmp_path / "stopped", *words, "--resume", cache=cache)
    assert "resuming after epoch 2" in resumed.stdout
    assert same(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.slow
def test_a_run_that_was_stopped_inside_an_epoch(train, tmp_path):
    words = (
        "--ovo_mode", "independent", "--batch_size", 1, "--gradient_accumulation_steps", 1,
        "--save_every", "0.000001",
    )  # fmt: skip
    train(tmp_path / "whole", *words)
    with pytest.MonkeyPatch.context() as patch:
        stop_inside(patch)
        train(tmp_path / "stopped", *words, code=130)
    resumed = train(tmp_path / "stopped", *words, "--resume")
    assert "resuming inside epoch 2" in resumed.stdout
    assert same(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.slow
def test_a_signal_while_features_are_computed(train, computed, tmp_path, monkeypatch):
    counted = FrozenFeatures._features

    def signalled(self: FrozenFeatures, *given: Any) -> Any:
        if len(computed) == 10:
            os.kill(os.getpid(), signal.SIGINT)
        return counted(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(FrozenFeatures, "_features", signalled)
        stopped = train(tmp_path / "out", code=130)
    assert "0 finished epochs are saved" in stopped.stderr
    assert len(computed) == 11
    computed.clear()
    resumed = train(tmp_path / "out", "--resume")
    assert "9 of them there" in resumed.stdout  # three photographs; the fourth was not done
    assert len(computed) == 48 - 9
    train(tmp_path / "whole", cache="off")
    assert same(tmp_path / "out", tmp_path / "whole")


@pytest.mark.parametrize("views", [1, *slow(2)])
def test_it_learns_what_the_ordinary_loop_learns(views, train, tmp_path):
    """Without augmentation, on val under flips: the same figures, up to rounding."""
    words = ("--no-enable_medical_augmentation", "--tta_views", views, "--sampler", "balanced")
    train(tmp_path / "features", *words, "--feature_views", 1)
    train(tmp_path / "images", *words, "--feature_views", 0)
    for column in ("train_loss", "val_loss"):
        pair = [history(tmp_path / name, column) for name in ("features", "images")]
        assert pair[0] == pytest.approx(pair[1], rel=1e-4)
    one, other = weights(tmp_path / "features"), weights(tmp_path / "images")
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_the_views_change_what_is_learned(train, tmp_path):
    train(tmp_path / "two")
    train(tmp_path / "one", "--feature_views", 1)
    assert not same(tmp_path / "two", tmp_path / "one")


def test_a_dry_run_says_what_they_take_and_computes_none(train, contents, tmp_path):
    output = train(tmp_path / "out", "--dry_run").stdout
    assert "48 rows of 256 numbers: 49.2 kB, and as much memory; 0 of them there." in output
    assert "time for features" in output
    assert "time of the run" in output
    assert not any(tmp_path.iterdir())
    train(tmp_path / "out")
    before = contents(tmp_path)
    output = train(tmp_path / "other", "--dry_run").stdout
    assert "48 of them there" in output
    assert "time for features 0 s" in output
    assert contents(tmp_path) == before


def test_no_room_is_said_before_anything_begins(train, tmp_path, monkeypatch):
    monkeypatch.setattr("dr_ovo.batches.features.kept_features.why_not", _no_room, raising=True)
    outcome = train(tmp_path / "out", code=2)
    assert "--cache on: no room" in outcome.stderr
    assert not (tmp_path / "out" / "config.json").exists()


def _no_room(*_: object) -> str:
    raise UserError("--cache on: no room")


@pytest.mark.slow
def test_pairs_are_trained_again_on_the_same_features(train, computed, tmp_path):
    train(tmp_path / "out", "--ovo_mode", "independent")
    computed.clear()
    words = ("--ovo_mode", "independent", "--pairs", "0-1", "--label_smoothing", 0)
    again = train(tmp_path / "out", *words)
    assert "pair 0-1: val AUC" in again.stdout
    assert computed == []


def test_several_processes_are_refused():
    words = ["--feature_views", "2", "--freeze_stages", "4"]
    with pytest.raises(UserError, match="Start just one, without torchrun"):
        pipeline.train(parse_settings(words), _Launch())  # type: ignore[arg-type]


class _Launch:
    place = object()


@pytest.mark.slow
def test_a_folder_from_before_the_option_goes_on(train, tmp_path):
    words = ("--feature_views", 0)
    train(tmp_path / "whole", *words)
    with pytest.MonkeyPatch.context() as patch:
        stop(patch, after=1)
        train(tmp_path / "stopped", *words, code=130)
    config = tmp_path / "stopped" / "config.json"
    content = json.loads(config.read_text())
    del content["settings"]["feature_views"]
    config.write_text(json.dumps(content))
    seal_again(tmp_path / "stopped")
    refused = train(tmp_path / "stopped", "--resume", code=2)
    assert "--feature_views: 0 there, 2 now" in refused.stderr
    train(tmp_path / "stopped", *words, "--resume")
    assert same(tmp_path / "whole", tmp_path / "stopped")


@pytest.fixture
def vit(trainer, three_grades, tmp_path) -> Callable[..., Any]:
    def run(folder: str, *words: object) -> Any:
        outcome = trainer(
            "--base_models", "test_vit", "--no-pretrained", "--img_size", 32, "--device", "cpu",
            "--num_workers", 0, *FROZEN, "--dataset_path", three_grades, "--num_classes", 3,
            "--epochs", 2, "--output_dir", tmp_path / folder, *words,
        )  # fmt: skip
        assert outcome.code == 0, outcome.stderr
        return outcome

    return run


@pytest.mark.slow
def test_a_transformer(vit, computed, tmp_path):
    for folder in ("one", "two"):
        vit(folder, "--feature_views", 2, "--cache_dir", tmp_path / "cache")
    assert len(computed) == 48
    assert same(tmp_path / "one", tmp_path / "two")
    vit("one", "--mode", "evaluate")
    assert (tmp_path / "one" / "evaluation.json").is_file()
