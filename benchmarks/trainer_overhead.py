"""What our whole training step costs beside the network: against a bare loop on tensors in memory.

Both train `tf_efficientnet_lite0` at 224 px with nothing frozen, the shared head, our loss, windows
of 8, clipping and foreach AdamW, in float32. Ours is the training part of an epoch, photographs
from the cache. The bare loop has its batches normalised in memory, in NCHW and in channels_last;
the faster of the two is what ours is held against.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch

from benchmarks.photographs import GRADES, Size, draw_photographs
from benchmarks.results import Result
from benchmarks.timing import Times, Work, interleaved
from benchmarks.trainings import Training, training
from dr_ovo.batches.augmentation import normalise, to_unit_range
from dr_ovo.models.parts.random_layers import masked_layers

BATCH = 8
FLAGS = (
    *("--freeze_weights", "false", "--batch_size", str(BATCH)),
    *("--gradient_accumulation_steps", "1", "--train_sample", "0"),
)
PLAIN = ("--enable_medical_augmentation", "false")
FORMATS = {"bare NCHW": torch.contiguous_format, "bare channels_last": torch.channels_last}
PLAIN_GOAL, AUGMENTED_GOAL = 0.95, 0.90


QUICK = Size(per_grade=5, side=256, img_size=224, rounds=3)
FULL = Size(per_grade=32, side=256, img_size=224, rounds=7)


def measure(size: Size, folder: Path) -> list[Result]:
    """The bare loop's time over ours, without and with augmentation."""
    counts = {"train": size.per_grade, "val": 1, "test": 1}
    dataset = draw_photographs(folder / "data", counts, size.side)
    flags = (*FLAGS, "--img_size", str(size.img_size))
    with (
        training(dataset, folder / "plain", *flags, *PLAIN) as plain,
        training(dataset, folder / "augmented", *flags) as augmented,
    ):
        ways: dict[str, Work] = {
            name: BareLoop(plain, form).train_epoch for name, form in FORMATS.items()
        }
        ways |= {"plain": plain.train_epoch, "augmented": augmented.train_epoch}
        times = interleaved(ways, size.rounds)
    best = times.fastest(*FORMATS)
    note = _note(times, best, GRADES * size.per_grade)
    return [
        _result("plain", "without augmentation", PLAIN_GOAL, times, best, note),
        _result("augmented", "with augmentation", AUGMENTED_GOAL, times, best),
    ]


class BareLoop:
    """The fastest honest loop over the same batches: a copy of the network, nothing to read.

    `held`: so many batches are in memory, and serve again and again; None: all of an epoch.
    """

    def __init__(
        self, of: Training, memory_format: torch.memory_format, held: int | None = None
    ) -> None:
        (trainer,) = of.trainers
        self.precision, batch = of.loop.precision, of.config.batch_size
        device = self.precision.device
        self.branch = copy.deepcopy(trainer.branch).to(memory_format=memory_format)
        self.branch.train()
        for layer in masked_layers(self.branch):
            layer.forget()  # what the training drew for its own micro-batches
        self.loss, self.cells = trainer.loss, trainer.cells
        groups = self.branch.parameter_groups(of.config.weight_decay)
        fused = device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            groups, lr=of.config.learning_rate, fused=fused, foreach=not fused
        )
        self.scaler = self.precision.scaler()
        self.max_norm = of.config.max_grad_norm
        targets = of.loop.data.train.targets
        self.steps = -(-len(targets) // batch)
        positions = np.arange(len(targets))[: None if held is None else held * batch]
        self.batches = [
            (
                normalise(to_unit_range(images, device), *_statistics(of)).contiguous(
                    memory_format=memory_format
                ),
                torch.from_numpy(targets[found]).to(device),
            )
            for found, images in of.loader.batches(positions, batch)
        ]

    def train_epoch(self) -> None:
        """A step on each batch."""
        parameters = list(self.branch.parameters())
        for step in range(self.steps):
            images, targets = self.batches[step % len(self.batches)]
            with self.precision.autocast():
                logits = self.branch(images)
            total = self.loss(logits, targets).sum()
            self.scaler.scale(total / (self.cells * len(targets))).backward()
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(parameters, self.max_norm, foreach=True)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad(set_to_none=True)


def _statistics(of: Training) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return of.model.spec.mean, of.model.spec.std


def _result(name: str, how: str, goal: float, times: Times, best: str, note: str = "") -> Result:
    cpu = times.cpu_ratio(best, name)
    return Result(
        f"trainer_overhead_{name}",
        f"time of the bare loop / ours, {how}",
        times.ratio(best, name),
        goal,
        at_least=True,
        note=f"{note}by processor time {cpu.median:.3f} ({cpu.low:.3f} - {cpu.high:.3f})",
    )


def _note(times: Times, best: str, photographs: int) -> str:
    rates = ", ".join(
        f"{name} {photographs / np.median(seconds):.1f}" for name, seconds in times.wall.items()
    )
    return f"held against {best}; photographs/s: {rates}; "
