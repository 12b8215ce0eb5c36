"""Of which networks an ensemble is made, by its manifest or the names of its checkpoints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from dr_ovo.decoding.heads import HEADS
from dr_ovo.ensembles.manifest import Manifest

PAIR = r"\d+_\d+"  # in the name of a checkpoint that answers one pair alone
CHECKPOINT = re.compile(rf"best_(?P<architecture>.+)_(?P<head>{'|'.join(HEADS)}|{PAIR})\.pth")


@dataclass(frozen=True)
class Composition:
    """The number of networks (None: not recorded), their architectures and heads, each once and as
    far as they are recorded, and the method that combines them."""

    count: int | None
    architectures: tuple[str, ...]
    heads: tuple[str, ...]
    method: str


def of_manifest(manifest: Manifest) -> Composition:
    """What a manifest holds."""
    members = manifest.members
    return Composition(
        len(members),
        tuple(dict.fromkeys(one.architecture for one in members if one.architecture)),
        tuple(dict.fromkeys(one.head for one in members)),
        manifest.method,
    )


def of_checkpoints(names: Iterable[str], members: Sequence[str], method: str) -> Composition:
    """What the names of the checkpoints say (`<folder>/best_<architecture>_<branch>.pth`), if they
    are there of all `members`, as far as these are named."""
    paths = [PurePosixPath(name) for name in names]
    count = len({path.parent for path in paths})
    if not count or count < len(members):
        return Composition(len(members) or None, (), (), method)
    found = [match for path in paths if (match := CHECKPOINT.fullmatch(path.name))]
    heads = ("ovo" if re.fullmatch(PAIR, one["head"]) else one["head"] for one in found)
    architectures = (one["architecture"] for one in found)
    return Composition(
        count, tuple(dict.fromkeys(architectures)), tuple(dict.fromkeys(heads)), method
    )
