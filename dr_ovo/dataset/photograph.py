"""What `prepare_dataset.py` knows of each photograph, and of each one that it leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dr_ovo.dataset.words import SPLITS

STRENGTH = {name: rank for rank, name in enumerate(SPLITS)}  # test keeps what val and train lose


@dataclass(frozen=True)
class Photograph:
    """A graded photograph before it has a split of ours.

    `name` is its path inside the source with forward slashes, the same wherever the source lies.
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


# Kind of a drop -> what it means, in the report's words.
DROPS = {
    "unreadable": "can't be read as photographs",
    "ungraded": "have no grade",
    "shares_with_test": "share a picture, patient or group with the official test",
    "shares_with_val": "share a picture, patient or group with the official val",
    "copy": "are copies, with the same grade, of another that is kept",
}


@dataclass(frozen=True)
class Dropped:
    """A photograph that is left out: `kind` is a key of DROPS, `reason` says it in full.

    `split` is the official one ("" without), `other` the name of the photograph that it copies or
    that stands in the other split ("" without).
    """

    file: str
    kind: str
    reason: str
    grade: int | None = None
    split: str = ""
    other: str = ""
