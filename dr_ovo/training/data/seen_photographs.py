"""The photographs that a network has seen: those it learned from, and those that chose its epoch.

Every checkpoint carries them, with those of the weights that it began with. So a training knows
whether `--pretrained_path` has seen what it is going to be judged on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dr_ovo.copies.content_hashes import UNREADABLE
from dr_ovo.dataset.index import DatasetIndex, Split
from dr_ovo.dataset.words import SPLITS

LEARNED_FROM, CHOSEN_ON = "learned_from", "chosen_on"  # in a checkpoint: (N,) and (M,) int64
ALL_KNOWN = "all_photographs_known"  # in a checkpoint: whether the two name all of them


@dataclass(frozen=True)
class SeenPhotographs:
    """What a network has seen, by the first 64 bits of each file's sha256: `learned_from` (N,) and
    `chosen_on` (M,), sorted int64. `all_known`: whether there is nothing else, as far as
    photographs of eyes go."""

    learned_from: np.ndarray
    chosen_on: np.ndarray
    all_known: bool = True

    def __or__(self, other: SeenPhotographs) -> SeenPhotographs:
        """What either has seen."""
        return SeenPhotographs(
            np.union1d(self.learned_from, other.learned_from),
            np.union1d(self.chosen_on, other.chosen_on),
            self.all_known and other.all_known,
        )

    def tensors(self) -> dict[str, torch.Tensor]:
        """The two lists, as a checkpoint holds them."""
        return {
            LEARNED_FROM: torch.from_numpy(self.learned_from),
            CHOSEN_ON: torch.from_numpy(self.chosen_on),
        }

    def files_of(
        self, index: DatasetIndex, contents: Mapping[Path, str], *, held_out: bool = False
    ) -> dict[str, list[str]]:
        """The photographs of a dataset on which this network can't be judged, by split: of val and
        test those that it learned from, of test those that chose its epoch, too.

        `contents`: the sha256 of each file. A val that was val before may be val again, unless it
        is `held_out`, a fold that chooses nothing and is judged on like test.
        """
        either = np.union1d(self.learned_from, self.chosen_on)
        judged = {"val": either if held_out else self.learned_from, "test": either}
        found = {}
        for name, seen in judged.items():
            split = index.splits.get(name)
            if split is None:
                continue
            marks = _marks(contents.get(path, "") for path in split.paths)
            there = [i for i, one in enumerate(marks) if one is not None and _holds(seen, one)]
            if there:
                found[name] = [place_of(split, split.sample_ids[i]) for i in there]
        return found


NOTHING = SeenPhotographs(np.zeros(0, np.int64), np.zeros(0, np.int64))
UNKNOWN = SeenPhotographs(NOTHING.learned_from, NOTHING.chosen_on, all_known=False)


def place_of(split: Split, sample: str) -> str:
    """Where a photograph is in its dataset; a sample of a fold, which joins splits, says it."""
    return f"{split.name}/{sample}" if split.name in SPLITS else sample


def seen_in_training(
    index: DatasetIndex, contents: Mapping[Path, str], *, held_out: bool = False
) -> SeenPhotographs:
    """What a training on a dataset sees: it learns from train, and val chooses its epoch, unless
    val is `held_out`, a fold that chooses nothing."""
    learned, chosen = (
        _list(contents.get(path, "") for path in index.paths(splits))
        for splits in (["train"], [] if held_out else ["val"])
    )
    return SeenPhotographs(learned, chosen)


def seen_by(content: Mapping[str, Any]) -> SeenPhotographs | None:
    """What the network of a checkpoint has seen; None for a file that does not say."""
    lists = [content.get(name) for name in (LEARNED_FROM, CHOSEN_ON)]
    arrays = [np.unique(one.numpy()) for one in lists if isinstance(one, torch.Tensor)]
    if len(arrays) < 2 or any(array.dtype != np.int64 for array in arrays):
        return None
    return SeenPhotographs(arrays[0], arrays[1], content.get(ALL_KNOWN) is True)


def _list(contents: Iterable[str]) -> np.ndarray:
    """(N,) int64, sorted, of files with a known sha256."""
    return np.unique(np.array([m for m in _marks(contents) if m is not None], dtype=np.int64))


def _marks(contents: Iterable[str]) -> list[int | None]:
    """The first 64 bits of each sha256; None for a file that could not be read."""
    return [
        int.from_bytes(bytes.fromhex(one[:16]), "big", signed=True)
        if one and one != UNREADABLE
        else None
        for one in contents
    ]


def _holds(seen: np.ndarray, mark: int) -> bool:
    place = int(np.searchsorted(seen, mark))
    return place < len(seen) and int(seen[place]) == mark
