"""`--pretrained_head`: the head of a checkpoint of this toolkit, to begin a training with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dr_ovo.decoding.heads import head_of
from dr_ovo.errors import UserError
from dr_ovo.models.metadata import STATE, MetadataError, is_ours, require_outputs
from dr_ovo.models.weights.containers import StateDict
from dr_ovo.models.weights.reading import FLAG, read_content
from dr_ovo.models.weights.sources import weights_file

HEAD = "head."  # prefix of the head's weights


def read_head(timm_name: str, path: str, expected: Mapping[str, Any]) -> StateDict:
    """The weights of the head in the checkpoint that `path` names: `weight` and `bias`.

    `expected`: the entries that the checkpoint must share, such as its classes. Raises UserError,
    naming them, where it has others, and for a file without a head of this toolkit.
    """
    file = weights_file(timm_name, path)
    content = read_content(file)
    if not is_ours(content):
        raise UserError(
            f"--pretrained_head: {file} is no checkpoint of this toolkit, so its head answers "
            f"something else. Leave the flag out: {FLAG} alone takes the backbone."
        )
    other = [
        f"{name}: {content.get(name)} there, {value} now"
        for name, value in expected.items()
        if content.get(name) != value
    ]
    if other:
        raise UserError(
            f"--pretrained_head: the head of {file} answers something else:\n  "
            + "\n  ".join(other)
            + f"\nLeave the flag out: {FLAG} alone takes the backbone."
        )
    state = content.get(STATE, {})
    try:
        require_outputs(content, state, _outputs(content))
    except MetadataError as error:
        raise UserError(f"--pretrained_head: {file} is damaged: {error}.") from None
    return {name: state[HEAD + name].clone() for name in ("weight", "bias")}


def _outputs(meta: Mapping[str, Any]) -> int:
    """The number of answers by the metadata; 0 where they lack something."""
    if not {"head", "pairs", "num_classes"} <= meta.keys():
        return 0
    head = head_of(meta["head"])
    return len(meta["pairs"]) if head.paired else head.outputs(meta["num_classes"])
