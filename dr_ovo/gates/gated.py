"""What tells of photographs that a grade means nothing, and how it is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dr_ovo.photographs.gradability import MIN_GRADABLE, ungradable


@dataclass(frozen=True)
class Gated:
    """Of n photographs: quality (n,), NaN where unknown; why each is no fundus photograph, "" if it
    is one; and of M networks the p-values (M, n) that each is like its train pictures, NaN where
    that can't be told, and the levels (M,) up to which one calls it unlike them."""

    quality: np.ndarray
    no_fundus: Sequence[str]
    p_values: np.ndarray
    levels: np.ndarray

    def take(self, places: np.ndarray) -> Gated:
        """The same of the photographs at some places (k,)."""
        why = [self.no_fundus[place] for place in places.tolist()]
        return Gated(self.quality[places], why, self.p_values[:, places], self.levels)

    @property
    def p_like_train(self) -> np.ndarray:
        """(n,) the median p-value of the networks that have one; NaN where none has."""
        known = ~np.isnan(self.p_values).all(axis=0)
        found = np.full(len(self.quality), np.nan)
        if known.any():
            found[known] = np.nanmedian(self.p_values[:, known], axis=0)
        return found

    @property
    def reasons(self) -> list[tuple[str, ...]]:
        """Why each photograph can't be graded; nothing for one that can."""
        unlike = self.unlike
        low, p = ungradable(self.quality), self.p_like_train
        found = []
        for place, no_fundus in enumerate(self.no_fundus):
            why = [f"no fundus photograph: {no_fundus}"] if no_fundus else []
            if unlike[place]:
                why.append(f"unlike the photographs of the training (p {p[place]:.3f})")
            if low[place]:
                why.append(f"quality {self.quality[place]:.2f} is below {MIN_GRADABLE}")
            found.append(tuple(why))
        return found

    @property
    def unlike(self) -> list[bool]:
        """Whether more than half of the networks that can tell call a photograph unlike."""
        known = ~np.isnan(self.p_values)
        calls = known & (np.nan_to_num(self.p_values, nan=1.0) <= self.levels[:, None])
        return list(2 * calls.sum(axis=0) > known.sum(axis=0))


def ungated(quality: np.ndarray) -> Gated:
    """Of photographs (n,) of which only the quality is known."""
    count = len(quality)
    return Gated(quality, [""] * count, np.zeros((0, count)), np.zeros(0))
