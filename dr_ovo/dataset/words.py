"""Words for splits, grades and eyes in folder names and labels, and for unknown patients."""

from __future__ import annotations

NUM_GRADES = 5
# Compared in lower case.
SPLIT_WORDS = {
    "train": "train", "training": "train", "trn": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "tst": "test",
}  # fmt: skip
# Compared in lower case, without spaces, hyphens and underscores.
GRADE_WORDS = {
    "nodr": 0, "normal": 0, "none": 0,
    "mild": 1, "milddr": 1, "mildnpdr": 1,
    "moderate": 2, "moderatedr": 2, "moderatenpdr": 2,
    "severe": 3, "severedr": 3, "severenpdr": 3,
    "pdr": 4, "proliferative": 4, "proliferatedr": 4, "proliferativedr": 4,
} | {str(grade): grade for grade in range(NUM_GRADES)}  # fmt: skip
EYES = {
    "left": "left", "l": "left", "os": "left", "left eye": "left",
    "right": "right", "r": "right", "od": "right", "right eye": "right",
}  # fmt: skip
_UNKNOWN = {
    "unknown", "unk", "nan", "na", "n/a", "none", "null", "nil", "missing", "anonymous", "", "-",
    "--", "?", ".", "#n/a",
}  # fmt: skip


def split_of(word: str) -> str:
    """train, val or test for the name of a folder or the text of a cell; "" for any other word."""
    return SPLIT_WORDS.get(word.strip().lower(), "")


def grade_of(word: str) -> int | None:
    """The grade for the name of a folder or the text of a cell; None for any other word."""
    return GRADE_WORDS.get(word.lower().translate(str.maketrans("", "", " _-")))


def is_unknown(patient: str) -> bool:
    """Whether a patient's name is a placeholder for an unknown patient."""
    return patient.strip().lower() in _UNKNOWN


def is_split_or_grade(word: str) -> bool:
    """Whether a folder's name is the name of a split or a grade."""
    return bool(split_of(word)) or grade_of(word) is not None


SPLITS = ("train", "val", "test")
