"""`--ensemble`: opening the networks of an ensemble and checking them against its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dr_ovo.decoding.fitting import fitted_json
from dr_ovo.ensembles.manifest import Manifest, Member
from dr_ovo.errors import UserError
from dr_ovo.files import known_sha256
from dr_ovo.inference.trained_model import TrainedModel, open_network, require_agreement
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.command_line import Settings

EXPORT = "Evaluate its members, and export the ensemble again."
TOGETHER = (
    "Train what is missing, and put the members together again, by the command that began them, "
    "with --resume."
)


def open_members(
    manifest: Manifest, settings: Settings, device: torch.device, again: str = EXPORT
) -> list[TrainedModel]:
    """The members' networks, in the manifest's order; `again`: how to make another manifest.

    Raises UserError, before any is opened, if a folder or checkpoint is missing or differs from the
    one that the manifest was made from; and if a network is not the one that it describes.
    """
    paths = [_checkpoints(member, again) for member in manifest.members]
    models = []
    for member, files in zip(manifest.members, paths, strict=True):
        folder = ResultsFolder(member.folder)
        network, meta, seals = open_network(folder, files)
        _require_same(member, manifest.class_names, meta, again)
        require_agreement(settings, meta, folder)
        if member.fitted is not None:
            meta["decoding"] = fitted_json(member.fitted)
        models.append(TrainedModel(network.to(device), meta, folder, seals))
    return models


def _checkpoints(member: Member, again: str) -> list[Path]:
    if not member.folder.is_dir():
        raise UserError(
            f"The ensemble's member {member.name} is not in {member.folder}: there is no such "
            f"folder. Put it back (the manifest stores its path relative to itself). Or: {again}"
        )
    if not member.checkpoints:
        raise UserError(
            f"The ensemble was made without checkpoints of {member.name}: {member.folder}/"
            f"models had none. Put them there. {again}"
        )
    for name, sha256 in member.checkpoints.items():
        path = member.folder / name
        if not path.resolve().is_relative_to(member.folder.resolve()):
            raise UserError(
                f"The ensemble's member {member.name} names the checkpoint {name!r}, which is not "
                f"inside its folder {member.folder}. Expected a path such as models/best_....pth, "
                f"and no link that leads out of it. {again}"
            )
        if not path.is_file():
            raise UserError(
                f"{path} is missing: the ensemble's member {member.name} needs it. Restore it. "
                f"Or: {again}"
            )
        if known_sha256(path) != sha256:
            raise UserError(
                f"{path} is not the checkpoint that the ensemble was made from (another sha256): "
                f"it was retrained or damaged. Restore it. Or: {again}"
            )
    return [member.folder / name for name in member.checkpoints]


def _require_same(
    member: Member, class_names: tuple[str, ...], meta: Mapping[str, Any], again: str
) -> None:
    compared = {
        "architecture": (member.architecture, meta["architecture"]),
        "head": (member.head, meta["head"]),
        "classes": (" ".join(class_names), " ".join(meta["class_names"])),
    }
    wrong = [
        f"{name} {actual}, and the manifest says {expected}"
        for name, (expected, actual) in compared.items()
        if expected != actual
    ]
    if wrong:
        raise UserError(
            f"The network in {member.folder} is not the ensemble's member {member.name}: it has "
            f"the {'; the '.join(wrong)}. {again}"
        )
