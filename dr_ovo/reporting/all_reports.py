"""All reports on one set of results, for the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dr_ovo.reporting.comparison import compare
from dr_ovo.reporting.diversity import diversity
from dr_ovo.reporting.document import Report
from dr_ovo.reporting.result_sets import ResultSet
from dr_ovo.reporting.strengths import analyze_strengths
from dr_ovo.reporting.super_ensemble import How, study_ensemble
from dr_ovo.reporting.super_ensemble_report import ensemble_report


def _super_ensemble(results: ResultSet) -> Report:
    return ensemble_report(study_ensemble(results, How("mean", "accuracy"), []))


@dataclass(frozen=True)
class Part:
    """A report, and how many models it needs."""

    make: Callable[[ResultSet], Report]
    fewest: int = 1


PARTS = (
    Part(compare),
    Part(analyze_strengths),
    Part(diversity, fewest=2),
    Part(_super_ensemble, fewest=2),
)


def all_reports(results: ResultSet) -> list[Report]:
    """Every report that so many models allow, in the order in which they are read."""
    return [part.make(results) for part in PARTS if len(results.models) >= part.fewest]


def summary(results: ResultSet) -> str:
    """A sentence on what the reports are made of."""
    first, names = results.models[0], results.names
    images, patients = len(first.test.targets), len(np.unique(first.test.patient_ids))
    models = f"{len(names)} models ({', '.join(names)})" if len(names) > 1 else names[0]
    alone = "" if len(names) > 1 else " With one model there is no diversity and no ensemble."
    return (
        f"{models}; {images:,} test images of {patients:,} patients. Choices are made on "
        f"{len(first.val.targets):,} val images, never on test.{alone}"
    )
