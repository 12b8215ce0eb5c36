"""`--keep_epoch`: which epoch of a branch is kept.

`best`: the one with the highest score on val. `last`: none is chosen. `log_loss`: the one with the
lowest log loss on val. `steady`: the one with the lowest log loss among those whose score lies
within one standard error of the highest so far, since kappa on a few hundred images is too noisy to
choose by alone. Weights of one epoch are kept, so each epoch is judged when it ends: one that was
not kept then can't be taken up later.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from dr_ovo.training.measure import Score


@dataclass(frozen=True)
class Rule:
    """A way to choose an epoch.

    `replaces`: whether a new score takes the place of the kept one, given the highest so far, the
    new one included. `gains`: in what patience counts improvements; larger is better. `word`: what
    the log calls the kept epoch. `by_log_loss`: whether scores need log loss and standard error.
    """

    replaces: Callable[[Score, Score | None, Score], bool]
    gains: Callable[[Score], tuple[float, ...]]
    word: str
    by_log_loss: bool = False


def _has_less_loss(new: Score, kept: Score | None, top: Score) -> bool:
    return kept is None or math.isnan(kept.log_loss) or new.log_loss < kept.log_loss


def _is_steadier(new: Score, kept: Score | None, top: Score) -> bool:
    if not _is_within(new, top):
        return False
    return kept is None or not _is_within(kept, top) or _has_less_loss(new, kept, top)


def _is_within(score: Score, top: Score) -> bool:
    """Whether a score is within one standard error of the highest; any is, where there is none."""
    lowest = top.value - top.standard_error
    return math.isnan(lowest) or score.value >= lowest


RULES = {
    "best": Rule(lambda new, kept, _: new.better_than(kept), lambda new: (new.value,), "best"),
    "last": Rule(lambda *_: True, lambda new: (new.value,), "last"),
    "steady": Rule(_is_steadier, lambda new: (new.value, -new.log_loss), "kept", by_log_loss=True),
    "log_loss": Rule(_has_less_loss, lambda new: (-new.log_loss,), "kept", by_log_loss=True),
}
