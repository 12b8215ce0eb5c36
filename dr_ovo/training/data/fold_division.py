"""`--folds K`: train and val as one, divided by patient into K parts, of which a member of the
ensemble holds one out.

Whatever must not be on both sides stays in one part: the pictures of a patient, those of a group of
the manifest, and copies of one picture that the audit found.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from dr_ovo.dataset.index import DatasetIndex, Split
from dr_ovo.dataset.union_find import components
from dr_ovo.errors import UserError
from dr_ovo.files import write_json
from dr_ovo.json_files import read_as
from dr_ovo.results.folder import FOLDS_FILE, TRAIN_AGAIN
from dr_ovo.results.schemas import Folds

SCHEMA = 1
JOINED = ("train", "val")
OWN_VAL = 8  # one in so many of a member's patients chooses its epoch, where one is to be chosen


@dataclass(frozen=True)
class FoldDivision:
    """Of each picture of train and val, by its path in the dataset: the fold, from 1 to `folds`,
    and the number of the unit of pictures that stay together."""

    folds: int
    places: Mapping[str, tuple[int, int]]

    def save(self, folder: Path) -> None:
        """Writes folds.json. Raises MachineError where that fails."""
        folder.mkdir(parents=True, exist_ok=True)
        files = {sample: list(place) for sample, place in self.places.items()}
        write_json(folder / FOLDS_FILE, {"schema": SCHEMA, "folds": self.folds, "files": files})

    def held_out(self, whole: Split, fold: int) -> np.ndarray:
        """(N,) bool: which pictures of train and val, `joined`, the member of a fold does not
        see."""
        return np.array([self.places[sample][0] for sample in whole.sample_ids]) == fold

    def units(self, split: Split) -> np.ndarray:
        """(N,) the numbers of the units that the pictures of a split are in."""
        return np.array([self.places[sample][1] for sample in split.sample_ids])


def load_division(folder: Path) -> FoldDivision | None:
    """The division in a folder; None without one. Raises UserError where it is damaged."""
    path = folder / FOLDS_FILE
    if not path.is_file():
        return None
    data = read_as(path, Folds, TRAIN_AGAIN)
    if data.schema != SCHEMA or not data.files:
        raise UserError(f"{path} is damaged: of schema {data.schema}, or empty. {TRAIN_AGAIN}")
    if max(fold for fold, _ in data.files.values()) > data.folds:
        raise UserError(
            f"{path} is damaged: it has more than its {data.folds} folds. {TRAIN_AGAIN}"
        )
    return FoldDivision(data.folds, data.files)


def require_division(
    division: FoldDivision, index: DatasetIndex, folds: int, folder: Path
) -> FoldDivision:
    """The division of a folder. Raises UserError unless it is of these pictures, in as many
    folds."""
    if division.folds != folds:
        raise UserError(
            f"{folder} was divided into {division.folds} folds: expected --folds {division.folds}, "
            "or another --output_dir."
        )
    if set(division.places) != set(joined(index).sample_ids):
        raise UserError(
            f"{folder / FOLDS_FILE} divides other pictures than --dataset_path now has in train "
            "and val. Restore them, or start from scratch in another --output_dir."
        )
    return division


def joined(index: DatasetIndex) -> Split:
    """Train and val, which may be empty, as one split, whose sample ids begin with the split that
    they come from."""
    parts = [index.splits[name] for name in JOINED if len(index.splits[name])]
    weights = [part.weights for part in parts if part.weights is not None]
    owners = [
        # The sample itself stands for an unknown patient.
        f"{part.name}/{sample}" if owner == sample else owner
        for part in parts
        for owner, sample in zip(part.patient_ids, part.sample_ids, strict=True)
    ]
    return Split(
        name="train",
        paths=tuple(path for part in parts for path in part.paths),
        sample_ids=tuple(f"{part.name}/{sample}" for part in parts for sample in part.sample_ids),
        targets=np.concatenate([part.targets for part in parts]),
        patient_ids=tuple(owners),
        eyes=tuple(eye for part in parts for eye in part.eyes),
        groups=tuple(group for part in parts for group in part.groups),
        quality=np.concatenate([part.quality for part in parts]),
        weights=np.concatenate(weights) if len(weights) == len(parts) else None,
        others=tuple(path for part in parts for path in part.others),
    )


def divide(index: DatasetIndex, alike: Iterable[Sequence[str]], folds: int) -> FoldDivision:
    """The division of the dataset's train and val; `alike` are groups of paths in the dataset that
    show one picture.

    Raises UserError for a fold without pictures, and for a grade with a single unit, or in a single
    fold, which can't be learned and tested.
    """
    split = joined(index)
    units = _units(split, alike)
    lonely = [
        name
        for grade, name in enumerate(index.class_names)
        if len(np.unique(units[split.targets == grade])) < 2
    ]
    if lonely:
        raise UserError(
            f"--folds: grade {', '.join(lonely)} has a single patient in train and val. At least "
            "two are needed: one to learn from, one to be tested on."
        )
    parts = _deal(split, units, folds) + 1
    filled = len(np.unique(parts))
    if filled < folds:
        raise UserError(
            f"--folds {folds}: the {len(np.unique(units))} patients in train and val fill only "
            f"{filled} folds. Use --folds {max(filled, 2)} or fewer."
        )
    together = [
        name
        for grade, name in enumerate(index.class_names)
        if len(np.unique(parts[split.targets == grade])) < 2
    ]
    if together:
        raise UserError(
            f"--folds {folds}: all pictures of grade {', '.join(together)} are in one fold, as "
            "their patients are divided by a worse grade. Use another number of folds."
        )
    places = zip(parts.tolist(), units.tolist(), strict=True)
    return FoldDivision(folds, dict(zip(split.sample_ids, places, strict=True)))


def member_index(
    index: DatasetIndex, division: FoldDivision, fold: int, *, own_val: bool
) -> DatasetIndex:
    """The dataset of the member that holds out a fold: it trains on the others.

    Its val is the fold held out, which then chooses nothing; with `own_val` a part of its own
    patients instead, which chooses its epoch. Raises UserError where there are too few of them.
    """
    whole = joined(index)
    held = division.held_out(whole, fold)
    train, val = whole.take(np.flatnonzero(~held)), whole.take(np.flatnonzero(held))
    if own_val:
        inner = _own_val(train, division.units(train))
        train, val = train.take(np.flatnonzero(~inner)), train.take(np.flatnonzero(inner))
    splits = {**index.splits, "train": train, "val": replace(val, name="val", others=())}
    return replace(index, splits=splits)


def held_out_split(index: DatasetIndex, division: FoldDivision, fold: int) -> Split:
    """The pictures that the member of a fold has not seen."""
    whole = joined(index)
    chosen = whole.take(np.flatnonzero(division.held_out(whole, fold)))
    return replace(chosen, name=f"fold {fold}", others=())


def _own_val(train: Split, units: np.ndarray) -> np.ndarray:
    """(N,) bool: the pictures of a member's own patients that choose its epoch: the first of
    OWN_VAL parts that has every grade, and leaves some of every one."""
    parts = _deal(train, units, OWN_VAL)
    grades = len(np.unique(train.targets))
    for part in range(OWN_VAL):
        inner = parts == part
        if all(len(np.unique(train.targets[side])) == grades for side in (inner, ~inner)):
            return inner
    raise UserError(
        "--folds: a grade has too few patients for a member to choose its epoch by some of them. "
        "Add --keep_epoch last, which chooses none."
    )


def _deal(split: Split, units: np.ndarray, count: int) -> np.ndarray:
    """(N,) the part, from 0, of each picture: the units of each worst grade, the largest first,
    those of a size in the order of a sha256, go to the part with the fewest pictures of that
    grade."""
    members: dict[int, list[int]] = defaultdict(list)
    for position, unit in enumerate(units.tolist()):
        members[unit].append(position)
    by_grade: dict[int, list[list[int]]] = defaultdict(list)
    for positions in members.values():
        by_grade[int(split.targets[positions].max())].append(positions)
    parts = np.empty(len(split), dtype=np.int64)
    total = np.zeros(count, dtype=np.int64)
    for grade in sorted(by_grade):
        counts = np.zeros(count, dtype=np.int64)
        for positions in sorted(by_grade[grade], key=lambda one: (-len(one), _hash(split, one))):
            part = int(np.lexsort((total, counts))[0])
            parts[positions] = part
            counts[part] += len(positions)
            total[part] += len(positions)
    return parts


def _units(split: Split, alike: Iterable[Sequence[str]]) -> np.ndarray:
    """(N,) numbers, equal for pictures that must be in one fold."""
    positions = {sample: position for position, sample in enumerate(split.sample_ids)}
    shared: dict[tuple[str, str], list[int]] = defaultdict(list)
    for position, (owner, group) in enumerate(zip(split.patient_ids, split.groups, strict=True)):
        shared["patient", owner].append(position)
        if group:
            shared["group", group].append(position)
    together = [[positions[file] for file in files if file in positions] for files in alike]
    links = (both for same in (*shared.values(), *together) for both in pairwise(same))
    units = np.empty(len(split), dtype=np.int64)
    for number, unit in enumerate(components(len(split), links)):
        units[list(unit)] = number
    return units


def _hash(split: Split, positions: Sequence[int]) -> str:
    """Of the first name, without split and grade: the same wherever a picture was before."""
    names = (split.sample_ids[position].split("/", 2)[-1] for position in positions)
    return hashlib.sha256(min(names).encode("utf-8", "surrogateescape")).hexdigest()


def fold_lines(index: DatasetIndex, division: FoldDivision) -> list[str]:
    """The lines of the log on the folds: their pictures of each grade."""
    lines = []
    for fold in range(1, division.folds + 1):
        targets = held_out_split(index, division, fold).targets
        counts = np.bincount(targets, minlength=len(index.class_names)).tolist()
        shown = "  ".join(map("{}: {}".format, index.class_names, counts))
        lines.append(f"fold {fold}: {len(targets)} images  ({shown})")
    return lines
