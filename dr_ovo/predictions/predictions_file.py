"""predictions_<split>.npz: its fields and checks, reading and writing, SYNTHETIC/LEAKY marks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from dr_ovo.decoding.heads import HEADS, logit_width
from dr_ovo.decoding.tempering import log_probabilities
from dr_ovo.errors import UserError
from dr_ovo.files import atomic_path
from dr_ovo.pairs import class_pairs
from dr_ovo.safe_files.npz import open_npz
from dr_ovo.safe_files.problems import RefusedFileError

SCHEMA = 1

MARKS = ("SYNTHETIC", "SIMULATED", "LEAKY")  # warnings shown with all figures
PER_SAMPLE = (
    "sample_ids", "patient_ids", "eyes", "quality", "calibration", "targets", "predicted",
    "logits", "probabilities",
)  # fmt: skip
# Field -> element type in the .npz.
_KINDS: dict[str, type] = {
    "class_names": np.str_,
    "sample_ids": np.str_,
    "patient_ids": np.str_,
    "eyes": np.str_,
    "quality": np.float64,
    "calibration": np.bool_,
    "targets": np.int64,
    "predicted": np.int64,
    "pairs": np.int64,
    "logits": np.float64,
    "probabilities": np.float64,
    "marks": np.str_,
}
# Kinds of NumPy's types from which those are made without a change: yes and no from nothing else.
_MADE_FROM = {np.str_: "U", np.float64: "fiu", np.int64: "iu", np.bool_: "b"}


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of one model or ensemble on the N samples of a split.

    Everything array-like is converted to an array. `head` is one of `HEADS`, or `ensemble`.
    Probabilities are never tempered. Raises UserError for inconsistent fields.
    """

    head: str
    decoder: str
    class_names: np.ndarray  # (C,) str
    sample_ids: np.ndarray  # (N,) str, the path inside the split
    patient_ids: np.ndarray  # (N,) str: patient, else the manifest's group, else the sample
    eyes: np.ndarray  # (N,) str, empty where unknown
    quality: np.ndarray  # (N,) float, NaN where unknown
    calibration: np.ndarray  # (N,) bool: not for model selection but for calibration
    targets: np.ndarray  # (N,) int64
    predicted: np.ndarray  # (N,) int64, chosen by the decoder
    pairs: np.ndarray  # (P, 2) int64; (0, 2) for heads without pairs
    logits: np.ndarray  # (N, K), as the head has them; log probabilities (N, C) for an ensemble
    probabilities: np.ndarray  # (N, C)
    marks: np.ndarray = field(default_factory=lambda: np.zeros(0, np.str_))  # (M,) str, of MARKS
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=kind))
        object.__setattr__(self, "pairs", self.pairs.reshape(-1, 2))
        self._check_shapes()
        self._check_values()

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.class_names)

    def _check_shapes(self) -> None:
        samples, classes = self.targets.size, self.num_classes
        paired = class_pairs(classes) if has_pairs(self.head) else []
        width = classes if self.head == "ensemble" else logit_width(self.head, classes)
        per_sample = ("sample_ids", "patient_ids", "eyes", "quality", "calibration", "predicted")
        expected: dict[str, tuple[int, ...]] = dict.fromkeys(("targets", *per_sample), (samples,))
        expected |= {"logits": (samples, width), "probabilities": (samples, classes)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise UserError(
                    f"These predictions are inconsistent: '{name}' has shape "
                    f"{getattr(self, name).shape}, but {samples} samples, {classes} classes and "
                    f"the head '{self.head}' need {shape}. Evaluate again."
                )
        if self.pairs.tolist() != [list(pair) for pair in paired]:
            raise UserError(
                f"These predictions have the pairs {self.pairs.tolist()}, but the head "
                f"'{self.head}' with {classes} classes needs {paired}. Evaluate again."
            )

    def _check_values(self) -> None:
        classes = self.num_classes
        sums_to_one = np.abs(self.probabilities.sum(axis=1) - 1) < 1e-3
        grades = np.concatenate([self.targets, self.predicted])
        checks = {
            "no samples": len(self.targets) > 0,
            "a duplicate sample": len(np.unique(self.sample_ids)) == len(self.sample_ids),
            f"a class outside 0..{classes - 1}": np.all((grades >= 0) & (grades < classes)),
            "a logit that is not finite": np.isfinite(self.logits).all(),
            "a negative probability": np.all(self.probabilities >= 0),
            "probabilities that don't sum to 1": sums_to_one.all(),
        }
        failed = [check for check, passed in checks.items() if not passed]
        if failed:
            raise UserError(f"These predictions contain {', '.join(failed)}. Evaluate again.")


def has_pairs(head: str) -> bool:
    """Whether a head has a logit for each pair; an ensemble has none."""
    return head in HEADS and HEADS[head].paired


def save_predictions(path: Path | str, predictions: Predictions) -> None:
    """Write the .npz, whole or not at all; raises MachineError where that fails.

    `marks` is written only where there are any.
    """
    arrays = {one.name: getattr(predictions, one.name) for one in fields(predictions)}
    if not len(predictions.marks):
        del arrays["marks"]
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_predictions(path: Path | str) -> Predictions:
    """The predictions in a .npz file; no code in it is ever run.

    Raises UserError where the file is missing, damaged or of another schema.
    """
    if not Path(path).is_file():
        raise UserError(f"There is no file {path}. Evaluate the model first (--mode evaluate).")
    try:
        with open_npz(Path(path)) as file:
            return _from_arrays({name: file.read(name) for name in file.parts}, path)
    except RefusedFileError as error:
        raise UserError(
            f"{path} can't be read as predictions: {error}. Evaluate the model again."
        ) from None
    except OSError as error:
        raise UserError(
            f"{path} can't be read as predictions ({error.strerror or error}). Check the disk, or "
            "evaluate the model again."
        ) from None


def _from_arrays(arrays: dict[str, np.ndarray], path: Path | str) -> Predictions:
    arrays = {"marks": np.zeros(0, np.str_), **arrays}
    missing = [one.name for one in fields(Predictions) if one.name not in arrays]
    schema = arrays["schema"].tolist() if "schema" in arrays else None
    one = {"head": "U", "decoder": "U", "schema": "iu"}
    kinds = one | {name: _MADE_FROM[kind] for name, kind in _KINDS.items()}
    for name in kinds.keys() & arrays.keys():
        array = arrays[name]
        if array.dtype.kind not in kinds[name] or (name in one and array.ndim):
            raise UserError(
                f"{path} can't be read as predictions: its {name} is {array.dtype} of shape "
                f"{array.shape}. Evaluate the model again."
            )
    if missing or schema != SCHEMA:
        lack = f", without {', '.join(missing)}" if missing else ""
        raise UserError(
            f"{path} has schema {schema}{lack}; this version reads schema {SCHEMA}. "
            "Evaluate the model again."
        )
    head, decoder = str(arrays["head"]), str(arrays["decoder"])
    return Predictions(head, decoder, **{name: arrays[name] for name in _KINDS}, schema=schema)


def take(predictions: Predictions, positions: np.ndarray) -> Predictions:
    """The samples at `positions`: indices (K,), in that order, or a mask (N,) bool."""
    taken = {name: getattr(predictions, name)[positions] for name in PER_SAMPLE}
    return replace(predictions, **taken)


def marks_of(sources: Iterable[Mapping[str, Any]], predictions: Iterable[Predictions]) -> list[str]:
    """The MARKS of any of the JSON `sources` (`"leaky": true`) or of the predictions."""
    found = {str(mark) for p in predictions for mark in p.marks}
    found |= {mark for mark in MARKS for source in sources if source.get(mark.lower()) is True}
    return [mark for mark in MARKS if mark in found]


def pair_logits(predictions: Predictions) -> np.ndarray:
    """Logits (N, P) of all pairs for any head, so that every head has pair metrics.

    Heads without pairs give log p_b - log p_a.
    """
    if has_pairs(predictions.head):
        return predictions.logits
    logs = log_probabilities(predictions.probabilities)
    lower, higher = np.array(class_pairs(predictions.num_classes)).T
    return logs[:, higher] - logs[:, lower]
