"""Runs of the trainer inside the test's process, and a network that trains in half a second."""

from __future__ import annotations

import contextlib
import io
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dr_ovo.cli import parse_settings
from dr_ovo.commands.trainer import run_mode
from dr_ovo.config import TrainConfig
from dr_ovo.data.augment import normalise, to_unit_range
from dr_ovo.data.index import Split, scan_dataset
from dr_ovo.data.loaders import ImageLoader
from dr_ovo.errors import run
from dr_ovo.logs import close_log
from dr_ovo.models.backbone import create_backbone
from dr_ovo.training.build import Model, build_model, load_backbone
from dr_ovo.training.schedule import epoch_order
from dr_ovo.training.step import Precision

SMALL = "test_efficientnet"  # timm's own model for tests: 0.4 M parameters
CPU = Precision(torch.device("cpu"), None)


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and what it said."""

    code: int
    stdout: str
    stderr: str


Trainer = Callable[..., Outcome]
Contents = dict[str, bytes]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The same bits as in the processes that tests start with OMP_NUM_THREADS=1."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """Runs `ensemble_5class_trainer.py` with the words given, in a folder without `.env`."""
    elsewhere = tmp_path_factory.mktemp("cwd")

    def call(*words: object, cwd: Path = elsewhere) -> Outcome:
        out, err = io.StringIO(), io.StringIO()
        before = signal.getsignal(signal.SIGTERM)
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.chdir(cwd)
            for name in [name for name in os.environ if name.startswith("DR_OVO_")]:
                patch.delenv(name)
            close_log()  # pytest's own handler too, or errors before the log opens go there
            try:
                code = run(lambda: run_mode(parse_settings([str(word) for word in words])))
            finally:
                close_log()
                signal.signal(signal.SIGTERM, before)
        return Outcome(code, out.getvalue(), err.getvalue())

    return call


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights for SMALL, from which it starts as from pretrained ones: BatchNorm stays fixed."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    torch.save(create_backbone(SMALL, 32, weights=None).state_dict(), path)
    return path


@pytest.fixture(scope="session")
def small(small_weights: Path) -> tuple[str, ...]:
    """The flags of a small, quick network on the CPU."""
    return (
        "--base_models", SMALL, "--pretrained_path", str(small_weights), "--img_size", "32",
        "--device", "cpu", "--num_workers", "0",
    )  # fmt: skip


@pytest.fixture(scope="session")
def lite0() -> tuple[str, ...]:
    """The flags of tf_efficientnet_lite0 with its ImageNet weights, on the CPU."""
    return (
        "--base_models", "tf_efficientnet_lite0", "--img_size", "64",
        "--device", "cpu", "--num_workers", "0",
    )  # fmt: skip


@pytest.fixture(scope="session")
def three_grades(tmp_path_factory: pytest.TempPathFactory, draw_dataset: Any) -> Path:
    """Four drawn pictures of each of three grades: three pairs, so that ten files become three."""
    return draw_dataset(tmp_path_factory.mktemp("three") / "data", grades=3, images=4)


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], Contents]:
    """Every file below a folder, by its path in it."""

    def read(folder: Path) -> Contents:
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(files)}

    return read


@dataclass
class Bench:
    """A network with its branch trainers, and pictures for it: `features` (N, ...) from the stem,
    `targets` (N,)."""

    config: TrainConfig
    model: Model
    features: torch.Tensor
    targets: torch.Tensor

    def order(self, epoch: int) -> torch.Tensor:
        """The pictures of an epoch."""
        config = self.config
        order = epoch_order(self.targets.numpy(), config.sampler, config.seed, epoch)
        return torch.from_numpy(order)

    def train(self, epochs: int, chunk: int = 8) -> None:
        """`epochs` passes, each in its own order, fed `chunk` pictures at a time."""
        for epoch in range(1, epochs + 1):
            order = self.order(epoch)
            trainers = [run.trainer for run in self.model.runs.values()]
            for one in trainers:
                one.begin_epoch(epoch)
            for start in range(0, len(order), chunk):
                mine = order[start : start + chunk]
                for one in trainers:
                    one.feed(self.features[mine], self.targets[mine])
            for one in trainers:
                one.end_epoch()

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of all weights and buffers."""
        return {name: value.clone() for name, value in self.model.network.state_dict().items()}


@pytest.fixture
def bench(tiny_dataset: Path, small_weights: Path) -> Iterator[Callable[..., Bench]]:
    """Builds a network for the first 13 of the tiny train pictures: three of grades 0 to 3, and a
    single one of grade 4. Dropout is off; the rate is high and without warm-up."""
    train = scan_dataset(tiny_dataset, tuple("01234")).splits["train"].take(np.arange(13))

    def build(
        dtype: torch.dtype = torch.float32, precision: Precision = CPU, **settings: Any
    ) -> Bench:
        given = {
            "base_models": (SMALL,),
            "pretrained_path": str(small_weights),
            "img_size": 32,
            "ovo_dropout": 0.0,
            "learning_rate": 1e-3,
            "warmup_epochs": 0,
            "epochs": 10,
        }
        config = TrainConfig(**(given | settings))
        model = build_model(config, load_backbone(config), train, precision)
        model.network.to(dtype)
        features = model.network.stem_features(_inputs(train, model).to(dtype))
        return Bench(config, model, features, torch.from_numpy(train.targets))

    return build


def _inputs(split: Split, model: Model) -> torch.Tensor:
    with ImageLoader(split.paths, model.preprocessing, 0) as loader:
        ((_, images),) = loader.batches(np.arange(len(split)), len(split))
    return normalise(to_unit_range(images, CPU.device), model.spec.mean, model.spec.std)
