"""Tables and text of compare_models.py, at most 110 columns wide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dr_ovo.document.document import Cell, Column, Figure, Section, Table
from dr_ovo.predictions.calibration_file import VAL_OF_FOLDS
from dr_ovo.reports.paired_comparison import COMPARED

NAME = Column("model", "model")
PERFORMANCE = (
    NAME,
    Column("accuracy", "accuracy %", "percent"),
    Column("balanced_accuracy", "balanced acc. %", "percent"),
    Column("quadratic_kappa", "quadratic kappa", "decimal"),
    Column("macro_auc", "macro AUC", "decimal"),
)
CLINICAL = (
    NAME,
    Column("class_1_recall", "class-1 recall %", "percent"),
    Column("threshold", "threshold", "decimal"),
    Column("sensitivity", "sensitivity %", "percent"),
    Column("specificity", "specificity %", "percent"),
)
BY_GRADE = (
    NAME,
    Column("referable_auc", "referable AUC", "decimal"),
    Column("sensitivity", "sensitivity %", "percent"),
    Column("specificity", "specificity %", "percent"),
)
CALIBRATION = (
    NAME,
    Column("ece_tempered", "ECE % tempered", "percent"),
    Column("ece_raw", "ECE % raw", "percent"),
    Column("brier_tempered", "Brier tempered", "decimal"),
    Column("brier_raw", "Brier raw", "decimal"),
)
COST = (
    NAME,
    Column("family", "family"),
    Column("head", "head"),
    Column("parameters", "parameters", "magnitude"),
    Column("bytes", "size", "bytes"),
    Column("training_seconds", "training time", "minutes"),
)
UNKNOWN_COST = (
    "-: unknown, because it is not in models/*.json or history.csv of the results folder."
)


def sections(data: Mapping[str, Any], figures: tuple[Figure, Figure]) -> list[Section]:
    """Performance, differences, clinical, calibration, cost; `figures`: forest, reliability."""
    forest, reliability = figures
    rows = data["models"]
    return [
        Section("Performance", _opening(data), [_performance(rows)], [forest]),
        _differences(data),
        Section("Referable disease (grade 2 and above)", (), [_clinical(rows), _by_grade(rows)]),
        Section("Calibration", _temperatures(rows), [_calibration(rows)], [reliability]),
        Section("Cost", (), [_cost(rows)]),
    ]


def _opening(data: Mapping[str, Any]) -> list[str]:
    reference = data["reference"]
    kappa = reference["val_kappa"]
    shown = "not defined there" if kappa is None else f"{kappa:.3f} there"
    by_patient = data["intervals"] == "patient bootstrap"
    how = "patients resampled, both eyes together" if by_patient else "one image per patient"
    lines = [
        f"{data['n']} test images of {data['n_patients']} patients; in brackets 95 % intervals "
        f"({how})."
    ]
    if len(data["models"]) > 1:
        lines.append(
            f"The reference is {reference['name']}, the first row: the best by "
            f"{reference['chosen_by']} ({shown}). Rows are ordered by that kappa; nothing "
            "was chosen on test."
        )
    return [*lines, *(f"WARNING: {warning}" for warning in data["warnings"])]


def _performance(rows: Sequence[Mapping[str, Any]]) -> Table:
    keys = [column.key for column in PERFORMANCE[1:]]
    table_rows = [[row["name"], *(row[key] for key in keys)] for row in rows]
    return Table("performance", "Performance on test", PERFORMANCE, table_rows)


def _differences(data: Mapping[str, Any]) -> Section:
    title = f"Differences from {data['reference']['name']}"
    if not data["differences"]:
        return Section("Differences", ["With a single model there is nothing to compare it with."])
    words = [difference["words"] for difference in data["differences"]]
    note = (
        "Intervals are not corrected for multiple comparisons. p: "
        + (
            "permutation test that swaps patients between the two models"
            if data["intervals"] == "patient bootstrap"
            else "McNemar's exact test for accuracy, permutation tests for the others"
        )
        + "; p (Holm) is corrected for all comparisons of this section together; below .05 the "
        "verdict is better or worse."
    )
    tables = [_difference_table(data, key, note if key == "macro_auc" else "") for key in COMPARED]
    return Section(title, words, tables)


def _difference_table(data: Mapping[str, Any], key: str, note: str) -> Table:
    points = key == "accuracy"
    columns = (
        NAME,
        Column("difference", "difference", "signed_percent" if points else "signed_decimal"),
        Column("p", "p", "p"),
        Column("p_corrected", "p (Holm)", "p"),
        Column("verdict", "verdict"),
    )
    rows: list[list[Cell]] = []
    for difference in data["differences"]:
        metric = difference[key]
        rows.append(
            [difference["model"], metric, metric["p"], metric["p_corrected"], metric["verdict"]]
        )
    unit = ", in percentage points" if points else ""
    title = f"{COMPARED[key][0].capitalize()} minus that of {data['reference']['name']}{unit}"
    title = title.replace("Macro auc", "Macro AUC")
    return Table(f"difference_{key}", title, columns, rows, note)


def _clinical(rows: Sequence[Mapping[str, Any]]) -> Table:
    table_rows = []
    for row in rows:
        point = row["referable"]["high_sensitivity"]
        rates = [point["sensitivity"], point["specificity"]]
        table_rows.append([row["name"], row["class_1_recall"], point.get("threshold"), *rates])
    note = (
        "The threshold applies to the summed probability of grades 2 and above, fixed on "
        f"{_val_words(rows)}."
    )
    title = "Recall of class 1; referable disease at the frozen high-sensitivity point"
    return Table("clinical", title, CLINICAL, table_rows, note)


def _by_grade(rows: Sequence[Mapping[str, Any]]) -> Table:
    table_rows = []
    for row in rows:
        rates = row["referable"]["argmax"]
        auc = row["referable"]["auc"]
        table_rows.append([row["name"], auc, rates["sensitivity"], rates["specificity"]])
    return Table("referable_by_grade", "Referable disease by predicted grade", BY_GRADE, table_rows)


def _temperatures(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    fitted = ", ".join(f"{row['name']} {row['calibration']['temperature']:.2f}" for row in rows)
    lines = [
        "ECE: expected calibration error, 15 bins. Brier: summed over classes, 0 to 2. Tempered: "
        f"with the temperature fitted on {_val_words(rows)} ({fitted})."
    ]
    undivided = [
        row["name"]
        for row in rows
        if not (row["calibration"]["val_divided"] or row["calibration"]["out_of_fold"])
    ]
    if undivided:
        lines.append(
            "Val was too small to be divided: it served for selection and also for the temperature "
            f"and the thresholds: {', '.join(undivided)}."
        )
    return lines


def _val_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """What stands in place of val: for models of `--folds` train and val, out of fold."""
    return VAL_OF_FOLDS if any(row["calibration"]["out_of_fold"] for row in rows) else "val"


def _calibration(rows: Sequence[Mapping[str, Any]]) -> Table:
    table_rows = [
        [row["name"]]
        + [
            row["calibration"][kind][key]
            for key in ("ece", "brier")
            for kind in ("tempered", "raw")
        ]
        for row in rows
    ]
    return Table("calibration", "Calibration on test, lower is better", CALIBRATION, table_rows)


def _cost(rows: Sequence[Mapping[str, Any]]) -> Table:
    table_rows = [[row["name"], *(row[column.key] for column in COST[1:])] for row in rows]
    unknown = any(row[key] is None for row in rows for key in ("parameters", "training_seconds"))
    return Table("cost", "Cost", COST, table_rows, UNKNOWN_COST if unknown else "")
