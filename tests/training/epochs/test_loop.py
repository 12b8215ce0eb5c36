"""Epochs: which one is selected, when a branch ends, and that branches are independent."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score

from dr_ovo.batches.loader import ImageLoader
from dr_ovo.decoding.decoders import decode
from dr_ovo.settings.command_line import parse_settings
from dr_ovo.training.build import Model, build_model, load_backbone
from dr_ovo.training.data.opening import open_dataset
from dr_ovo.training.data.training_data import training_data
from dr_ovo.training.epochs.loop import TrainingLoop
from dr_ovo.training.measure import mean_cell_loss
from dr_ovo.training.optimization.guarded_optimizer import GuardedOptimizer
from dr_ovo.training.setup import choose_precision, resolve_models, results_folder
from dr_ovo.training.writing.run_writer import RunWriter
from tests.fixtures.slow import slow
from tests.fixtures.waiting import NothingWaits

INDEPENDENT = ("--ovo_mode", "independent", "--num_classes", "3")
# A learning rate too small to change any weight: no epoch is better than the first.
STILL = ("--learning_rate", "1e-30", "--min_lr", "0", "--weight_decay", "0")


@contextmanager
def open_loop(*words: object, calibration: np.ndarray | None = None) -> Iterator[TrainingLoop]:
    """The loop of a run with these flags, before its first epoch."""
    (config,) = resolve_models(parse_settings([str(word) for word in words]).config)
    index, _ = open_dataset(config, [results_folder(config)])
    precision = choose_precision(config)
    model: Model = build_model(config, load_backbone(config), index.splits["train"], precision)
    data = training_data(config, index)
    if calibration is not None:
        data = replace(data, calibration=calibration)
    paths = (*data.train.paths, *data.val.paths)
    with ImageLoader(paths, model.preprocessing, config.num_workers) as loader:
        yield TrainingLoop(model, data, loader, precision, config)


def states(loop: TrainingLoop) -> dict[str, dict[str, torch.Tensor]]:
    """A copy of every branch's weights."""
    return {
        name: {key: value.clone() for key, value in branch.state_dict().items()}
        for name, branch in loop.model.network.branches.items()
    }


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(other[name], value) for name, value in one.items())


class Nothing:
    """Keeps nothing."""

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_: None


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def progress(folder: Path) -> dict:
    return json.loads((folder / "resume" / "progress.json").read_text())


def test_selection_never_sees_the_calibration_share(lite0, tiny_dataset):
    # Val has three images per grade; the last of each is left out.
    left_out = np.arange(15) % 3 == 2
    words = (*lite0, "--dataset_path", tiny_dataset, "--train_sample", 0)
    with open_loop(*words, calibration=left_out) as loop:
        (run,) = loop.runs.values()
        (result,) = loop.validation.measure_epoch([run.trainer])
        outputs = loop.validation.outputs(np.arange(15, 30), [run.trainer])["ovo"]
    targets, kappas, losses = loop.data.val.targets, [], []
    for chosen in (~left_out, np.ones(15, bool)):
        predicted, _ = decode("ovo", outputs.logits[chosen], 5)
        kappas.append(cohen_kappa_score(targets[chosen], predicted, weights="quadratic"))
        losses.append(mean_cell_loss(run.trainer.loss, outputs.logits[chosen], targets[chosen]))
    assert result.row["val_kappa"] == pytest.approx(kappas[0])
    assert result.row["val_loss"] == pytest.approx(losses[0])
    assert result.score.value == pytest.approx(kappas[0])
    assert losses[0] != pytest.approx(losses[1])  # so that the share matters


@pytest.mark.slow
def test_feature_statistics_are_those_of_the_train_sample(lite0, tiny_dataset):
    with open_loop(*lite0, "--dataset_path", tiny_dataset) as loop:
        (run,) = loop.runs.values()
        (result,) = loop.validation.measure_epoch([run.trainer])
        kept: list[torch.Tensor] = []
        run.trainer.branch.rest.register_forward_hook(lambda *call: kept.append(call[2]))
        loop.validation.outputs(loop.data.sample, [run.trainer])
    features = torch.cat(kept)
    assert len(features) == 15
    assert torch.allclose(result.features.feature_mean, features.mean(0), atol=1e-5)
    assert torch.allclose(
        result.features.feature_std, features.std(0, unbiased=False), rtol=1e-3, atol=1e-4
    )


@pytest.mark.slow
def test_a_branch_that_ends_early_leaves_the_others_as_they_were(small, three_grades):
    words = (*small, *INDEPENDENT, "--dataset_path", three_grades, "--epochs", 2)
    with open_loop(*words) as loop:
        start = states(loop)
        loop.run(1, Nothing())
        together = states(loop)

    with open_loop(*words) as loop:

        class EndOne(Nothing):
            def keep_epoch(self, epoch: int, results: list) -> None:
                if epoch == 1:
                    loop.runs["0_1"].trainer = None

        loop.run(1, EndOne())
        apart = states(loop)
    assert not same(apart["0_1"], together["0_1"])
    for name in ("0_2", "1_2"):
        assert not same(start[name], together[name])
        assert same(apart[name], together[name])


