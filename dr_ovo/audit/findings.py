"""The kinds of audit findings, their descriptions, severity and order, and their JSON form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dr_ovo.audit.grade_signal.statistics_model import StatisticsModel
from dr_ovo.photographs.damage import Damage

SCHEMA = 1
LEAK, WARNING = "leak", "warning"
# From worst to mildest, the order in reports.
KINDS = {
    "patient_in_two_splits": "a patient has pictures in two splits",
    "group_in_two_splits": "a visit or site of the manifest has pictures in two splits",
    "in_other_set": "a picture that the set of --against has as well",
    "exact_copy": "files with the same content",
    "near_duplicate": "one photograph resized, re-encoded, flipped, turned, filtered or cropped",
    "look_alikes": "four or more pictures that look alike: a grade filled up with copies",
    "augmented_copy": "file names of one picture and its copies, such as _aug, copy, (1)",
    "conflicting_grades": "one picture with two grades",
    "processing_reveals_grade": "image statistics alone identify a grade: was it filtered alone?",
    "acquisition_reveals_grade": "cameras follow a grade: a model can score by the camera",
    "balanced_prevalence": "val or test has equally many pictures per grade",
    "unreadable": "files that are damaged, too large or no pictures",
    "black": "pictures that show next to nothing",
    "tiny": "pictures of fewer than 100 pixels per side",
    "blurred": "pictures out of focus",
    "overexposed": "pictures too bright to be graded",
    "ungradable": "pictures that can't be graded for another reason, such as a cut-off field",
}


@dataclass(frozen=True)
class Photograph:
    """A picture in an audit: `file` is its path below the folder, `grade` the grade's name.

    `split` and `grade` are "" in a folder without them, `patient` and `group` where unknown.
    `sha256` is the hash recorded in the manifest, "" without one.
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
    """Something found in `photographs` (possibly none): `score` is its strength, None where there
    is none to measure; `detail` is its description."""

    kind: str
    severity: str
    photographs: tuple[Photograph, ...]
    score: float | None = None
    detail: str = ""

    @property
    def splits(self) -> list[str]:
        """The splits of its pictures, sorted."""
        return sorted({p.split for p in self.photographs if p.split})

    @property
    def grades(self) -> list[int | str]:
        """The grades of its pictures, as numbers where the folder names are numbers."""
        names = sorted({p.grade for p in self.photographs if p.grade})
        return [int(name) if name.isdecimal() else name for name in names]

    def to_dict(self) -> dict[str, Any]:
        """The finding as in audit.json."""
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
    """The findings on `n` pictures, worst first; `notes` say what could not be judged;
    `no_statistics_model` why there is no `statistics_model`. `undecodable` are the files of which
    there is no picture. `against` is the other dataset that it was compared with, if any."""

    root: Path
    n: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    statistics_model: StatisticsModel | None = None
    no_statistics_model: str = ""
    undecodable: tuple[Damage, ...] = ()
    against: Path | None = None

    @property
    def leaks(self) -> list[Finding]:
        """The findings that inflate scores."""
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
        } | ({"against": str(self.against)} if self.against else {})


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Leaks before warnings; then by kind, number of splits (most first), and first file."""
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
    """A leak if pictures that belong together are in two splits, else a warning."""
    return LEAK if len({p.split for p in photographs}) > 1 else WARNING
