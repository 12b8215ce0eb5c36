"""Patients of val and test whom the weights of another results folder have seen, as far as names
tell.

A name such as 10 may be another person in another data set. That it is the same one is certain only
where the manifests of both sets list the same file, of a patient whom both name alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dr_ovo.audit.audited_photographs import photographs_of_index
from dr_ovo.audit.findings import Photograph
from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.dataset.words import is_unknown
from dr_ovo.errors import log
from dr_ovo.models.weights.reading import FLAG

EXAMPLES = 3  # names of patients in a message


@dataclass(frozen=True)
class SeenPatients:
    """The `photographs` of val and test, by split, of patients that weights have seen, if names can
    be trusted: whether they can is `certain`."""

    photographs: Mapping[str, Sequence[Photograph]]
    certain: bool

    def counts(self) -> dict[str, int]:
        """How many photographs they are, by split."""
        return {name: len(found) for name, found in self.photographs.items()}

    def said(self, index: DatasetIndex) -> str:
        """In words, such as "4 of the 20 photographs of test in data (patients 10, 12, ...)"."""
        counts = " and ".join(
            f"{len(found)} of the {len(index.splits[name])} photographs of "
            f"{index.splits[name].name}"
            for name, found in self.photographs.items()
        )
        names = sorted({one.patient for found in self.photographs.values() for one in found})
        more = ", ..." * (len(names) > EXAMPLES)
        return f"{counts} in {index.root} (patients {', '.join(names[:EXAMPLES])}{more})"


def patients_seen(
    index: DatasetIndex, other: DatasetIndex, seen_in: Mapping[str, Sequence[str]]
) -> SeenPatients:
    """The photographs of the splits `seen_in` of a dataset whose patients are named in the splits
    of the `other` one that stand there."""
    ours, theirs = photographs_of_index(index), photographs_of_index(other)
    found: dict[str, list[Photograph]] = {}
    for name, splits in seen_in.items():
        known = {p.patient for p in theirs if p.split in splits and not is_unknown(p.patient)}
        common = [p for p in ours if p.split == name and p.patient in known - {""}]
        if common:
            found[name] = common
    return SeenPatients(found, _named_alike(ours, theirs))


def warn_of_names(seen: SeenPatients, index: DatasetIndex, path: str) -> None:
    """Says which names of patients are among those that the weights at `path` have seen."""
    log.warning(
        "%s %s: these weights have seen patients of the same names as %s. Whether they are the "
        "same people, names alone don't tell. If they are, scores there are too good: begin with "
        "weights that were trained without them.",
        FLAG, path, seen.said(index),
    )  # fmt: skip


def _named_alike(ours: Sequence[Photograph], theirs: Sequence[Photograph]) -> bool:
    """Whether files that the manifests of both sets list have the same patient in both, and there
    are such files."""
    known = {p.sha256: p.patient for p in theirs if p.sha256 and p.patient}
    same = [known[p.sha256] == p.patient for p in ours if p.patient and p.sha256 in known]
    return bool(same) and all(same)
