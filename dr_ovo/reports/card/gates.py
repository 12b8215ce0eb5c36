"""The gates: which pictures they stop, as far as the results folder records them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dr_ovo.document.document import Cell, Column, Table
from dr_ovo.gates.features_file import load_features
from dr_ovo.gates.nearest_features import NEIGHBOURS, VAL, NearestFeatures
from dr_ovo.reports.card.external import External
from dr_ovo.reports.card.form.parts import COUNT, MISSING, CardSection, number, reason_of
from dr_ovo.results.folder import ResultsFolder

STOPPED = {
    "no_fundus": "no fundus photograph, %",
    "unlike_training": "unlike the training, %",
    "ungradable": "too low a quality, %",
    "stopped": "any of these, %",
}
WHAT = (
    "predict.py calls a picture ungradable that one of two gates stops. The figures of this card "
    "are of all photographs, also of those that a gate stops."
)
NO_FUNDUS = (
    "The first stops what is no fundus photograph, by its field of view, colour and texture. "
    "Nothing in it is trained, and its limits are those of the toolkit: they were set on parts of "
    "IDRiD and RetinaMNIST and on drawn pictures, not on the data of this model."
)
UNLIKE = (
    f"The second stops what is unlike the training: a picture whose features are farther from "
    f"their {NEIGHBOURS} nearest neighbours among kept train pictures than those of nearly all "
    "pictures that the network did not learn from. It needs train_features.npz, which a training "
    "writes at its end."
)
SEVERAL = "More than half of the networks that can tell must call a picture so."
LIMITS = (
    "What passes may be no fundus all the same: a red thing with soft edges alone in a round frame "
    "can look like one, and the features of a network do not tell every strange picture. "
    "Photographs of another camera may be stopped, rightly: the figures need not hold there."
)


@dataclass(frozen=True)
class TrainingGate:
    """What the folder of a network keeps of its train pictures; without it (None), `why_not`."""

    network: str
    nearest: NearestFeatures | None
    why_not: str = ""


def read_gates(trained: Sequence[ResultsFolder]) -> tuple[TrainingGate, ...]:
    """The gate of each network. Raises UserError for a damaged train_features.npz."""
    return tuple(map(_read, trained))


def _read(folder: ResultsFolder) -> TrainingGate:
    name = folder.root.name
    if not folder.root.is_dir():
        return TrainingGate(name, None, "the folder of its training is not here")
    if not folder.train_features.is_file():
        return TrainingGate(name, None, "there is no train_features.npz")
    nearest, checkpoints = load_features(folder.train_features)
    described = {key: one.get("sha256") for key, one in folder.read_descriptors().items()}
    if None not in described.values() and described != checkpoints:
        return TrainingGate(name, None, "train_features.npz is of other checkpoints")
    return TrainingGate(name, nearest)


def gates_section(gates: Sequence[TrainingGate], datasets: Sequence[External]) -> CardSection:
    """What each gate does, on what its level was fixed, and what they stop where that is known."""
    said = [WHAT, NO_FUNDUS, f"{UNLIKE} {SEVERAL}" if len(gates) > 1 else UNLIKE]
    said += [_level(gate, several=len(gates) > 1) for gate in gates]
    rows = [*_own_test(datasets), *_others(datasets)]
    if not any(row[0] == "own test" for row in rows):
        said.append(
            "How many of the own test they stop is not recorded: an evaluation with --external "
            "counts it where these photographs are at hand."
        )
    said.append(LIMITS)
    columns = [Column("photographs", "photographs of"), COUNT]
    columns += [Column(key, title, "percent") for key, title in STOPPED.items()]
    return CardSection("Gates", said, [Table("gates", "Stopped by the gates", columns, rows)])


def _level(gate: TrainingGate, *, several: bool) -> str:
    of = f" of {gate.network}" if several else ""
    if gate.nearest is None:
        return f"The second gate{of} is not available: {gate.why_not}."
    nearest = gate.nearest
    fixed = f"by {number(len(nearest.distances), 'photograph')} of val, of a patient each"
    if nearest.calibrated_on != VAL:
        fixed = (
            f"by the distances of {number(len(nearest.distances), 'train photograph')} from other "
            "patients', times as much as val is farther away: an approximation, as val is small"
        )
    return (
        f"The second gate{of} keeps {number(len(nearest.features), 'train picture')}, and stops at "
        f"p <= {nearest.level:.3f}; p is fixed {fixed}."
    )


def _own_test(datasets: Sequence[External]) -> Iterator[list[Cell]]:
    """The own test, of the first evaluation on other data that counted it, too."""
    for one in datasets:
        own = one.evaluation.get("gates", {}).get("own_test")
        if own is not None and reason_of(own) is None:
            yield _row("own test", own["n"], own)
            return


def _others(datasets: Sequence[External]) -> Iterator[list[Cell]]:
    for one in datasets:
        if block := one.evaluation.get("gates"):
            yield _row(one.name, one.evaluation["n"], block)


def _row(name: str, count: int, block: Mapping[str, Any]) -> list[Cell]:
    shares = (block.get(key, MISSING) for key in STOPPED)
    return [name, count, *(share.get("share", share) for share in shares)]
