"""Class pairs of the one-vs-one scheme: their order, their names, the sign of their logits.

A pair (a, b) has a < b. The logit of a pair is positive where its classifier prefers b.
Everywhere, pairs are ordered (0,1), (0,2), ... (C-2,C-1).
"""

from __future__ import annotations

import numpy as np

from dr_ovo.errors import UserError

Pair = tuple[int, int]


def class_pairs(num_classes: int) -> list[Pair]:
    """All P = C (C-1) / 2 pairs of `num_classes` classes, in the toolkit's order."""
    return [(a, b) for a in range(num_classes) for b in range(a + 1, num_classes)]


def pair_signs(pairs: list[Pair], num_classes: int) -> np.ndarray:
    """(C, P) int8: +1 where the class is a pair's b, -1 where it is its a, 0 elsewhere."""
    signs = np.zeros((num_classes, len(pairs)), dtype=np.int8)
    for column, (a, b) in enumerate(pairs):
        signs[a, column], signs[b, column] = -1, 1
    return signs


def pair_name(pair: Pair) -> str:
    """The pair as written in file names, such as `0_2`."""
    return f"{pair[0]}_{pair[1]}"


def parse_pair(text: str, num_classes: int) -> Pair:
    """The pair written as `0-2` (or `0_2`).

    Raises UserError if it is not two different classes below `num_classes`.
    """
    parts = text.replace("_", "-").split("-")
    if len(parts) == 2 and all(part.isdecimal() for part in parts):
        a, b = sorted(int(part) for part in parts)
        if a < b < num_classes:
            return a, b
    known = ", ".join(f"{a}-{b}" for a, b in class_pairs(num_classes))
    raise UserError(f"'{text}' is not a pair of {num_classes} classes. Use some of: {known}.")
