"""The ensemble manifest (--export, --ensemble): its fields, written and read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dr_ovo.decoding.decoders import Fitted
from dr_ovo.decoding.fitting import fitted_from_json, fitted_json
from dr_ovo.decoding.heads import ARGMAX, EXPECTED
from dr_ovo.ensembles.combination import METHODS
from dr_ovo.errors import UserError
from dr_ovo.files import write_json
from dr_ovo.predictions.calibration_file import TEMPERATURES, Calibration
from dr_ovo.predictions.operating_points import CONDITIONS

SCHEMA = 2  # 1 had no temperatures of members, and the grade was always the most probable one
KIND = "dr_ovo ensemble"
POINTS = ("high_sensitivity", "high_specificity")


@dataclass(frozen=True)
class Member:
    """A member of an ensemble; `checkpoints` maps its files in `folder` to their sha256.

    `temperature` is that of its probabilities, `prior_corrected` says that what class weights added
    to its logits is taken from them. `fitted`: what decodes them, in place of what its checkpoint
    says.
    """

    name: str
    folder: Path
    architecture: str | None  # timm's name
    head: str
    decoder: str
    weight: float
    checkpoints: Mapping[str, str]
    temperature: float = 1.0
    prior_corrected: bool = False
    fitted: Fitted | None = None


@dataclass(frozen=True)
class Manifest:
    """What is needed to combine the members' predictions on a photograph.

    `expected`: the grade comes from the expected one, by its thresholds; None: it is the most
    probable one.
    """

    method: str
    class_names: tuple[str, ...]
    members: tuple[Member, ...]
    expected: Fitted | None = None

    @property
    def weights(self) -> np.ndarray:
        """(M,), summing to 1."""
        return np.array([member.weight for member in self.members])


def write_manifest(
    path: Path, manifest: Manifest, calibration: Calibration, marks: Sequence[str]
) -> None:
    """Writes the manifest with temperature and thresholds; folders are relative to the file.

    Raises MachineError where that fails.
    """
    base = path.resolve().parent
    write_json(
        path,
        {
            "schema": SCHEMA,
            "kind": KIND,
            "method": manifest.method,
            "class_names": list(manifest.class_names),
            "decoder": ARGMAX if manifest.expected is None else EXPECTED,
            "grade_thresholds": _list(manifest.expected.thresholds if manifest.expected else None),
            "members": [_member_json(member, base) for member in manifest.members],
            "temperature": calibration.temperature,
            "thresholds": {
                name: {
                    point: getattr(getattr(calibration, name), point).threshold for point in POINTS
                }
                for name in CONDITIONS
            },
            "marks": list(marks),
        },
    )


def _list(numbers: tuple[float, ...] | None) -> list[float] | None:
    return None if numbers is None else list(numbers)


def _member_json(member: Member, base: Path) -> dict[str, Any]:
    try:
        folder = os.path.relpath(member.folder.resolve(), base)
    except ValueError:  # another drive has no relative path
        folder = str(member.folder.resolve())
    return {
        "name": member.name,
        "folder": Path(folder).as_posix(),
        "architecture": member.architecture,
        "head": member.head,
        "decoder": member.decoder,
        "weight": member.weight,
        "temperature": member.temperature,
        "prior_corrected": member.prior_corrected,
        "decoding": None if member.fitted is None else fitted_json(member.fitted),
        "checkpoints": [
            {"file": name, "sha256": sha256} for name, sha256 in member.checkpoints.items()
        ],
    }


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file. Raises UserError where it is missing, damaged or no manifest."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--ensemble {path}: can't be read ({error.strerror}). {HINT}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"--ensemble {path}: not valid JSON ({error}). {HINT}") from None
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise UserError(f"--ensemble {path}: not an ensemble manifest. {HINT}")
    if data.get("schema") not in (1, SCHEMA):
        raise UserError(
            f"--ensemble {path} has schema {data.get('schema')}; this version reads 1 and "
            f"{SCHEMA}. {HINT}"
        )
    try:
        manifest = Manifest(
            data["method"],
            tuple(map(str, data["class_names"])),
            tuple(_member(row, path.resolve().parent) for row in data["members"]),
            _expected(data),
        )
        sums_to_one = abs(float(manifest.weights.sum()) - 1) < 1e-6
        weights_valid = sums_to_one and bool(np.all(manifest.weights >= 0))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"--ensemble {path}: damaged ({error!r}). {HINT}") from None
    if manifest.method not in METHODS or not weights_valid:
        raise UserError(
            f"--ensemble {path}: method '{manifest.method}', weights "
            f"{manifest.weights.tolist()}; expected one of {', '.join(METHODS)}, and weights that "
            f"are not negative and sum to 1. {HINT}"
        )
    return manifest


def _expected(data: Mapping[str, Any]) -> Fitted | None:
    """How the grade comes from the expected one; None where it does not. Raises ValueError or
    TypeError for a decoder that there is not, and for thresholds that are none."""
    decoder = data.get("decoder", ARGMAX)
    if decoder not in (ARGMAX, EXPECTED):
        raise ValueError(f"decoder {decoder}")
    if decoder == ARGMAX:
        return None
    numbers = data["grade_thresholds"]
    return fitted_from_json({"thresholds": numbers, "cutpoints": None})


HINT = "Make it with: python evaluate_super_ensemble.py --results_dirs ... --export FILE"


def _member(row: Mapping[str, Any], base: Path) -> Member:
    return Member(
        name=str(row["name"]),
        folder=Path(os.path.normpath(base / row["folder"])),
        architecture=None if row["architecture"] is None else str(row["architecture"]),
        head=str(row["head"]),
        decoder=str(row["decoder"]),
        weight=float(row["weight"]),
        temperature=_temperature(row.get("temperature", 1.0)),
        prior_corrected=row.get("prior_corrected", False) is True,
        fitted=None if row.get("decoding") is None else fitted_from_json(row["decoding"]),
        checkpoints={str(one["file"]): str(one["sha256"]) for one in row["checkpoints"]},
    )


def _temperature(value: object) -> float:
    low, high = TEMPERATURES
    if not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"temperature {value}")
    return float(value)
