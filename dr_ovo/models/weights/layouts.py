"""Published layouts of weights to timm's names: prefixes, parts beside the backbone, last norms."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch

from dr_ovo.models.weights.containers import StateDict

# What may stand before the names, alone or joined, the preferred first: averaged weights, then
# the encoder that is trained, then what merely wraps it.
WRAPPERS = (
    "module", "model_ema", "ema_model", "ema", "teacher", "encoder_q", "query_encoder",
    "base_encoder", "online_network", "online_encoder", "online", "model", "base_model", "net",
    "network", "backbone", "encoder", "trunk", "visual", "image_encoder", "vision_encoder",
    "feature_extractor", "timm_model", "student", "0",
)  # fmt: skip
# What compilers and parallel training put anywhere into a name.
INSIDE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_forward_module.")
# Parts that a classifier of retinas has no use for: heads, decoders, losses, queues, scores.
WITHOUT_USE = re.compile(
    r"heads?|head_(dist|drop)|\w+_head|fc\d?|classifiers?|last_(linear|layer)|linear|logits|"
    r"proj(ector|ection)?(_\w+)?|predict(or|ion)?(_\w+)?|prototypes\d*|decoder(_\w+)?|mask_token|"
    r"neck|criterion|loss(_\w+)?|\w+_loss|queue\w*|n_averaged|center|\w*metrics?|\w+_(acc|auroc)"
)
# A second copy of the encoder, or what stands beside it, where a prefix leads to the one taken.
BESIDE = re.compile(
    r"encoder_k|key_encoder|momentum_\w+|target_\w+|target|student(_\w+)?|teacher(_\w+)?|"
    r"online_\w+|ema(_\w+)?|model_ema|model|text(_\w+)?|bn"
)
DINOV2 = ("register_tokens", ".mlp.w12.weight")  # endings that timm's own filter translates
LAST_NORMS = ("norm", "fc_norm")  # timm has the one or the other, depending on the pooling
CHUNK = re.compile(r"(^|\.)blocks\.\d+\.(\d+\.)")  # DINOv2's blocks.<chunk>.<block>.
FEWEST = 0.25  # the share of a model's names by which a prefix is recognised


@dataclass
class Translation:
    """Weights under timm's names, and what was done to get there."""

    state: StateDict
    renamed: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)

    def rename(self, why: str, name_of: Callable[[str], str]) -> None:
        """Gives every weight the name `name_of(name)`, and notes how many changed."""
        names = {name: name_of(name) for name in self.state}
        changed = sum(old != new for old, new in names.items())
        if changed and len(set(names.values())) == len(names):
            self.state = {names[name]: tensor for name, tensor in self.state.items()}
            self.renamed.append(f"{why} ({changed} tensors)")

    def drop(self, is_useless: Callable[[str], bool]) -> None:
        """Leaves out the weights of which `is_useless` is true."""
        self.dropped += [name for name in self.state if is_useless(name)]
        self.state = {name: t for name, t in self.state.items() if not is_useless(name)}

    def lines(self) -> list[str]:
        """What was renamed, dropped and added, in words."""
        lines = [f"renamed: {text}" for text in self.renamed]
        if self.dropped:
            lines.append(f"dropped: {grouped(self.dropped)}")
        if self.added:
            lines.append(f"added, as the identity: {', '.join(self.added)}")
        return lines


