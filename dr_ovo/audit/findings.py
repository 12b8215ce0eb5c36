"""What an audit can find: kinds, their severity, and the form in which they are written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1
LEAK, WARNING = "leak", "warning"
# From the worst to the mildest: reports list them so.
KINDS = {
    "patient_in_two_splits": "a patient has pictures in two splits",
    "group_in_two_splits": "a visit or site of the manifest has pictures in two splits",
    "exact_copy": "files of the same content",
    "near_duplicate": "one photograph resized, saved anew, flipped, turned, filtered or cropped",
    "look_alikes": "four or more pictures that look alike: a grade filled up with copies",
    "augmented_copy": "file names of one picture and its copies, such as _aug, copy, (1)",
    "conflicting_grades": "one picture with two grades",
    "processing_reveals_grade": "image statistics alone tell a grade: was it filtered apart?",
    "balanced_prevalence": "val or test has equally many pictures of each grade",
    "unreadable": "files that can't be decoded",
    "black": "pictures that show next to nothing",
    "tiny": "pictures of fewer than 100 pixels a side",
    "blurred": "pictures out of focus",
    "overexposed": "pictures too bright to be graded",
    "ungradable": "pictures that can't be graded for another reason, such as a cut-off field",
}


@dataclass(frozen=True)
class Photograph:
    """A picture in an audit: `file` is its path below the folder, `grade` the grade's name.

    `split` and `grade` are "" in a folder without them; `patient` and `group` where unknown, and
    `sha256`, the manifest's of its content, where no manifest tells.
    """

    path: Path
    file: str
    split: str
    grade: str
    patient: str = ""
    group: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Finding:
    """Something found in `photographs` (possibly none); `score` says how strongly, None where
    there is nothing to measure; `detail` says it in words."""

    kind: str
    severity: str
    photographs: tuple[Photograph, ...]
    score: float | None = None
    detail: str = ""

    @property
    def splits(self) -> list[str]:
        """The splits of its pictures."""
        return sorted({p.split for p in self.photographs if p.split})

    @property
    def grades(self) -> list[int | str]:
        """The grades of its pictures: numbers where the folders are named so."""
        names = sorted({p.grade for p in self.photographs if p.grade})
        return [int(name) if name.isdecimal() else name for name in names]

    def to_dict(self) -> dict[str, Any]:
        """The finding as audit.json holds it."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "files": [p.file for p in self.photographs],
            "splits": self.splits,
            "grades": self.grades,
            "score": self.score,
            "detail": self.detail,
        }


@dataclass(frozen=True)
class AuditReport:
    """The findings on `n` pictures, worst first; `notes` say what could not be judged."""

    root: Path
    n: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def leaks(self) -> list[Finding]:
        """The findings that make scores too good."""
        return [finding for finding in self.findings if finding.severity == LEAK]

    def counts(self) -> list[tuple[str, str, int]]:
        """(severity, kind, how many), in the order of the findings."""
        return [
            (*key, count)
            for key, count in Counter((f.severity, f.kind) for f in self.findings).items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """The content of audit.json."""
        return {
            "schema": SCHEMA,
            "n": self.n,
            "leaks": len(self.leaks),
            "findings": [finding.to_dict() for finding in self.findings],
            "notes": list(self.notes),
        }


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Leaks before warnings; within these by kind, then by how many splits and files they touch."""
    kinds = list(KINDS)
    return tuple(
        sorted(
            findings,
            key=lambda f: (
                f.severity != LEAK,
                kinds.index(f.kind),
                -len(f.splits),
                [p.file for p in f.photographs[:1]],
            ),
        )
    )


def severity_across(photographs: Sequence[Photograph]) -> str:
    """A leak where pictures that belong together stand in two splits, else a warning."""
    return LEAK if len({p.split for p in photographs}) > 1 else WARNING
