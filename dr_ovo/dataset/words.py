"""Words for splits, grades and eyes in folder names and labels, and for unknown patients."""

from __future__ import annotations

import re
from itertools import product

NUM_GRADES = 5
SPLITS = ("train", "val", "test")
# Compared in lower case.
SPLIT_WORDS = {
    "train": "train", "training": "train", "trn": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test", "tst": "test",
}  # fmt: skip
# Only inside a name that has other words too: GDRBench calls its lists `APTOS_crossval.txt`.
_SPLITS_IN_NAMES = SPLIT_WORDS | {"crossval": "val"}
# ICDR's severities (Wilkinson et al., Ophthalmology 2003) with the names that follow or precede
# them. NPDR alone is no grade: it may be 1, 2 or 3.
_SEVERITIES = {"mild": 1, "moderate": 2, "severe": 3}
_NONPROLIFERATIVE = (
    "", "dr", "npdr", "retinopathy", "diabeticretinopathy", "nonproliferative",
    "nonproliferativedr", "nonproliferativeretinopathy", "nonproliferativediabeticretinopathy",
)  # fmt: skip
_NONE = product(("", "apparent"), ("dr", "retinopathy", "diabeticretinopathy"))
# Compared in lower case, without what _NOT_COMPARED names.
GRADE_WORDS = {
    **{f"no{sign}{disease}": 0 for sign, disease in _NONE},
    "normal": 0, "none": 0, "healthy": 0,
    **{f"{severity}{kind}": grade
       for (severity, grade), kind in product(_SEVERITIES.items(), _NONPROLIFERATIVE)},
    **{f"{kind}{severity}": grade
       for (severity, grade), kind in product(_SEVERITIES.items(), _NONPROLIFERATIVE)},
    "pdr": 4, "proliferative": 4, "proliferatedr": 4, "proliferativedr": 4,
    "proliferativeretinopathy": 4, "proliferativediabeticretinopathy": 4,
} | {str(grade): grade for grade in range(NUM_GRADES)}  # fmt: skip
_NOT_COMPARED = str.maketrans("", "", " _-\u00a0\u2010\u2011\u2013,:;()")
# Latin, Spanish and Portuguese (ojo, olho izquierdo or esquerdo), French (oeil gauche).
EYES = {
    "left": "left", "l": "left", "os": "left", "oi": "left", "oe": "left", "og": "left",
    "left eye": "left", "le": "left", "izquierdo": "left", "esquerdo": "left", "gauche": "left",
    "right": "right", "r": "right", "od": "right", "right eye": "right", "re": "right",
    "derecho": "right", "direito": "right", "droit": "right",
}  # fmt: skip
# The columns of some sets number the eyes. BRSET: exam_eye 1 right, 2 left.
EYE_CODES = {"exam_eye": {"1": "right", "2": "left"}}
_UNKNOWN = {
    "unknown", "unk", "nan", "na", "n/a", "none", "null", "nil", "missing", "anonymous", "", "-",
    "--", "?", ".", "#n/a", "<na>",
}  # fmt: skip
# Compared like GRADE_WORDS.
_UNGRADABLE = {
    "ungradable", "ungradeable", "ungraded", "notgradable", "notgradeable", "notgraded",
    "nongradable", "nongradeable", "cannotgrade", "cannotbegraded", "nograde", "poorquality",
    "badquality", "reject", "rejected", "unreadable", "unusable",
}  # fmt: skip
# The exponent as NumPy writes it (2.000e+00); 1e0 may be a name that a spreadsheet spoiled.
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d*)?|-?\d\.\d+e[-+]\d\d")
# `Mild non-proliferative diabetic retinopathy (NPDR)`: abbreviation behind a name -> its grades.
_ABBREVIATION = re.compile(r"[(\[]\s*(?P<short>n?pdr|dr)\s*[)\]]\s*$", re.IGNORECASE)
_ABBREVIATED = {"npdr": (1, 2, 3), "pdr": (4,), "dr": tuple(range(NUM_GRADES))}
# `trainlabels.csv`, `testset`: one word in lower case.
_BEFORE_SET = re.compile(r"(?<=.)(labels?|set|data|images?|list)$")
_WORDS_OF_A_NAME = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def split_of(word: str) -> str:
    """train, val or test for the name of a folder or the text of a cell; "" for any other word."""
    return SPLIT_WORDS.get(word.strip().lower(), "")


def split_in_name(name: str) -> str:
    """The split that a longer name holds (`a. Training Set`, `trainLabels`); "" for none or two."""
    words = [_BEFORE_SET.sub("", word.lower()) for word in _WORDS_OF_A_NAME.findall(name)]
    found = {_SPLITS_IN_NAMES[word] for word in words if word in _SPLITS_IN_NAMES}
    return found.pop() if len(found) == 1 else ""


def comparable(word: str) -> str:
    """A word in the form in which grades and class names are compared."""
    return word.strip().lower().translate(_NOT_COMPARED)


def number_of(text: str) -> float | None:
    """The number in a cell, with a point or a decimal comma ("2", "2.0", "2,0", "2.0e+00"); else
    None."""
    text = text.strip()
    return float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else None


def grade_of(word: str) -> int | None:
    """The grade for the name of a folder or the text of a cell; None for any other word."""
    grade = GRADE_WORDS.get(comparable(word))
    if grade is not None or not (match := _ABBREVIATION.search(word)):
        return grade
    grade = GRADE_WORDS.get(comparable(word[: match.start()]))
    return grade if grade in _ABBREVIATED[match["short"].lower()] else None


def eye_of(word: str, column: str = "") -> str:
    """left or right for the text of a cell in a `column`; "" for any other word."""
    word = word.strip().lower().replace(".", "") if number_of(word) is None else word
    codes = EYE_CODES.get(re.sub(r"[\W_]+", "_", column.strip().lower()), {})
    number = number_of(word)
    return EYES.get(word, "") if number is None else codes.get(f"{number:g}", "")


def is_unknown(patient: str) -> bool:
    """Whether a patient's name is a placeholder for an unknown patient."""
    return patient.strip().lower() in _UNKNOWN


def has_no_grade(text: str) -> bool:
    """Whether a cell says that there is no grade: empty, nan, -, ungradable.

    "none" may mean a healthy eye or a missing value, so it does not say so.
    """
    lower = text.strip().lower()
    return (is_unknown(lower) and lower != "none") or comparable(lower) in _UNGRADABLE


def is_split_or_grade(word: str) -> bool:
    """Whether a folder's name is the name of a split or a grade."""
    return bool(split_of(word)) or grade_of(word) is not None
