"""Weights on their way to timm's names, and what was done to them, in words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dr_ovo.models.weights.containers import StateDict


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
        kept = {name: tensor for name, tensor in self.state.items() if not is_useless(name)}
        self.dropped += [name for name in self.state if name not in kept]
        self.state = kept

    def lines(self) -> list[str]:
        """What was renamed, dropped and added, in words."""
        lines = [f"renamed: {text}" for text in self.renamed]
        if self.dropped:
            lines.append(f"dropped: {grouped(self.dropped)}")
        if self.added:
            lines.append(f"added, as the identity: {', '.join(self.added)}")
        return lines


def grouped(names: Iterable[str]) -> str:
    """Names by their first part, with their number: "decoder_blocks (96), mask_token"."""
    counts = Counter(re.sub(r"^((module|model)\.)+", "", name).partition(".")[0] for name in names)
    shown = [f"{part} ({n})" if n > 1 else part for part, n in counts.most_common(10)]
    return ", ".join(shown) + (", ..." if len(counts) > 10 else "")
