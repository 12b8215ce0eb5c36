"""Groups checkpoints into models; finds missing pairs and the command that trains them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dr_ovo.pairs import Pair, class_pairs, pair_name
from dr_ovo.reports.checkpoints.record import Checkpoint


@dataclass(frozen=True)
class ModelSet:
    """The checkpoints of one model: a single file, or one per pair."""

    checkpoints: tuple[Checkpoint, ...]
    missing: tuple[Pair, ...]

    @property
    def first(self) -> Checkpoint:
        """A checkpoint for everything that all of them share."""
        return self.checkpoints[0]

    @property
    def results_folder(self) -> Path:
        """The folder with history.csv: the parent of models/."""
        folder = self.first.file.parent
        if folder.resolve().name != "models":
            return folder
        return folder.parent if folder.name == "models" else folder.resolve().parent


def group_checkpoints(checkpoints: Sequence[Checkpoint], files: set[Path]) -> list[ModelSet]:
    """Groups the pair checkpoints of one architecture and folder; any other file is one model."""
    groups: dict[tuple[Any, ...], list[Checkpoint]] = {}
    for checkpoint in checkpoints:
        key = (checkpoint.file.resolve().parent, checkpoint.architecture, checkpoint.earlier)
        own_group = None if _single_pair(checkpoint) else checkpoint.file
        groups.setdefault((*key, own_group), []).append(checkpoint)
    return [_model_set(group, files) for group in groups.values()]


def _single_pair(checkpoint: Checkpoint) -> bool:
    pairs = [classifier.pair for classifier in checkpoint.classifiers]
    return pairs != [None] and (checkpoint.earlier or checkpoint.ovo_mode == "independent")


def _model_set(group: Sequence[Checkpoint], files: set[Path]) -> ModelSet:
    ordered = tuple(sorted(group, key=lambda c: (c.classifiers[0].pair or (-1, -1), c.file)))
    first = ordered[0]
    if not _single_pair(first):
        return ModelSet(ordered, ())
    present = {checkpoint.classifiers[0].pair for checkpoint in ordered}
    # A pair whose file exists but was not passed on the command line is not missing.
    missing = [
        pair
        for pair in class_pairs(first.num_classes)
        if pair not in present and not _exists_unlisted(first, pair, files)
    ]
    return ModelSet(ordered, tuple(missing))


def _exists_unlisted(checkpoint: Checkpoint, pair: Pair, files: set[Path]) -> bool:
    name = f"best_{checkpoint.architecture}_{pair_name(pair)}.pth"
    file = checkpoint.file.parent / name
    return file.is_file() and file.resolve() not in {listed.resolve() for listed in files}


def training_command(model: ModelSet) -> str | None:
    """The command that trains the missing pairs into the model's folder; None where none are."""
    if not model.missing or model.first.earlier:
        return None
    folder = model.results_folder
    config = folder / "config.json"
    words = ["python", "ensemble_5class_trainer.py", "--mode", "train"]
    if config.is_file():
        words += ["--config", str(config)]
    else:
        words += ["--base_models", str(model.first.architecture), "--ovo_mode", "independent"]
    words += ["--output_dir", str(folder), "--pairs", *(f"{a}-{b}" for a, b in model.missing)]
    return shlex.join(words)
