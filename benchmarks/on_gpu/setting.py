"""What the measurements share: drawn photographs, random weights, and trainings on the device."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from benchmarks.photographs import GRADES, draw_class
from benchmarks.timing import Times, Work, interleaved
from benchmarks.trainings import Training, training
from dr_ovo.distributed.ranks import ALONE, Ranks
from dr_ovo.full_memory import release_memory
from dr_ovo.models.architectures import resolve_architecture
from dr_ovo.models.backbone import create_backbone, input_spec
from dr_ovo.parallel import available_cores
from dr_ovo.training.optimization.schedule import epoch_order

ROOT = Path(__file__).resolve().parents[2]
TRAINER = ROOT / "ensemble_5class_trainer.py"
WRAPPERS = {
    "coatnet": "train_coatnet.sh",
    "convnext": "train_convnext.sh",
    "swinv2": "train_swinv2.sh",
    "densenet121": "train_densenet.sh",
    "efficientnetb2": "train_efficientnet.sh",
    "resnet50": "train_resnet.sh",
    "seresnext50": "train_seresnext.sh",
}
QUICK_NETWORK, QUICK_SIZE, QUICK_BATCH = "test_efficientnet", 32, 8  # timm's own for tests
BATCH = 128
LARGE, SMALL = "large", "small"
# Photographs of each grade in train and in val, and their side in pixels.
COUNTS = {LARGE: (512, 8, 256), SMALL: (64, 8, 256)}
QUICK_COUNTS = {LARGE: (8, 2, 64), SMALL: (8, 2, 64)}
MOST_PROCESSES = 8  # that decode
SEED = 1


@dataclass(frozen=True)
class Setting:
    """Where the measurements work, and on what device: `cpu` or `cuda`. `quick`: a tiny network and
    few photographs, to see that all parts run."""

    folder: Path
    device: str
    quick: bool

    @property
    def batch(self) -> int:
        """Images of a step where there is room for many."""
        return QUICK_BATCH if self.quick else BATCH

    @property
    def seconds(self) -> float:
        """How long ways are timed by turns."""
        return 0.0 if self.quick else 12.0

    def network(self, alias: str) -> str:
        """The timm model that is measured for an architecture."""
        return QUICK_NETWORK if self.quick else resolve_architecture(alias)

    def dataset(self, name: str) -> Path:
        """The folder of drawn photographs of that name, LARGE or SMALL, drawn where it is not
        there."""
        place = self.folder / name
        if not place.is_dir():
            part = self.folder / f"{name}.part"
            shutil.rmtree(part, ignore_errors=True)
            train, val, side = (QUICK_COUNTS if self.quick else COUNTS)[name]
            draw = partial(draw_class, part, {"train": train, "val": val, "test": 1}, side)
            if self.quick:
                list(map(draw, range(GRADES)))
            else:
                with ProcessPoolExecutor(GRADES, get_context("spawn")) as processes:
                    list(processes.map(draw, range(GRADES)))
            part.rename(place)
        return place

    def weights(self, alias: str) -> Path:
        """Random weights of an architecture's backbone, always the same, in a file from which it
        starts as from pretrained ones: with BatchNorm that stays fixed."""
        name = self.network(alias)
        file = self.folder / f"{name}.pth"
        if not file.is_file():
            torch.manual_seed(SEED)
            size = QUICK_SIZE if self.quick else input_spec(name).size
            part = file.with_suffix(".part")
            torch.save(create_backbone(name, size, weights=None).state_dict(), part)
            part.rename(file)
        return file

    def flags(self, alias: str, *more: str) -> tuple[str, ...]:
        """The trainer's flags: those of the architecture's wrapper, `more`, and what this device
        and these photographs need."""
        workers = 0 if self.quick else min(MOST_PROCESSES, available_cores())
        return (
            *wrapper_flags(alias),
            *("--train_sample", "0", "--cache", "on", "--num_workers", str(workers)),
            *more,
            *("--device", self.device, "--pretrained_path", str(self.weights(alias))),
            *("--base_models", self.network(alias)),
            *(("--img_size", str(QUICK_SIZE)) if self.quick else ()),
        )

    def large_steps(self, alias: str, *more: str) -> tuple[str, ...]:
        """Flags: steps of many images at the network's own size, with nothing frozen."""
        steps = ("--batch_size", str(self.batch), "--gradient_accumulation_steps", "1")
        return self.flags(alias, "--img_size", "0", "--freeze_weights", "false", *steps, *more)

    @contextmanager
    def training(
        self, dataset: str, flags: tuple[str, ...], ranks: Ranks = ALONE
    ) -> Iterator[Training]:
        """A training with these flags on a set of photographs; its memory is free afterwards."""
        output = Path(tempfile.mkdtemp(dir=self.folder)) / "results"
        try:
            with training(self.dataset(dataset), output, *flags, ranks=ranks) as made:
                yield made
        finally:
            gc.collect()
            release_memory()

    def to_json(self) -> dict[str, str | bool]:
        """For another process; `Setting.from_json` reads it."""
        return asdict(self) | {"folder": str(self.folder)}

    @classmethod
    def from_json(cls, content: Mapping[str, str | bool]) -> Setting:
        """From what `to_json` gave."""
        return cls(Path(str(content["folder"])), str(content["device"]), bool(content["quick"]))


def wrapper_flags(alias: str) -> tuple[str, ...]:
    """The flags that an architecture's train_*.sh passes to the trainer."""
    answer = subprocess.run(
        ["bash", str(ROOT / WRAPPERS[alias])],
        env={**os.environ, "PYTHON": "echo"},  # which, in place of Python, says its words
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return tuple(answer.stdout.partition(TRAINER.name)[2].split())


def by_turns(ways: Mapping[str, Work], seconds: float, most: int = 7) -> Times:
    """The times of all `ways` by turns, after an untimed round, in as many rounds (2 to `most`) as
    `seconds` have room for."""
    first = interleaved(ways, 1)
    once = sum(float(wall[0]) for wall in first.wall.values())
    rest = interleaved(ways, max(1, min(most - 1, int(seconds / once) - 1)), untimed=False)
    return Times(_joined(first.wall, rest.wall), _joined(first.cpu, rest.cpu))


def _joined(
    one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    return {name: np.concatenate([values, other[name]]) for name, values in one.items()}


def waited_for(work: Work, device: str) -> Work:
    """`work`, which then waits until the device has done it."""

    def done() -> None:
        work()
        if device == "cuda":
            torch.cuda.synchronize()

    return done


def train_on(made: Training, windows: int, check: Callable[[], object] = bool) -> None:
    """Trains on the first photographs of an epoch, so many that each branch has some windows; then
    waits for the device. `check` is called after each batch."""
    loop, trainers = made.loop, made.trainers
    wanted = windows * made.config.window * max(1, made.config.num_classes // 2)
    train, config = loop.data.train, made.config
    order = epoch_order(train.targets, config.sampler, config.seed, 1, train.weights)[:wanted]
    numbers = loop.augmentation.draw(made.config.seed, 1, len(order))
    done = 0
    for positions, images in loop.loader.batches(order, made.config.stem_batch):
        loop.train_batch(positions, images, numbers[done : done + len(positions)], trainers)
        done += len(positions)
        check()
    for trainer in trainers:
        trainer.require_finite()
