"""Artificially balanced val and test splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from dr_ovo.audit.checks.prevalence import prevalence_findings
from dr_ovo.audit.findings import WARNING, Photograph


def photographs(split: str, counts: tuple[int, ...]) -> list[Photograph]:
    return [
        Photograph(Path(f"{grade}_{n}.jpg"), f"{split}/{grade}/{n}.jpg", split, str(grade))
        for grade, count in enumerate(counts)
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("split", "counts", "balanced"),
    [
        ("test", (5, 5, 5, 5, 5), True),
        ("val", (200, 200, 199, 201, 200), True),
        ("train", (200, 200, 200, 200, 200), False),
        ("test", (34, 5, 32, 19, 13), False),
        ("test", (50, 50), False),
        ("test", (2, 2, 2, 2, 2), False),
        ("test", (100, 90, 110, 95, 105), False),
    ],
)
def test_balanced_by_hand(split, counts, balanced):
    found = prevalence_findings(photographs(split, counts))
    assert len(found) == balanced
    if balanced:
        assert (found[0].severity, found[0].splits) == (WARNING, [split])
