"""The ensemble manifest (--export, --ensemble): its fields, written and read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct
from msgspec.structs import asdict

from dr_ovo.choices import DECODERS
from dr_ovo.decoding.decoders import Fitted
from dr_ovo.decoding.fitting import fitted_from_json, fitted_json
from dr_ovo.decoding.heads import ARGMAX, EXPECTED, HEADS
from dr_ovo.ensembles.combination import METHODS
from dr_ovo.errors import UserError
from dr_ovo.json_files import as_schema, read_json
from dr_ovo.predictions.calibration_file import (
    Calibration,
    GradeThreshold,
    Temperature,
    check_calibration,
)
from dr_ovo.predictions.operating_points import CONDITIONS
from dr_ovo.sealed_json import check_digest, write_sealed

SCHEMA = 2  # 1 had no temperatures of members, and the grade was always the most probable one
KIND = "dr_ovo ensemble"
ROW_OF_SCHEMA_1 = {"temperature": 1.0, "prior_corrected": False, "decoding": None}
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
    probable one. `calibration`: of the ensemble; None in files of earlier versions.
    """

    method: str
    class_names: tuple[str, ...]
    members: tuple[Member, ...]
    expected: Fitted | None = None
    calibration: Calibration | None = None

    @property
    def weights(self) -> np.ndarray:
        """(M,), summing to 1."""
        return np.array([member.weight for member in self.members])


class _Checkpoint(Struct):
    """A checkpoint of a member: a file in the folder `models` of its results."""

    file: Annotated[str, Meta(pattern=r"^models/(?!\.+$)[^/\\]+$")]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class _Decoding(Struct):
    """What decodes a member, as `fitted_json` returned it."""

    cutpoints: list[float] | None
    sigma: float | None
    thresholds: list[float] | None


class _Row(Struct):
    """A member as the file has it."""

    name: str
    folder: str
    architecture: str | None
    head: Literal[tuple(HEADS)]  # type: ignore[valid-type]
    decoder: Literal[(*DECODERS, ARGMAX)]  # type: ignore[valid-type]
    weight: Annotated[float, Meta(ge=0, le=1)]
    checkpoints: list[_Checkpoint]
    temperature: Temperature
    prior_corrected: bool
    decoding: _Decoding | None


class _File(Struct):
    """The manifest as the file has it."""

    method: Literal[tuple(METHODS)]  # type: ignore[valid-type]
    class_names: list[str]
    members: Annotated[list[_Row], Meta(min_length=1, max_length=1000)]
    decoder: Literal["argmax", "expected"]
    grade_thresholds: list[GradeThreshold] | None
    calibration: Calibration | None = None


def write_manifest(
    path: Path, manifest: Manifest, calibration: Calibration, marks: Sequence[str]
) -> None:
    """Writes the manifest with temperature and thresholds; folders are relative to the file.

    Raises MachineError where that fails.
    """
    base = path.resolve().parent
    write_sealed(
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
            "calibration": calibration.to_json(),
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
    data = read_json(path, HINT)
    schema = data.get("schema")
    if data.get("kind") != KIND:
        raise UserError(f"{path} is not an ensemble manifest. {HINT}")
    if type(schema) is not int or schema not in (1, SCHEMA):
        raise UserError(f"{path} has schema {schema}; this version reads 1 and {SCHEMA}. {HINT}")
    stored = as_schema(_of_schema_1(data) if schema == 1 else data, _File, path, HINT)
    try:
        manifest = Manifest(
            stored.method,
            tuple(stored.class_names),
            tuple(_member(row, path.resolve().parent) for row in stored.members),
            _expected(stored),
            stored.calibration,
        )
        _check_counts(manifest)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path} is damaged: {error}. {HINT}") from None
    if manifest.calibration is not None:
        check_calibration(manifest.calibration, path, HINT)
    if abs(float(manifest.weights.sum()) - 1) >= 1e-6:
        raise UserError(
            f"{path} is damaged: its weights are {manifest.weights.tolist()}; expected a sum of 1. "
            f"{HINT}"
        )
    check_digest(data, path, HINT)
    return manifest


def _of_schema_1(data: dict[str, Any]) -> dict[str, Any]:
    """With the keys that schema 1 did not have, and what held without them."""
    rows = data.get("members")
    if isinstance(rows, list):
        rows = [ROW_OF_SCHEMA_1 | row if isinstance(row, dict) else row for row in rows]
        data = {**data, "members": rows}
    return {"decoder": ARGMAX, "grade_thresholds": None, **data}


def _check_counts(manifest: Manifest) -> None:
    """Raises ValueError where thresholds or cutpoints are not one fewer than the classes."""
    fitted = [("the ensemble", manifest.expected), *((m.name, m.fitted) for m in manifest.members)]
    for name, own in fitted:
        found = {
            "thresholds": own.thresholds if own else None,
            "cutpoints": own.scale.cutpoints if own and own.scale else None,
        }
        for what, numbers in found.items():
            if numbers is not None and len(numbers) != len(manifest.class_names) - 1:
                raise ValueError(
                    f"{name} has {len(numbers)} {what}, and {len(manifest.class_names)} classes "
                    f"need {len(manifest.class_names) - 1}"
                )


def _expected(stored: _File) -> Fitted | None:
    """How the grade comes from the expected one; None where it does not. Raises ValueError or
    TypeError for thresholds that are none."""
    if stored.decoder == ARGMAX:
        return None
    return fitted_from_json({"thresholds": stored.grade_thresholds, "cutpoints": None})


HINT = (
    "Make it again. That of a cross-validation: by the command that trained its members, with "
    "--resume; another: python evaluate_super_ensemble.py --results_dirs ... --export FILE"
)


def _member(row: _Row, base: Path) -> Member:
    return Member(
        name=row.name,
        folder=Path(os.path.normpath(base / row.folder)),
        architecture=row.architecture,
        head=row.head,
        decoder=row.decoder,
        weight=row.weight,
        temperature=row.temperature,
        prior_corrected=row.prior_corrected,
        fitted=None if row.decoding is None else fitted_from_json(asdict(row.decoding)),
        checkpoints={one.file: one.sha256 for one in row.checkpoints},
    )
