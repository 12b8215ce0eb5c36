"""What the evaluation of an ensemble was made from: its members' checkpoints, and its own files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dr_ovo.files import file_sha256
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.made_from import (
    MADE_FROM,
    PREDICTIONS_VAL,
    Seals,
    checkpoint_file,
    joint_seals,
    made_from,
    seals_of,
)
from dr_ovo.results.model_results import ModelResults

SEALS = ("checkpoints", "directories", "descriptors")


def sources(folder: ResultsFolder, models: Sequence[ModelResults]) -> dict[str, Any]:
    """Of the ensemble of `models` in a folder, whose predictions and calibration are there, what
    its evaluation on test belongs to. Members that lie where they are not looked for by their names
    are told by the sha256 of their checkpoints alone."""
    members = [(one, _seals(one)) for one in (ResultsFolder(model.folder) for model in models)]
    files = [checkpoint_file(member, name) for member, seals in members for name in seals]
    named: Seals = {}
    for (name, own), file in zip(joint_seals(members).items(), files, strict=True):
        is_found = checkpoint_file(folder, name).resolve() == file.resolve()
        named[name] = own if is_found else {"checkpoints": own["checkpoints"]}
    found = made_from(folder, named, ["test"])["test"]
    return {**found, PREDICTIONS_VAL: file_sha256(folder.predictions("val"))}


def _seals(member: ResultsFolder) -> Seals:
    """The seals of the checkpoints with which a member's predictions were made, as its evaluation
    has them; those that are there, where an earlier version did not say."""
    source = member.read_evaluation("test").get(MADE_FROM)
    if source is None:
        return seals_of(member)
    return {
        name: {key: source[key][name] for key in SEALS if name in source.get(key, {})}
        for name in source["checkpoints"]
    }
