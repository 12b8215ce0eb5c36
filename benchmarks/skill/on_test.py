"""The last stage on test: the mean of the members, and how far it is from out of fold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.skill.analysis import decoded, figures
from benchmarks.skill.table_text import HEADINGS, Arms, cells, shown, signed, table
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.statistics.differences import unpaired_difference
from dr_ovo.statistics.intervals import Estimate

Tested = tuple[Predictions, dict[str, Any]]  # predictions, and parts of their report
Tests = Mapping[str, Mapping[int, Tested]]  # by arm and seed


def test_table(arms: Arms, tests: Tests) -> str:
    """The mean of the five members on test, and how far out-of-fold figures are from it; "" where
    test was not read."""
    rows, said = [], {}
    for arm, seeds in tests.items():
        found = [predictions for predictions, _ in seeds.values()]
        outside = [decoded(arms[arm][seed]) for seed in seeds]
        gap = unpaired_difference(figures(outside)["kappa"], figures(found)["kappa"])
        rows.append([arm, " ".join(map(str, seeds)), *cells(found, HEADINGS), signed(gap)])
        said = next(iter(seeds.values()))[1]
    if not rows:
        return ""
    alone = {name: Estimate(**each) for name, each in said["statistics_only"].items()}
    notes = [
        f"Audit: {'the files that training audited' if said['audited'] else 'none'}"
        f"{', LEAKY' if said['leaky'] else ''}.",
        "By image statistics alone: kappa "
        f"{shown(alone['quadratic_kappa'], percent=False)}, accuracy "
        f"{shown(alone['accuracy'], percent=True)}, macro AUC "
        f"{shown(alone['macro_auc'], percent=False)}.",
    ]
    heads = ["arm", "seeds", *HEADINGS, "kappa out of fold minus on test"]
    lines = ["**Test, the mean of the five members**\n", table(heads, rows), *notes, ""]
    return "\n".join(lines)
