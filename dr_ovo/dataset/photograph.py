"""The records of prepare_dataset.py: a graded photograph, a dropped one, reasons for dropping."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dr_ovo.dataset.words import SPLITS

# A photograph shared by two splits stays in the one of higher rank: test, then val, then train.
SPLIT_RANK = {name: rank for rank, name in enumerate(SPLITS)}


@dataclass(frozen=True)
class Photograph:
    """A graded photograph of the source, before it is assigned to a split.

    `name` is its path inside the source with forward slashes, independent of the source's location.
    `patient`, `eye` ("left", "right"), `group` (visit or site) and `split` (the official one) are
    "" where unknown; `source` says where it came from.
    """

    path: Path
    name: str
    grade: int
    patient: str = ""
    eye: str = ""
    group: str = ""
    split: str = ""
    source: str = ""

    @property
    def owner(self) -> str:
        """Whom it belongs to: the patient, else the photograph itself."""
        return self.patient or self.name


# Kind of drop -> its description in the closing report, of one and of several.
DROP_KINDS = {
    "unreadable": ("can't be read as a photograph", "can't be read as photographs"),
    "ungraded": ("has no grade", "have no grade"),
    "missing": (
        "is named by the labels and is not there",
        "are named by the labels and are not there",
    ),
    "in_excluded_set": ("is in a set of --exclude as well", "are in a set of --exclude as well"),
    "shares_with_test": (
        "shares a picture, patient or group with the official test split",
        "share a picture, patient or group with the official test split",
    ),
    "shares_with_val": (
        "shares a picture, patient or group with the official val split",
        "share a picture, patient or group with the official val split",
    ),
    "copy": (
        "is a copy of another photograph that is kept, with the same grade",
        "are copies of another photograph that is kept, with the same grade",
    ),
}


@dataclass(frozen=True)
class Dropped:
    """A photograph that is left out: `kind` is a key of DROP_KINDS, `reason` the full text.

    `split` is the official one ("" without), `other` the name of the photograph that it is a copy
    of, or that it is linked to in the other split ("" without).
    """

    file: str
    kind: str
    reason: str
    grade: int | None = None
    split: str = ""
    other: str = ""
