"""train_features.npz: the features of train pictures that a results folder keeps, and a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dr_ovo.errors import UserError
from dr_ovo.files import atomic_path
from dr_ovo.gates.nearest_features import (
    MOST,
    NEIGHBOURS,
    VAL,
    WIDEST,
    WITHOUT_PATIENT,
    NearestFeatures,
)
from dr_ovo.safe_files.npz import open_npz
from dr_ovo.safe_files.problems import RefusedFileError

SCHEMA = 1
KINDS = {
    "schema": ("i", 0), "features": ("f", 2), "distances": ("f", 1), "calibrated_on": ("U", 0),
    "checkpoints": ("U", 2), "digest": ("U", 0),
}  # fmt: skip
ADVICE = "Restore it from a copy, or remove it: this gate is not available then."


def save_features(path: Path, found: NearestFeatures, checkpoints: Mapping[str, str]) -> None:
    """Writes the file, whole or not at all; `checkpoints`: the sha256, by file name, of those that
    the features are of. Raises MachineError if the disk refuses."""
    arrays = {
        "schema": np.array(SCHEMA),
        "features": found.features,
        "distances": found.distances.astype(np.float64),
        "calibrated_on": np.array(found.calibrated_on),
        "checkpoints": np.array(sorted(checkpoints.items()), np.str_).reshape(-1, 2),
    }
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays | {"digest": np.array(_digest(arrays))})


def load_features(path: Path) -> tuple[NearestFeatures, dict[str, str]]:
    """What a file holds, and the sha256 of the checkpoints that it is of; no code in it is run.
    Raises UserError where it is not as it was written."""
    try:
        with open_npz(path) as file:
            arrays = {name: file.read(name) for name in file.parts if name in KINDS}
    except RefusedFileError as error:
        raise UserError(f"{path} can't be read as features: {error}. {ADVICE}") from None
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror or error}. {ADVICE}") from None
    wrong = [
        name
        for name, (kind, dimensions) in KINDS.items()
        if name not in arrays or arrays[name].dtype.kind != kind or arrays[name].ndim != dimensions
    ]
    if wrong:
        raise UserError(f"{path} can't be read as features: {', '.join(wrong)} in it. {ADVICE}")
    if arrays["schema"].item() != SCHEMA:
        raise UserError(
            f"{path} has schema {arrays['schema'].item()}; this version reads {SCHEMA}. Use the "
            "version of dr_ovo that wrote it."
        )
    if arrays.pop("digest").item() != _digest(arrays):
        raise UserError(f"{path} is not as it was written. {ADVICE}")
    features, distances = arrays["features"], arrays["distances"]
    calibrated_on = str(arrays["calibrated_on"].item())
    usable = (
        NEIGHBOURS < len(features) <= MOST
        and 0 < features.shape[1] <= WIDEST
        and len(distances) > 0
        and arrays["checkpoints"].shape[1] == 2
        and calibrated_on in (VAL, WITHOUT_PATIENT)
        and np.isfinite(features).all()
        and np.isfinite(distances).all()
    )
    if not usable:
        raise UserError(f"{path} holds no features that can be right. {ADVICE}")
    checkpoints = {str(name): str(sha256) for name, sha256 in arrays["checkpoints"]}
    return NearestFeatures(features, distances, calibrated_on), checkpoints


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """The sha256 over names, kinds, shapes and contents of arrays."""
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
