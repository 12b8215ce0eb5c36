"""Checkpoint files: writing, finding and checking them, and assembling the network they form.

Each holds plain numbers, strings and tensors and is complete by itself: it loads with
`torch.load(path, weights_only=True)` without this package. A JSON file beside each repeats
everything but the tensors, with the checkpoint's sha256.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dr_ovo.decoding.decoders import Fitted
from dr_ovo.decoding.fitting import fitted_from_json
from dr_ovo.decoding.heads import HEADS, head_of
from dr_ovo.errors import UserError
from dr_ovo.files import known_sha256, write_json
from dr_ovo.models.backbone import InputSpec, create_backbone
from dr_ovo.models.metadata import (
    SCHEMA,
    STATE,
    TOOLKIT,
    MetadataError,
    checked_metadata,
    is_ours,
    require_outputs,
)
from dr_ovo.models.network import BranchSpec, OvoNetwork, build_network
from dr_ovo.models.parts.built_backbone import (
    NoArchitectureError,
    OtherWeightsError,
    built_backbone,
)
from dr_ovo.models.weights.containers import StateDict
from dr_ovo.pairs import class_pairs
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.safe_files.torch_loading import load_torch
from dr_ovo.safe_files.torch_saving import save_torch
from dr_ovo.settings.train_config import FIELDS

# What training writes into every checkpoint, and a network can't do without.
NEEDED = (
    "architecture", "head", "ovo_mode", "branch", "pairs", "class_names", "num_classes", "input",
    "preprocessing", "freeze_stages", "metrics",
)  # fmt: skip
NEW = 10  # seconds
LONGEST = 2**24  # bytes of the JSON beside a checkpoint
WAITS = (0.2, 1.0)  # seconds, for a training that has just written a file, not yet the other
BACKBONE = "backbone."  # prefix of the backbone's weights
# Keys on which all files of one network must agree.
COMMON = tuple(
    dict.fromkeys(
        field.metadata["checkpoint_key"]
        for field in FIELDS.values()
        if field.metadata["checkpoint_key"]
    )
)


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
        raise _damaged(path, error) from None


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
        hint = (
            f"It must be the checkpoint that {path.with_suffix('.json').name} beside it describes: "
            "restore both. If a training was killed while it wrote them, continue it with --resume."
        )
    return load_torch(path, hint, sha256=sha256)


def _described_sha256(path: Path) -> str:
    """The sha256 that the JSON beside a checkpoint has of it; "" without one."""
    try:
        beside = path.with_suffix(".json")
        too_long = beside.stat().st_size > LONGEST
        sha256 = "" if too_long else json.loads(beside.read_text("utf-8"))["sha256"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""
    return sha256 if isinstance(sha256, str) else ""


def _damaged(path: Path, error: MetadataError) -> UserError:
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


def load_network(paths: list[Path]) -> tuple[OvoNetwork, dict[str, Any]]:
    """The network that the checkpoints form, in eval mode, and their common metadata.

    `meta["pair_accuracy"]` is the val accuracy of each pair, in the order of `class_pairs`.
    Raises UserError if pairs are missing or the files do not belong together.
    """
    checkpoints = [load_checkpoint(path) for path in paths]
    _require_same_network(checkpoints)
    for checkpoint in checkpoints:
        _require_agreement(checkpoint)
    if head_of(checkpoints[0].meta["head"]).paired:
        checkpoints = _in_pair_order(checkpoints)
    rows = [row for c in checkpoints for row in c.meta["metrics"].get("pairs", [])]
    accuracy = {tuple(row["pair"]): row["val_accuracy"] for row in rows}
    pairs = class_pairs(checkpoints[0].meta["num_classes"])
    meta = {**checkpoints[0].meta, "pair_accuracy": [accuracy.get(pair) for pair in pairs]}
    meta["leaky"] = any(c.meta.get("leaky", False) for c in checkpoints)
    shifts = [c.meta["prior_shift"] for c in checkpoints]
    meta["prior_shift"] = None if None in shifts else [one for shift in shifts for one in shift]
    return _assemble(checkpoints), meta


def load_single(path: Path) -> tuple[OvoNetwork, dict[str, Any]]:
    """The network of one checkpoint alone, in eval mode, and its metadata."""
    checkpoint = load_checkpoint(path)
    _require_agreement(checkpoint)
    return _assemble([checkpoint]), checkpoint.meta


def _assemble(checkpoints: list[Checkpoint]) -> OvoNetwork:
    """The network with one branch per checkpoint, in the same order, in eval mode."""
    first = checkpoints[0]
    frozen = first.meta["freeze_stages"] if len(checkpoints) > 1 else 0
    size, architecture = first.meta["input"]["size"], first.meta["architecture"]
    specs = [_spec(checkpoint) for checkpoint in checkpoints]
    width = _require_fit(checkpoints)
    network = build_network(
        create_backbone(architecture, size, weights=None),
        specs, img_size=size, frozen_stages=frozen, dropout=0.0, seed=0, width=width,
    )  # fmt: skip
    for position, checkpoint in enumerate(checkpoints):
        _fill(network, checkpoint, with_stem=position == 0)
    return network.eval()


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


def _spec(checkpoint: Checkpoint) -> BranchSpec:
    pairs = tuple((a, b) for a, b in checkpoint.meta["pairs"])
    return BranchSpec(checkpoint.meta["branch"], pairs, len(checkpoint.state["head.bias"]))


def _require_same_network(checkpoints: list[Checkpoint]) -> None:
    first = checkpoints[0]
    for other in checkpoints[1:]:
        for key in COMMON:
            one, two = first.meta.get(key), other.meta.get(key)
            if one != two:
                raise UserError(
                    f"{first.path.name} and {other.path.name} do not belong to one network: {key} "
                    f"is {one} in one, {two} in the other."
                )


def _in_pair_order(checkpoints: list[Checkpoint]) -> list[Checkpoint]:
    num_classes = checkpoints[0].meta["num_classes"]
    by_pair = {tuple(pair): c for c in checkpoints for pair in c.meta["pairs"]}
    wanted = class_pairs(num_classes)
    missing = [f"{a}-{b}" for a, b in wanted if (a, b) not in by_pair]
    if missing:
        folder = str(checkpoints[0].path.parent.parent)
        command = ["python", "ensemble_5class_trainer.py", "--mode", "train", "--config"]
        command += [f"{folder}/config.json", "--output_dir", folder, "--pairs"]
        raise UserError(
            f"The network in {folder} is incomplete: no classifier for the pairs "
            f"{' '.join(missing)}. Train them with the settings of the others:\n"
            f"  {shlex.join(command)} {' '.join(missing)}\n"
            "adding --dataset_path if it is not the default."
        )
    return [by_pair[wanted[0]]] if len(checkpoints) == 1 else [by_pair[pair] for pair in wanted]


def _fill(network: OvoNetwork, checkpoint: Checkpoint, *, with_stem: bool) -> None:
    """Loads a checkpoint's weights into its branch; its stem must equal the network's."""
    branch = network.branch(checkpoint.meta["branch"])
    backbone = backbone_state(checkpoint)
    try:
        if network.stem is not None:
            stem = {name: backbone.pop(name) for name in network.stem.state_dict()}
            if with_stem:
                network.stem.load_state_dict(stem, strict=True)
            else:
                _require_same_stem(network.stem, stem, checkpoint.path)
        branch.rest.load_state_dict(backbone, strict=True)
        branch.head.load_state_dict(
            {"weight": checkpoint.state["head.weight"], "bias": checkpoint.state["head.bias"]}
        )
    except (RuntimeError, KeyError) as error:
        raise _misfit(checkpoint, str(error)) from None


def _require_agreement(checkpoint: Checkpoint) -> None:
    """Raises UserError for a checkpoint of which something is missing, or contradicts the rest."""
    meta = checkpoint.meta
    try:
        for key in NEEDED:
            if key not in meta:
                raise MetadataError(f"it has no {key}")
        head, pairs = head_of(meta["head"]), meta["pairs"]
        if head.paired != bool(pairs):
            raise MetadataError(f"its head is {meta['head']}, and it has {len(pairs)} pairs")
        outputs = len(pairs) if head.paired else head.outputs(meta["num_classes"])
        require_outputs(meta, checkpoint.state, outputs)
        sizes = meta["input"]["size"], meta["preprocessing"]["size"]
        if sizes[0] != sizes[1]:
            raise MetadataError("its preprocessing makes {1} pixels of {0}".format(*sizes))
    except MetadataError as error:
        raise _damaged(checkpoint.path, error) from None


def _require_fit(checkpoints: list[Checkpoint]) -> int:
    """The number of features of the backbone. Raises UserError if the weights are not those of the
    architecture."""
    first = checkpoints[0]
    try:
        expected = built_backbone(first.meta["architecture"], first.meta["input"]["size"])
    except NoArchitectureError as error:
        raise _damaged(first.path, MetadataError(str(error))) from None
    except OtherWeightsError as error:
        raise _misfit(first, str(error)) from None
    for checkpoint in checkpoints:
        try:
            expected.require_same(backbone_state(checkpoint))
            expected.require_head(checkpoint.state)
        except OtherWeightsError as error:
            raise _misfit(checkpoint, str(error)) from None
    return expected.width


def _misfit(checkpoint: Checkpoint, why: str) -> UserError:
    return UserError(
        f"The weights in {checkpoint.path} do not fit {checkpoint.meta['architecture']} as this "
        f"timm builds it: {why[:400]}. Its config.json names the version that fits."
    )


def _require_same_stem(stem: nn.Module, other: StateDict, path: Path) -> None:
    expected = stem.state_dict()
    if any(not torch.equal(tensor, expected[name]) for name, tensor in other.items()):
        raise UserError(
            f"{path} has another frozen stem than the files beside it: they are not one network."
        )
