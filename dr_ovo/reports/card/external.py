"""Evaluations on other datasets, in `external/<name>` of a results folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dr_ovo.document.document import Cell, Column, Table
from dr_ovo.errors import UserError
from dr_ovo.files import file_sha256
from dr_ovo.reports.card.parts import (
    COUNT,
    MISSING,
    OVERALL,
    PATIENTS,
    RATES,
    CardSection,
    metrics,
    reason_of,
)
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.made_from import MADE_FROM, check_digests

FOLDER = SPLIT = "external"
DIFFERENCES = {"percent": "signed_percent", "decimal": "signed_decimal"}


@dataclass(frozen=True)
class External:
    """A dataset that the model was put to later, and the evaluation on it."""

    name: str
    evaluation: Mapping[str, Any]


def read_external(results: ResultsFolder) -> tuple[External, ...]:
    """The evaluations on other datasets, by name. Raises UserError for a damaged one, and for one
    of other predictions, or of another calibration, than those that are there now."""
    found = []
    for root in sorted((results.root / FOLDER).glob("*/")):
        folder = ResultsFolder(root)
        evaluation = folder.read_evaluation(SPLIT)
        if evaluation:
            check_digests(folder, [SPLIT])
            _check_calibration(results, folder.evaluation(SPLIT), evaluation)
            found.append(External(root.name, evaluation))
    return tuple(found)


def _check_calibration(results: ResultsFolder, path: Path, evaluation: Mapping[str, Any]) -> None:
    """The calibration is calibration.json, or that in an ensemble's manifest beside it."""
    wanted = evaluation.get(MADE_FROM, {}).get("calibration")
    if wanted is None or not results.calibration.is_file():
        return
    if all(file_sha256(file) != wanted for file in sorted(results.root.glob("*.json"))):
        raise UserError(
            f"{path} belongs to another calibration than that in {results.root}. Evaluate that "
            "dataset again: --mode evaluate --external"
        )


def external_section(datasets: Sequence[External]) -> CardSection:
    """The figures on other datasets, by the temperature and the points fixed on the own val."""
    title = "External testing"
    if not datasets:
        said = "None evaluated: how the model does on photographs of another place is not known."
        return CardSection(title, [said])
    said = "Temperature and operating points are those fixed on the own val, before."
    columns = [Column("dataset", "dataset"), COUNT, PATIENTS, *OVERALL, *RATES]
    rows = [row for one in datasets for row in _rows(one)]
    note = "Sensitivity and specificity are for referable disease, at the point of high sensitivity"
    tables = [Table("external", "Other datasets", columns, rows, f"{note}.")]
    return CardSection(title, [said], [*tables, *_differences(datasets)])


def _rows(one: External) -> list[list[Cell]]:
    name = f"{one.name} (LEAKY)" if one.evaluation.get("leaky") else one.name
    rows = [_row(name, one.evaluation)]
    rest = one.evaluation.get("without_shared")
    if rest and reason_of(rest) is None:
        rows.append(_row(f"{one.name}, without what it shares with the training", rest))
    return rows


def _row(name: str, block: Mapping[str, Any]) -> list[Cell]:
    referable: Mapping[str, Any] = block.get("referable") or MISSING
    rates = referable.get("high_sensitivity") or {rate.key: referable for rate in RATES}
    counts: list[Cell] = [block.get("n"), block.get("n_patients")]
    return [name, *counts, *metrics(block, OVERALL), *metrics(rates, RATES)]


def _differences(datasets: Sequence[External]) -> list[Table]:
    """The metrics minus those on the own test."""
    columns = [Column(one.key, one.title, DIFFERENCES[one.format]) for one in OVERALL]
    rows: list[list[Cell]] = [
        [one.name, *metrics(one.evaluation["difference"], columns)]
        for one in datasets
        if reason_of(one.evaluation.get("difference")) is None
    ]
    title = "Other datasets minus the own test"
    return (
        [Table("differences", title, [Column("dataset", "dataset"), *columns], rows)]
        if rows
        else []
    )
