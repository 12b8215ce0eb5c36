"""What is asked of a network: why this grade, and why not the most probable other one.

Each question is a sum of logits with signs, so that what its parts contribute adds up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dr_ovo.decoding.heads import head_of
from dr_ovo.pairs import class_pairs, pair_signs

GRADE, RIVAL = "grade", "rival"
# Logits for each term, at which the colours of a map end; of a head that answers with a number they
# end at the number of steps from the first grade to the last.
RANGE = 8.0


@dataclass(frozen=True)
class Question:
    """`coefficients` (K,) of the logits. Positive answers speak for `words`. `terms`: how many
    differences between two classes the sum has. `limit`: the answer at which colours end. `offset`:
    what is taken from the sum for the answer, and lies in no place."""

    kind: str  # GRADE or RIVAL
    words: str
    coefficients: np.ndarray
    terms: int
    limit: float
    offset: float = 0.0


def questions(head: str, names: Sequence[str], grade: int, rival: int) -> list[Question]:
    """Why `grade`, and why it and not `rival`, of a head with these class names.

    One-vs-one: the sum of the grade's signed pair logits, and the logit of the pair. Softmax: the
    same of the differences of two logits, which are its pairs. Ordinal: the sum of its logits,
    which is large for severe grades, and the sum of those between the two grades, signed.
    Regression: the number, and how far it lies on the grade's side of the middle between the two.
    """
    classes = len(names)
    one = _row(head, classes, grade)
    both = _between(head, classes, grade, rival)
    severity = head_of(head).is_number or head == "ordinal"
    own, other = (in_words(names[one]) for one in (grade, rival))
    first = "a more severe grade" if severity else own
    terms = 1 if head_of(head).is_number else classes - 1
    apart = abs(grade - rival) if head == "ordinal" else 1
    limit = float(classes - 1) if head_of(head).is_number else RANGE
    middle = float(both.sum()) * (grade + rival) / 2 if head_of(head).is_number else 0.0
    return [
        Question(GRADE, first, one, terms, limit * terms),
        Question(RIVAL, f"{own}, not {other}", both, apart, limit * apart, middle),
    ]


def in_words(name: str) -> str:
    """A class's name, which may be a number alone."""
    return f"grade {name}" if name.isdecimal() else name


def _row(head: str, classes: int, grade: int) -> np.ndarray:
    """The coefficients of the question why `grade`."""
    if head_of(head).paired:
        return pair_signs(class_pairs(classes), classes)[grade].astype(float)
    if head == "softmax":
        return classes * np.eye(classes)[grade] - 1
    return np.ones(head_of(head).outputs(classes))


def _between(head: str, classes: int, grade: int, rival: int) -> np.ndarray:
    """The coefficients of the question why `grade` and not `rival`."""
    sign = 1.0 if grade > rival else -1.0
    if head_of(head).paired:
        pair = min(grade, rival), max(grade, rival)
        return sign * np.array([float(each == pair) for each in class_pairs(classes)])
    if head == "softmax":
        return np.eye(classes)[grade] - np.eye(classes)[rival]
    if head == "ordinal":
        logits = np.arange(classes - 1)  # the logit k speaks for a class above k
        return sign * ((logits >= min(grade, rival)) & (logits < max(grade, rival)))
    return np.array([sign])
