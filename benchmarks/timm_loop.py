"""An epoch of ours against one made of timm's public parts: create_loader, create_optimizer_v2.

The same network (nothing frozen, random weights, live BatchNorm), AdamW, cross-entropy, clipping
and batches of 8. "Equal": photographs shrunk to the network's input beforehand, the same memory
format and precision, nothing augmented. "Defaults": photographs of 1024 px as they are, timm in
NCHW with its augmentation, ours in its format with its augmentation, from the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import create_dataset, create_loader
from timm.optim import create_optimizer_v2
from torch import nn

from benchmarks.photographs import GRADES, Size, draw_photographs
from benchmarks.plain_training import PlainTraining
from benchmarks.results import Result
from benchmarks.timing import Times, Work, interleaved
from benchmarks.trainings import NETWORK, Training, training
from dr_ovo.parallel import available_cores

BATCH = 8
FLAGS = (
    *("--head", "softmax", "--no_pretrained", "--freeze_weights", "false"),
    *("--batch_size", str(BATCH), "--gradient_accumulation_steps", "1", "--train_sample", "0"),
    *("--enable_focal_loss", "false", "--enable_class_weights", "false"),
    *("--label_smoothing", "0", "--ovo_dropout", "0"),
)
PLAIN = ("--enable_medical_augmentation", "false")
EQUAL_GOAL, DEFAULTS_GOAL = 1.0, 1.3


# The photographs of each grade are a multiple of 8.
QUICK = Size(per_grade=8, side=1024, img_size=224, rounds=3)
FULL = Size(per_grade=32, side=1024, img_size=224, rounds=7)


def measure(size: Size, folder: Path) -> list[Result]:
    """timm's time over ours, equal and with its defaults."""
    counts = {"train": size.per_grade, "val": 1, "test": 1}
    small = draw_photographs(folder / "small", counts, size.img_size)
    large = draw_photographs(folder / "large", counts, size.side)
    flags = (*FLAGS, "--img_size", str(size.img_size))
    with ExitStack() as opened:
        equal = opened.enter_context(training(small, folder / "equal", *flags, *PLAIN))
        ours = opened.enter_context(training(large, folder / "ours", *flags))
        ways: dict[str, Work] = {
            "timm, equal": timm_epoch(equal, equal.memory_format, no_aug=True),
            "ours, equal": equal.train_epoch,
            "timm, defaults": timm_epoch(ours, torch.contiguous_format),
            "ours": ours.train_epoch,
        }
        times = interleaved(ways, size.rounds)
    note = _note(times, GRADES * size.per_grade)
    return [
        Result(
            "timm_loop_equal",
            "time of timm's epoch / ours, equal format and precision",
            times.ratio("timm, equal", "ours, equal"),
            EQUAL_GOAL,
            at_least=True,
            note=note,
        ),
        Result(
            "timm_loop_defaults",
            "time of timm's epoch / ours, each with its defaults",
            times.ratio("timm, defaults", "ours"),
            DEFAULTS_GOAL,
            at_least=True,
        ),
    ]


def timm_epoch(
    of: Training, memory_format: torch.memory_format, **loading: Any
) -> Callable[[], None]:
    """An epoch of timm's parts on the dataset of a training; `loading` is for create_loader."""
    config, spec = of.config, of.model.spec
    torch.manual_seed(config.seed)
    network = timm.create_model(NETWORK, num_classes=GRADES).to(memory_format=memory_format)
    optimizer = create_optimizer_v2(
        network, opt="adamw", lr=config.learning_rate, weight_decay=config.weight_decay
    )
    batches = create_loader(
        create_dataset("", root=config.dataset_path, split="train", is_training=True),
        input_size=(3, spec.size, spec.size),
        batch_size=BATCH,
        is_training=True,
        mean=spec.mean,
        std=spec.std,
        num_workers=available_cores(),
        device=torch.device("cpu"),
        **loading,
    )
    plain = PlainTraining(network, nn.CrossEntropyLoss(), optimizer, memory_format)
    return lambda: plain.train_epoch(batches)


def _note(times: Times, photographs: int) -> str:
    rates = ", ".join(
        f"{name} {photographs / sorted(seconds)[len(seconds) // 2]:.1f}"
        for name, seconds in times.wall.items()
    )
    return f"photographs/s: {rates}"
