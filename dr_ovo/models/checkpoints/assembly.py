"""The network that checkpoints form: whether they belong together, fit and are complete."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dr_ovo.decoding.heads import head_of
from dr_ovo.errors import UserError
from dr_ovo.models.backbone import create_backbone
from dr_ovo.models.checkpoints.files import Checkpoint, backbone_state, damaged, load_checkpoint
from dr_ovo.models.metadata import MetadataError, require_outputs
from dr_ovo.models.network import BranchSpec, OvoNetwork, build_network
from dr_ovo.models.parts.built_backbone import (
    NoArchitectureError,
    OtherWeightsError,
    built_backbone,
)
from dr_ovo.models.weights.containers import StateDict
from dr_ovo.pairs import class_pairs
from dr_ovo.settings.train_config import FIELDS

# What training writes into every checkpoint, and a network can't do without.
NEEDED = (
    "architecture", "head", "ovo_mode", "branch", "pairs", "class_names", "num_classes", "input",
    "preprocessing", "freeze_stages", "metrics",
)  # fmt: skip
# Keys on which all files of one network must agree.
COMMON = tuple(
    dict.fromkeys(
        field.metadata["checkpoint_key"]
        for field in FIELDS.values()
        if field.metadata["checkpoint_key"]
    )
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
        raise damaged(checkpoint.path, error) from None


def _require_fit(checkpoints: list[Checkpoint]) -> int:
    """The number of features of the backbone. Raises UserError if the weights are not those of the
    architecture."""
    first = checkpoints[0]
    try:
        expected = built_backbone(first.meta["architecture"], first.meta["input"]["size"])
    except NoArchitectureError as error:
        raise damaged(first.path, MetadataError(str(error))) from None
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