def translate(state: StateDict, expected: StateDict, children: list[str]) -> Translation:
    """`state` under the names of `expected`, a headless timm model's, as far as known rules lead.

    `children` are the model's first modules in order, as a Sequential numbers them. What no rule
    knows keeps its name.
    """
    done = Translation(dict(state))
    done.rename("parts of a compiler or of parallel training removed", _without_inside)
    if not any(re.match(r"blocks\.\d+\.\d+\.", name) for name in expected):
        done.rename("blocks without chunks", lambda name: CHUNK.sub(r"\1blocks.\2", name))
    _unnumber(done, expected, children)
    prefix = known_prefix(done.state, expected)
    if prefix:
        outside = [name for name in done.state if not name.startswith(prefix)]
        useless = {name for name in outside if _is_beside(name, prefix)}
        done.drop(lambda name: name in useless)
        done.rename(f"prefix '{prefix}' removed", lambda name: name.removeprefix(prefix))
    kept = set(expected)
    if any(name.endswith(DINOV2) for name in done.state):
        kept.add("mask_token")  # by which that filter knows them
    done.drop(lambda name: name not in kept and _is_without_use(name))
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
    """The prefix, made of WRAPPERS, under which most of the model's names stand; empty if none."""
    known = {p: n for p, n in overlaps(state, expected).items() if _rank(p) is not None}
    most = max(known.values(), default=0)
    if most >= FEWEST * len(expected):
        return min((p for p, n in known.items() if n == most), key=lambda p: _rank(p) or 0)
    return _shared_prefix(state)


def _rank(prefix: str) -> int | None:
    """The lower, the better; None for a prefix that is not made of WRAPPERS."""
    parts = prefix.split(".")[:-1]
    return sum(map(WRAPPERS.index, parts)) if set(parts) <= set(WRAPPERS) else None


def _shared_prefix(state: StateDict) -> str:
    """What of WRAPPERS stands before all names; for layouts that timm itself renames."""
    names = [name for name in state if not _is_without_use(name)]
    prefix = ""
    while True:
        first = {name.removeprefix(prefix).partition(".")[0] for name in names}
        if len(first) != 1 or not first <= set(WRAPPERS) - {"0"}:
            return prefix
        prefix += f"{first.pop()}."


def _unnumber(done: Translation, expected: StateDict, children: list[str]) -> None:
    """Names the parts of nn.Sequential(*model.children()), which numbers them."""
    enough = FEWEST * len(expected)
    if max(overlaps(done.state, expected).values(), default=0) >= enough:
        return
    for prefix in ("", "0.", "model.", "features.", "backbone.", "encoder."):
        pattern = re.compile(rf"{re.escape(prefix)}(\d+)\.")

        def named(name: str, pattern: re.Pattern[str] = pattern) -> str:
            match = pattern.match(name)
            if not match or int(match[1]) >= len(children):
                return name
            return f"{children[int(match[1])]}.{name[match.end() :]}"

        found = {named(name) for name in done.state} & expected.keys()
        if len(found) >= enough:
            if prefix == "0.":  # the rest of the outer Sequential is a head
                done.drop(lambda name: name[:1].isdigit() and not name.startswith("0."))
            done.rename(f"numbers of a Sequential ('{prefix}0.' ...) to names", named)
            return


def _without_inside(name: str) -> str:
    for part in INSIDE:
        name = name.replace(part, "")
    return name


def _is_beside(name: str, prefix: str) -> bool:
    """Whether a name outside the prefix belongs to a part that needs no place."""
    parts = name.split(".")
    own = prefix.split(".")[:-1]
    while own and len(parts) > 1 and parts[0] == own[0]:
        parts, own = parts[1:], own[1:]
    if own and own[-1] == "0" and parts[0].isdigit():  # what follows in a Sequential
        return True
    first = parts[0]
    return bool(WITHOUT_USE.fullmatch(first) or BESIDE.fullmatch(first))


def _is_without_use(name: str) -> bool:
    return bool(WITHOUT_USE.fullmatch(name.partition(".")[0]))


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


def grouped(names: Iterable[str]) -> str:
    """Names by their first part, with their number: "decoder_blocks (96), mask_token"."""
    counts = Counter(re.sub(r"^((module|model)\.)+", "", name).partition(".")[0] for name in names)
    shown = [f"{part} ({n})" if n > 1 else part for part, n in counts.most_common(10)]
    return ", ".join(shown) + (", ..." if len(counts) > 10 else "")
