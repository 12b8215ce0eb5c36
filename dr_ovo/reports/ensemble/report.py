"""Tables and JSON of evaluate_super_ensemble.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dr_ovo.document.document import Column, Report, Section, Table
from dr_ovo.ensembles.elimination import RULE
from dr_ovo.reports.ensemble.figures import figures_forest, weights_bars
from dr_ovo.reports.ensemble.study import COMPARED, MEAN_OF_FIGURES, Combined, Study
from dr_ovo.reports.ensemble.words import baseline_words, best_member_words, smaller_words
from dr_ovo.reports.plausibility import implausible

SCHEMA = 1
COLUMNS = {
    "accuracy": Column("accuracy", "accuracy %", "percent"),
    "balanced_accuracy": Column("balanced_accuracy", "balanced accuracy %", "percent"),
    "quadratic_kappa": Column("quadratic_kappa", "quadratic kappa", "decimal"),
    "macro_auc": Column("macro_auc", "macro AUC", "decimal"),
    "class_1_recall": Column("class_1_recall", "class-1 recall %", "percent"),
    "referable_sensitivity": Column("referable_sensitivity", "referable sens. %", "percent"),
    "referable_specificity": Column("referable_specificity", "spec. %", "percent"),
    "calibration_error": Column("calibration_error", "calibration error %", "percent"),
}
FIRST, SECOND = tuple(COLUMNS)[:4], tuple(COLUMNS)[4:]
SIGNED = {"percent": "signed_percent", "decimal": "signed_decimal"}


def ensemble_report(study: Study) -> Report:
    """The report on the study."""
    return Report(
        name="super_ensemble",
        title=f"Ensemble of {len(study.results.models)} models: {study.rule.words}",
        data=_data(study),
        sections=[_verdict(study), _members(study), _smaller(study)],
        marks=study.results.marks,
    )


def _verdict(study: Study) -> Section:
    paragraphs = [best_member_words(study), *baseline_words(study)]
    row = study.figures[study.whole.title]
    if warning := implausible(row["accuracy"], row["quadratic_kappa"]):
        paragraphs.append(f"WARNING: {warning}")
    forest = figures_forest(study.figures, study.whole.title, study.results.marks)
    return Section("Is the ensemble worth it? (test)", paragraphs, [_leads(study)], [forest])


def _signed(column: Column) -> Column:
    return Column(column.key, column.title, SIGNED[column.format])


def _leads(study: Study) -> Table:
    columns = [Column("against", "ensemble minus")]
    columns += [_signed(COLUMNS[name]) for name in COMPARED]
    columns += [Column("accuracy_p", "p (accuracy)", "p"), Column("kappa_p", "p (kappa)", "p")]
    rows = [
        [name, *(lead[key] for key in (*COMPARED, "accuracy_p", "quadratic_kappa_p"))]
        for name, lead in study.differences.items()
    ]
    note = "Paired 95 % intervals and p values on the same images; p values are not corrected."
    return Table("ensemble_differences", "Differences on test", columns, rows, note)


def _members(study: Study) -> Section:
    fitted = study.whole.fitted
    assert fitted is not None  # an ensemble has at least two members
    tables = [_figures_table(study, number, keys) for number, keys in enumerate((FIRST, SECOND), 1)]
    columns = [Column("model", "member"), Column("weight", "weight", "decimal")]
    columns += [
        Column("lowest", "lowest in folds", "decimal"),
        Column("highest", "highest", "decimal"),
    ]
    columns += [COLUMNS["accuracy"], COLUMNS["quadratic_kappa"]]
    rows: list[list[Any]] = []
    for number, name in enumerate(study.whole.names):
        folds = fitted.fold_weights[:, number].tolist()
        val = study.val_figures[name]
        ends = [min(folds), max(folds)] if folds else [None, None]
        rows.append(
            [name, float(fitted.weights[number]), *ends, val["accuracy"], val["quadratic_kappa"]]
        )
    val = study.val_figures[study.whole.title]
    rows.append([study.whole.title, None, None, None, val["accuracy"], val["quadratic_kappa"]])
    title = "Weights, and figures on val (selection share)"
    tables.append(Table("ensemble_weights", title, columns, rows, fitted.note))
    bars = weights_bars(study.whole, study.results.val_words, study.results.marks)
    return Section("Members and ensembles", (), tables, [bars])


def _figures_table(study: Study, number: int, keys: Sequence[str]) -> Table:
    columns = [Column("model", "model"), *(COLUMNS[key] for key in keys)]
    rows = [[name, *(row[key] for key in keys)] for name, row in study.figures.items()]
    note = "95 % intervals."
    if number == 2:
        note += (
            " Sensitivity and specificity for referable disease at the high-sensitivity point "
            f"fixed on {study.results.val_words}; calibration error of the tempered probabilities."
        )
    return Table(f"ensemble_figures_{number}", "Figures on test", columns, rows, note)


def _smaller(study: Study) -> Section:
    columns = [
        Column("without", "without"),
        Column("accuracy", "accuracy lost, points", "signed_percent"),
        Column("quadratic_kappa", "kappa lost", "signed_decimal"),
        Column("spare", "can be left out", "yes"),
    ]
    found = study.elimination
    rows = [
        [name, loss["accuracy"], loss["quadratic_kappa"], spare]
        for name, loss, spare in zip(study.whole.names, found.losses, found.spare, strict=True)
    ]
    title = "The ensemble on val without one member"
    note = f"{RULE} Here there are {found.images:,}."
    table = Table("ensemble_without_one", title, columns, rows, note)
    return Section("Which members can be left out?", [smaller_words(study)], [table])


def _data(study: Study) -> dict[str, Any]:
    fitted, found = study.whole.fitted, study.elimination
    assert fitted is not None  # an ensemble has at least two members
    return {
        "schema": SCHEMA,
        "method": study.rule.method,
        "weight_by": study.rule.weight_by if study.rule.method == "weighted" else None,
        "members": list(study.whole.names),
        "weights": fitted.weights.tolist(),
        "fold_weights": fitted.fold_weights.tolist(),
        "val_note": fitted.note,
        "temperature": fitted.calibration.temperature,
        "best_member_on_val": study.best,
        "words": best_member_words(study),
        "ensemble": study.figures[study.whole.title],
        "member_figures": {name: study.figures[name] for name in study.whole.names},
        "mean_of_member_figures": study.figures[MEAN_OF_FIGURES],
        "baseline": _part(study, study.baseline),
        "smaller": _part(study, study.smaller),
        "difference_to_best_member": study.differences[study.best],
        "val": study.val_figures,
        "without_one": [
            {"member": name, "loss": loss, "can_be_left_out": spare}
            for name, loss, spare in zip(study.whole.names, found.losses, found.spare, strict=True)
        ],
        "rule": RULE,
        "verdict": best_member_words(study),
    }


def _part(study: Study, part: Combined | None) -> dict[str, Any] | None:
    if part is None:
        return None
    weights = part.fitted.weights.tolist() if part.fitted else [1.0]
    return {
        "members": list(part.names),
        "weights": weights,
        "figures": study.figures[part.title],
        "difference": study.differences[part.title],
    }
