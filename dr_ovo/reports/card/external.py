"""Evaluations on other datasets, in `external/<name>` of a results folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dr_ovo.document.document import Cell, Column, Table
from dr_ovo.errors import UserError
from dr_ovo.files import file_sha256
from dr_ovo.reports.card.form.parts import (
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
from dr_ovo.results.made_from import MADE_FROM

FOLDER = SPLIT = "external"
DIFFERENCES = {"percent": "signed_percent", "decimal": "signed_decimal"}


@dataclass(frozen=True)
class External:
    """A dataset that the model was put to later, and the evaluation on it."""

    name: str
    evaluation: Mapping[str, Any]


def read_external(
    results: ResultsFolder, evaluations: Iterable[Mapping[str, Any]]
) -> tuple[External, ...]:
    """The evaluations on other datasets, by name. Raises UserError for a damaged one, and for one
    of other predictions, of another calibration, or of other checkpoints than those that the own
    `evaluations` are of."""
    found = []
    for root in sorted((results.root / FOLDER).glob("*/")):
        folder = ResultsFolder(root)
        evaluation = folder.read_evaluation(SPLIT)
        if evaluation:
            source = evaluation.get(MADE_FROM, {})
            if other := next(_others(results, folder, source, evaluations), None):
                raise UserError(
                    f"{folder.evaluation(SPLIT)} belongs to {other} than what is there now. "
                    "Evaluate that dataset again: --mode evaluate --external"
                )
            found.append(External(root.name, evaluation))
    return tuple(found)


def _others(
    results: ResultsFolder,
    folder: ResultsFolder,
    source: Mapping[str, Any],
    evaluations: Iterable[Mapping[str, Any]],
) -> Iterator[str]:
    """What an evaluation was made from that is another by now."""
    predictions = folder.predictions(SPLIT)
    if predictions.is_file() and file_sha256(predictions) != source.get("predictions"):
        yield "other predictions"
    if results.calibration.is_file():
        # The calibration is calibration.json, or that in an ensemble's manifest beside it.
        known = [file_sha256(path) for path in sorted(results.root.glob("*.json"))]
        if source.get("calibration") not in known:
            yield "another calibration"
    checkpoints = source.get("checkpoints", {})
    for evaluation in evaluations:
        for name, sha256 in evaluation.get(MADE_FROM, {}).get("checkpoints", {}).items():
            if checkpoints.get(name, sha256) != sha256:
                yield f"another {name}"


def external_section(datasets: Sequence[External]) -> CardSection:
    """The figures on other datasets, by the temperature and the points fixed before."""
    title = "External testing"
    if not datasets:
        said = "None evaluated: how the model does on photographs of another place is not known."
        return CardSection(title, [said])
    said = "Temperature and operating points were fixed before, without these datasets."
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
