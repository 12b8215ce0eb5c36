"""Checkpoint files: writing, finding and reading them.

Each holds plain numbers, strings and tensors and is complete by itself: it loads with
`torch.load(path, weights_only=True)` without this package. A JSON file beside each repeats
everything but the tensors, with the checkpoint's sha256.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dr_ovo.decoding.decoders import Fitted
from dr_ovo.decoding.fitting import fitted_from_json
from dr_ovo.decoding.heads import HEADS
from dr_ovo.errors import UserError
from dr_ovo.files import known_sha256, write_json
from dr_ovo.models.backbone import InputSpec
from dr_ovo.models.metadata import (
    SCHEMA,
    STATE,
    TOOLKIT,
    MetadataError,
    checked_metadata,
    is_ours,
)
from dr_ovo.models.weights.containers import StateDict
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.safe_files.torch_loading import load_torch
from dr_ovo.safe_files.torch_saving import save_torch

NEW = 10  # seconds
LONGEST = 2**24  # bytes of the JSON beside a checkpoint
WAITS = (0.2, 1.0)  # seconds, for a training that has just written a file, not yet the other
BACKBONE = "backbone."  # prefix of the backbone's weights


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory: `meta` is everything but the weights `state`."""

    path: Path
    meta: dict[str, Any]
    state: StateDict


def checkpoint_path(models: Path, architecture: str, branch: str) -> Path:
    """The path of a branch's best weights."""
    return models / f"best_{architecture}_{branch}.pth"


def save_checkpoint(
    path: Path,
    meta: dict[str, Any],
    state: StateDict,
    tensors: dict[str, torch.Tensor | None] | None = None,
) -> None:
    """Writes the file and the JSON beside it, each whole or not at all.

    `meta` holds plain Python values only; `tensors` are further entries (feature statistics).
    Raises MachineError if the disk refuses.
    """
    head = {"schema": SCHEMA, "toolkit": TOOLKIT, **meta}
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    sha256 = save_torch(path, {**head, **(tensors or {}), STATE: weights})
    readable = {**head, "sha256": sha256, "bytes": path.stat().st_size}
    write_json(path.with_suffix(".json"), readable)


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at `path`, which must be the one that the JSON beside it describes, if there
    is one. Raises UserError for another file, and for metadata that can't be right."""
    content = _read(path)
    if not is_ours(content):
        raise UserError(
            f"{path} was not made by this toolkit and can't be evaluated here. "
            "model_analyzer.py shows what it contains."
        )
    if content.get("schema") != SCHEMA:
        raise UserError(
            f"{path} has checkpoint schema {content.get('schema')}; this version reads {SCHEMA}. "
            "Use the version of dr_ovo that wrote it."
        )
    try:
        return Checkpoint(path, checked_metadata(content), content.get(STATE, {}))
    except MetadataError as error:
        raise damaged(path, error) from None


def _read(path: Path) -> Any:
    """The content of a file, by the sha256 that the JSON beside it has; without one, as it is."""
    sha256 = _described_sha256(path)
    for seconds in WAITS:
        new = path.is_file() and time.time() - path.stat().st_mtime < NEW
        if not (new and sha256 and known_sha256(path) != sha256):
            break
        time.sleep(seconds)
        sha256 = _described_sha256(path)
    hint = "It may be truncated, or from another toolkit; model_analyzer.py shows what it contains."
    if sha256:
        beside = path.with_suffix(".json").name
        advice = "restore both from a copy, or train again in another --output_dir."
        if _is_in_training(path.parent):
            advice = (
                "restore both. If its training was killed while it wrote them, continue it with "
                "--resume."
            )
        hint = f"It must be the checkpoint that {beside} beside it describes: {advice}"
    return load_torch(path, hint, sha256=sha256)


def _is_in_training(models: Path) -> bool:
    """Whether the results folder of these models has a training that is not finished."""
    try:
        progress = json.loads((models.parent / "resume" / "progress.json").read_text("utf-8"))
        return progress["finished"] is False
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False


def _described_sha256(path: Path) -> str:
    """The sha256 that the JSON beside a checkpoint has of it; "" without one."""
    try:
        beside = path.with_suffix(".json")
        too_long = beside.stat().st_size > LONGEST
        sha256 = "" if too_long else json.loads(beside.read_text("utf-8"))["sha256"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""
    return sha256 if isinstance(sha256, str) else ""


def damaged(path: Path, error: MetadataError) -> UserError:
    """The error of a checkpoint whose content can't be right."""
    return UserError(
        f"{path} is damaged: {error}. Restore it, or train again; model_analyzer.py shows what it "
        "contains."
    )


def find_checkpoints(models: Path, architecture: str | None) -> list[Path]:
    """The best checkpoints of one network in a models folder.

    Raises UserError if there are none, or if they belong to several networks.
    """
    found = sorted(models.glob("best_*.pth"))
    branches = "|".join([*HEADS, r"\d+_\d+"])
    pattern = re.compile(rf"best_(?P<name>.+)_(?P<branch>{branches})\.pth")
    networks: dict[tuple[str, str], list[Path]] = {}
    for path in found:
        if match := pattern.fullmatch(path.name):
            kind = match["branch"] if match["branch"].isalpha() else "pairs"
            networks.setdefault((match["name"], kind), []).append(path)
    chosen = {key: files for key, files in networks.items() if architecture in (None, key[0])}
    if len(chosen) == 1:
        return next(iter(chosen.values()))
    present = ", ".join(path.name for path in found) or "no best_*.pth files"
    wanted = f" for {architecture}" if architecture else ""
    if not chosen:
        raise UserError(
            f"No checkpoints{wanted} in {models} (it has {present}). Give the results folder of a "
            f"training{wanted} (RESULTS_DIR, or --output_dir)."
        )
    raise UserError(
        f"{models} has several networks{wanted}: {present}. Name one with --base_models, or keep "
        "one network per folder."
    )


def backbone_state(checkpoint: Checkpoint) -> StateDict:
    """The backbone's weights under timm's own names."""
    return {
        name.removeprefix(BACKBONE): tensor
        for name, tensor in checkpoint.state.items()
        if name.startswith(BACKBONE)
    }


def input_of(meta: dict[str, Any]) -> tuple[InputSpec, Preprocessing]:
    """The input of a checkpoint's network, and the preprocessing that produces it."""
    stored = meta["input"]
    spec = InputSpec(stored["size"], tuple(stored["mean"]), tuple(stored["std"]))
    return spec, Preprocessing.from_dict(meta["preprocessing"])


def fitted_of(meta: dict[str, Any], path: Path) -> Fitted:
    """What was fitted on val for decoding the logits of a network, whose checkpoints lie in `path`.
    Raises UserError where it is damaged."""
    try:
        return fitted_from_json(meta["decoding"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"The checkpoint in {path} is damaged: its decoding is {meta['decoding']} ({error})."
        ) from None