@pytest.mark.slow
def test_the_order_of_branches_changes_nothing(small, three_grades):
    words = (*small, *INDEPENDENT, "--dataset_path", three_grades, "--epochs", 2)
    found = []
    for turn in (1, -1):
        with open_loop(*words) as loop:
            loop.runs = dict(list(loop.runs.items())[::turn])
            loop.run(1, Nothing())
            found.append(states(loop))
    assert all(same(found[0][name], found[1][name]) for name in ("0_1", "0_2", "1_2"))


def test_a_pair_alone_is_the_pair_among_others(small, three_grades, tmp_path, trainer):
    words = (*small, *INDEPENDENT, "--dataset_path", three_grades, "--epochs", 2)
    assert trainer(*words, "--output_dir", tmp_path / "all").code == 0
    assert trainer(*words, "--output_dir", tmp_path / "one", "--pairs", "0-2").code == 0
    (alone,) = (tmp_path / "one" / "models").glob("*.pth")
    other = tmp_path / "all" / "models" / alone.name
    weights = [torch.load(path, weights_only=True)["state_dict"] for path in (alone, other)]
    assert same(*weights)


@pytest.mark.parametrize(
    ("warmup", "patience", "epochs", "last"),
    [
        (0, 2, 9, 3),  # the first epoch was the best: two more
        *slow(
            (2, 2, 9, 4),  # counted from the end of warm-up
            (9, 2, 9, 3),  # a warm-up as long as the run is a tenth of its steps
            (0, 9, 3, 3),
        ),
    ],
)
def test_patience(warmup, patience, epochs, last, small, tiny_dataset, tmp_path, trainer):
    outcome = trainer(
        *small, *STILL, "--dataset_path", tiny_dataset, "--output_dir", tmp_path, "--epochs",
        epochs, "--warmup_epochs", warmup, "--patience", patience, "--train_sample", 0,
        "--keep_epoch", "best",
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    assert [int(row["epoch"]) for row in history(tmp_path)] == list(range(1, last + 1))
    branch = progress(tmp_path)["branches"]["ovo"]
    assert branch["best_epoch"] == 1
    assert branch["ended"] == ("patience" if last < epochs else "last epoch")


@pytest.mark.slow
def test_a_branch_counts_its_own_patience(small, three_grades, tmp_path, trainer):
    outcome = trainer(
        *small, *INDEPENDENT, "--dataset_path", three_grades, "--output_dir", tmp_path,
        "--epochs", 12, "--patience", 2, "--warmup_epochs", 0, "--learning_rate", "3e-2",
        "--keep_epoch", "best",
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    for name, branch in progress(tmp_path)["branches"].items():
        last = max(int(row["epoch"]) for row in history(tmp_path) if row["branch"] == name)
        by_patience = branch["best_epoch"] + 2
        assert last == min(12, by_patience)
        assert branch["ended"] == ("patience" if by_patience <= 12 else "last epoch")


def test_the_checkpoint_is_that_of_the_best_epoch(small, tiny_dataset, tmp_path, trainer):
    outcome = trainer(
        *small, "--dataset_path", tiny_dataset, "--output_dir", tmp_path, "--epochs", 6,
        "--learning_rate", "1e-2", "--warmup_epochs", 0, "--keep_epoch", "best",
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    rows = history(tmp_path)
    best = max(rows, key=lambda row: (float(row["val_kappa"]), -float(row["val_loss"])))
    assert len({row["val_loss"] for row in rows}) > 1
    (path,) = (tmp_path / "models").glob("*.json")
    meta = json.loads(path.read_text())
    assert meta["epoch"] == int(best["epoch"])
    assert meta["metrics"]["val_kappa"] == float(best["val_kappa"])
    assert meta["metrics"]["val_loss"] == float(best["val_loss"])
    assert f"best epoch {best['epoch']}" in outcome.stdout


@pytest.mark.slow
def test_a_plateau_halves_the_rate_of_a_run(small, tiny_dataset, tmp_path, trainer):
    outcome = trainer(
        *small, *STILL, "--dataset_path", tiny_dataset, "--output_dir", tmp_path, "--epochs", 9,
        "--warmup_epochs", 0, "--scheduler", "plateau", "--train_sample", 0,
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    rates = [float(row["lr"]) for row in history(tmp_path)]
    assert rates == pytest.approx([1e-30] * 7 + [5e-31] * 2, rel=1e-9, abs=0)


def test_numbers_gone_bad_end_the_run_and_keep_the_last_epoch(
    small, tiny_dataset, tmp_path, trainer
):
    outcome = trainer(
        *small, "--dataset_path", tiny_dataset, "--output_dir", tmp_path, "--epochs", 30,
        "--learning_rate", "1e15", "--warmup_epochs", 0,
    )  # fmt: skip
    assert outcome.code == 4
    assert "--learning_rate" in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert progress(tmp_path)["finished"] is False


def test_a_photograph_that_vanishes_in_mid_run(
    small, draw_dataset, tmp_path, trainer, monkeypatch: pytest.MonkeyPatch
):
    data, folder = draw_dataset(tmp_path / "data", grades=3), tmp_path / "out"
    words = (*small, "--dataset_path", data, "--num_classes", 3, "--epochs", 2)
    words = (*words, "--output_dir", folder, "--cache", "off")
    photograph = data / "train" / "1" / "train-1-0.jpeg"
    content = photograph.read_bytes()
    keep: Callable[..., None] = RunWriter.keep_epoch

    def vanish(writer: RunWriter, epoch: int, results: list) -> None:
        keep(writer, epoch, results)
        photograph.unlink()

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "keep_epoch", vanish)
        outcome = trainer(*words)
    assert outcome.code == 4
    assert "train-1-0.jpeg" in outcome.stderr
    assert "--resume" in outcome.stderr
    assert progress(folder)["epoch"] == 1
    photograph.write_bytes(content)
    assert trainer(*words, "--resume").code == 0


@pytest.mark.slow
def test_a_photograph_that_vanishes_is_not_missed_where_its_row_is_kept(
    small, draw_dataset, tmp_path, trainer, monkeypatch: pytest.MonkeyPatch
):
    data, folder = draw_dataset(tmp_path / "data", grades=3), tmp_path / "out"
    photograph = data / "train" / "1" / "train-1-0.jpeg"
    keep: Callable[..., None] = RunWriter.keep_epoch

    def vanish(writer: RunWriter, epoch: int, results: list) -> None:
        keep(writer, epoch, results)
        photograph.unlink(missing_ok=True)

    monkeypatch.setattr(RunWriter, "keep_epoch", vanish)
    outcome = trainer(
        *small, "--dataset_path", data, "--num_classes", 3, "--epochs", 2, "--output_dir", folder
    )
    assert outcome.code == 0, outcome.stderr
    assert "1 file was written or replaced while this ran" in outcome.stderr
    assert "train-1-0.jpeg" in outcome.stderr
    assert progress(folder)["finished"] is True


def test_a_gpu_too_full_for_anything_is_said_with_the_way_on(
    small, tiny_dataset, tmp_path, trainer, monkeypatch
):
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    monkeypatch.setattr(TrainingLoop, "train_batch", full)
    words = (*small, "--dataset_path", tiny_dataset, "--output_dir", tmp_path)
    for more in ((), ("--dry_run",)):
        outcome = trainer(*words, *more)
        assert outcome.code == 4
        assert "CUDA out of memory" in outcome.stderr
        assert "smaller --img_size" in outcome.stderr
        assert "--batch_size" not in outcome.stderr


def train_batches(loop: TrainingLoop, through: Callable[[], AbstractContextManager]) -> None:
    """Trains on the first batch, which makes constants and moments, and `through` on another."""
    trainers = [run.trainer for run in loop.runs.values()]
    size = loop.settings.stem_batch
    first, second, *_ = loop.loader.batches(np.arange(len(loop.data.train)), size)
    numbers = loop.augmentation.draw(0, 1, size).to(loop.precision.device)
    loop.train_batch(*first, numbers, trainers)
    with through():
        loop.train_batch(*second, numbers[: len(second[0])], trainers)
    assert all(trainer.steps > 0 for trainer in trainers)
    for trainer in trainers:
        trainer.require_finite()


@pytest.mark.parametrize("flags", ["--head ovo", "--head softmax", "--head ordinal --amp on"])
def test_a_step_asks_the_device_for_nothing(flags, small, tiny_dataset, monkeypatch):
    words = (*small, "--dataset_path", tiny_dataset, *flags.split(), "--ema_decay", 0.9)
    with open_loop(*words, "--batch_size", 2, "--gradient_accumulation_steps", 2) as loop:
        (trainer,) = (run.trainer for run in loop.runs.values())
        trainer.optimizer = GuardedOptimizer(
            trainer.branch, rate=1e-3, weight_decay=0.1, max_grad_norm=1.0,
            scaler=loop.precision.scaler(), device=loop.precision.device, fused=True,
        )  # fmt: skip
        monkeypatch.setattr(trainer, "require_finite", lambda: None)  # which a CPU asks each step
        train_batches(loop, NothingWaits)


@contextmanager
def no_waiting() -> Iterator[None]:
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("amp", ["on", "off"])
@pytest.mark.parametrize("flags", ["", "--ovo_mode independent", "--freeze_weights false"])
def test_a_step_on_a_gpu_never_waits_for_it(flags, amp, small, tiny_dataset):
    words = (*small, "--dataset_path", tiny_dataset, *flags.split(), "--ema_decay", 0.9)
    words = (*words, "--amp", amp, "--device", "cuda")
    with open_loop(*words, "--batch_size", 1, "--gradient_accumulation_steps", 2) as loop:
        loop.settings = replace(loop.settings, batch_size=7, gradient_accumulation_steps=1)
        train_batches(loop, no_waiting)
