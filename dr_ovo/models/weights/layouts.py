"""Published layouts of weights to timm's names: prefixes, parts beside the backbone, last norms."""

from __future__ import annotations

import re
from collections import Counter

import torch

from dr_ovo.models.weights.containers import StateDict
from dr_ovo.models.weights.names import (
    BESIDE,
    is_beside,
    is_without_use,
    is_wrapper,
    rank,
    without_inside,
)
from dr_ovo.models.weights.translation import Translation

DINOV2 = ("register_tokens", ".mlp.w12.weight")  # endings that timm's own filter translates
LAST_NORMS = ("norm", "fc_norm")  # timm has the one or the other, depending on the pooling
CHUNK = re.compile(r"(^|\.)blocks\.\d+\.(\d+\.)")  # DINOv2's blocks.<chunk>.<block>.
DENSE = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")  # torchvision's first DenseNets
# torchvision's first layers of VGG's classifier: timm keeps them in a network without one.
VGG = ("pre_logits.fc1.weight", re.compile(r"classifier\.[03]\."))
FEWEST = 0.25  # the share of a model's names by which a prefix is recognised


def translate(state: StateDict, expected: StateDict, children: list[str]) -> Translation:
    """`state` under the names of `expected`, a headless timm model's, as far as known rules lead.

    `children` are the model's first modules in order, as a Sequential numbers them. What no rule
    knows keeps its name.
    """
    done = Translation(dict(state))
    done.rename("parts of a compiler or of parallel training removed", without_inside)
    done.rename("torchvision's dense layers", lambda name: DENSE.sub(r"\1\2.", name))
    if not any(re.search(r"blocks\.\d+\.\d+\.", name) for name in expected):
        done.rename("blocks without chunks", lambda name: CHUNK.sub(r"\1blocks.\2", name))
    _unnumber(done, expected, children)
    prefix = known_prefix(done.state, expected)
    if prefix:
        done.drop(lambda name: not name.startswith(prefix) and is_beside(name, prefix))
        done.rename(f"prefix '{prefix}' removed", lambda name: name.removeprefix(prefix))
    kept = set(expected)
    if any(name.endswith(DINOV2) for name in done.state):
        kept.add("mask_token")  # by which that filter knows them
    if VGG[0] in expected:
        kept |= {name for name in done.state if VGG[1].match(name)}
    done.drop(lambda name: name not in kept and is_without_use(name))
    _choose_last_norm(done, expected)
    return done


def overlaps(state: StateDict, expected: StateDict) -> dict[str, int]:
    """Each prefix under which the file has names of `expected`, and how many of them."""
    found: Counter[str] = Counter()
    for name in state:
        parts = name.split(".")
        for cut in range(len(parts)):
            if ".".join(parts[cut:]) in expected:
                found["".join(f"{part}." for part in parts[:cut])] += 1
    return dict(found)


def known_prefix(state: StateDict, expected: StateDict) -> str:
    """The prefix, made of wrappers, under which most of the model's names stand; empty if none."""
    known = {p: n for p, n in overlaps(state, expected).items() if rank(p) is not None}
    most = max(known.values(), default=0)
    if most >= FEWEST * len(expected):
        return min((p for p, n in known.items() if n == most), key=lambda p: rank(p) or 0)
    return _shared_prefix(state)


def _shared_prefix(state: StateDict) -> str:
    """The wrappers before all names, step by step; for layouts that timm itself renames.

    At each step a copy of the encoder, heads and the like may stand beside the wrapper.
    """
    names, prefix = list(state), ""
    while True:
        first = {name.partition(".")[0] for name in names if not is_without_use(name)}
        wrappers = [part for part in first if part != "0" and is_wrapper(part)]
        best = min(wrappers, key=lambda part: (rank(f"{part}.") or 0, part), default="")
        if not best or any(not BESIDE.fullmatch(part) for part in first - {best}):
            return prefix
        prefix += f"{best}."
        names = [name.removeprefix(f"{best}.") for name in names if name.startswith(f"{best}.")]


def _unnumber(done: Translation, expected: StateDict, children: list[str]) -> None:
    """Names the parts of nn.Sequential(*model.children()), which numbers them."""
    enough = FEWEST * len(expected)
    if max(overlaps(done.state, expected).values(), default=0) >= enough:
        return
    for prefix in _before_numbers(done.state):
        pattern = re.compile(rf"{re.escape(prefix)}(\d+)\.")

        def named(name: str, pattern: re.Pattern[str] = pattern) -> str:
            match = pattern.match(name)
            if not match or int(match[1]) >= len(children):
                return name
            return f"{children[int(match[1])]}.{name[match.end() :]}"

        if len({named(name) for name in done.state} & expected.keys()) >= enough:
            done.drop(lambda name, p=prefix: not name.startswith(p) and is_beside(name, p))  # type: ignore[misc]
            done.rename(f"numbers of a Sequential ('{prefix}0.' ...) to names", named)
            return


def _before_numbers(state: StateDict) -> list[str]:
    """The prefixes, made of wrappers, after which numbers stand, the preferred first."""
    ranks = {}
    for name in state:
        parts = name.split(".")
        for cut in (cut for cut, part in enumerate(parts) if part.isdigit()):
            prefix = "".join(f"{part}." for part in parts[:cut])
            ranks[prefix] = rank(prefix.removesuffix("features."))
    known = {prefix: number for prefix, number in ranks.items() if number is not None}
    return sorted(known, key=lambda prefix: (known[prefix], prefix))


def _choose_last_norm(done: Translation, expected: StateDict) -> None:
    """The norm of the model's pooling; the other pooling's is dropped, and a fresh one added."""
    for mine, other in (LAST_NORMS, LAST_NORMS[::-1]):
        wanted = [name for name in expected if name.rpartition(".")[0] == mine]
        if not wanted or any(name.startswith(f"{other}.") for name in expected):
            continue
        there = any(name.startswith(f"{other}.") for name in done.state)
        absent = [name for name in wanted if name not in done.state]
        if not there:
            continue
        done.drop(lambda name, other=other: name.startswith(f"{other}."))  # type: ignore[misc]
        for name in absent:
            fill = torch.zeros if name.endswith(".bias") else torch.ones
            done.state[name] = fill(expected[name].shape)
        done.added += absent
