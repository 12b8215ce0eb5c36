"""Tables and text of analyze_per_class_strengths.py, at most 110 columns wide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dr_ovo.document.document import Cell, Column, Figure, Section, Table
from dr_ovo.reports.strengths.shared_mistakes import mistakes_in_words, mistakes_table

RATES = (
    Column("recall", "recall %", "percent"),
    Column("precision", "precision %", "percent"),
    Column("specificity", "specificity %", "percent"),
)
SCORES = (Column("f1", "F1", "decimal"), Column("auc", "AUC", "decimal"))
LEAD_NOTE = (
    "Best and runner-up are chosen on val (F1 on its selection share); the lead is the difference "
    "on test. p (Holm) is corrected for all grades and both tables; below .05 it is significant."
)


def sections(
    data: Mapping[str, Any],
    figures: tuple[Figure, Figure],
    maps: tuple[list[str], Table | None],
) -> list[Section]:
    """Best models, classes, pairs, confusions and shared mistakes; `figures`: heat, confusion;
    `maps`: what is said of those of the mistakes, and their table."""
    heat, confusion = figures
    names, mistakes = data["models"], data["shared_mistakes"]
    words = mistakes_in_words(mistakes, names)
    return [
        Section("The best model for each grade", _opening(data), _leads(data)),
        Section("Grades", (), _class_tables(data), [heat]),
        Section("Pairs", [PAIR_WORDS], [_pairs(data), *_pair_tables(data)]),
        Section(
            "Confusions", ["Rows are true grades; shares of a row by colour."], (), [confusion]
        ),
        Section(
            "Mistakes that all models share",
            [*words, *maps[0]],
            [mistakes_table(mistakes, names), *([] if maps[1] is None else [maps[1]])],
        ),
    ]


PAIR_WORDS = (
    "How each pair's logit separates its two grades, on the images of these two only; the higher "
    "grade is positive. Best and runner-up are chosen on val, by AUC."
)


def _opening(data: Mapping[str, Any]) -> list[str]:
    by_patient = data["intervals"] == "patient bootstrap"
    how = "patients resampled, both eyes together" if by_patient else "one image per patient"
    first = (
        f"{data['n']} test images of {data['n_patients']} patients; in brackets 95 % intervals "
        f"({how})."
    )
    return [first, *(entry["words"] for entry in data["classes"])]


def _leads(data: Mapping[str, Any]) -> list[Table]:
    if len(data["models"]) < 2:
        return []
    return [_lead(data, "recall", "percent", ""), _lead(data, "f1", "decimal", LEAD_NOTE)]


def _lead(data: Mapping[str, Any], key: str, form: str, note: str) -> Table:
    shown = {"recall": "recall", "f1": "F1"}[key]
    columns = (
        Column("grade", "grade"),
        Column("best", "best on val"),
        Column("runner_up", "runner-up"),
        Column(key, f"its {shown}{' %' if form == 'percent' else ''}", form),
        Column("lead", f"lead{', points' if form == 'percent' else ''}", f"signed_{form}"),
        Column("p_corrected", "p (Holm)", "p"),
    )
    rows: list[list[Cell]] = []
    for entry in data["classes"]:
        lead = entry["lead"].get(key, {"value": None, "p_corrected": None})
        own = entry["models"][entry["best"]][key] if entry["best"] else None
        names = [str(entry["grade"]), entry["best"], entry["runner_up"]]
        rows.append([*names, own, lead, lead["p_corrected"]])
    title = f"Lead in {shown} on test of the best model on val"
    return Table(f"lead_{key}", title, columns, rows, note)


def _class_tables(data: Mapping[str, Any]) -> list[Table]:
    head = (Column("grade", "grade"), Column("model", "model"), Column("n", "images", "count"))
    tables = []
    for name, title, columns in (
        ("class_rates", "Recall, precision and specificity by grade", RATES),
        ("class_scores", "F1 and AUC (against the rest) by grade", SCORES),
    ):
        rows = [
            [str(entry["grade"]), model, entry["n"], *_cells(figures, columns)]
            for entry in data["classes"]
            for model, figures in entry["models"].items()
        ]
        tables.append(Table(name, title, (*head, *columns), rows))
    return tables


def _cells(figures: Mapping[str, Any], columns: Sequence[Column]) -> list[Cell]:
    return [figures[column.key] for column in columns]


def _pairs(data: Mapping[str, Any]) -> Table:
    columns = (
        Column("pair", "pair"),
        Column("best", "best on val"),
        Column("runner_up", "runner-up"),
        Column("n", "images", "count"),
        Column("auc", "its AUC", "decimal"),
        Column("lead", "lead", "signed_decimal"),
    )
    rows: list[list[Cell]] = []
    for entry in data["pairs"]:
        auc = entry["models"][entry["best"]]["auc"] if entry["best"] else None
        rows.append(
            [_pair_text(entry), entry["best"], entry["runner_up"], entry["n"], auc,
             entry["lead"].get("auc")]
        )  # fmt: skip
    note = "Leads have paired intervals, not corrected for the number of pairs."
    title = "AUC on test of the best model on val, and its lead"
    return Table("pair_leads", title, columns, rows, note if len(data["models"]) > 1 else "")


def _pair_text(entry: Mapping[str, Any]) -> str:
    return "-".join(map(str, entry["pair"]))


def _pair_tables(data: Mapping[str, Any]) -> list[Table]:
    columns = (
        Column("pair", "pair"),
        Column("model", "model"),
        Column("n", "images", "count"),
        Column("accuracy", "accuracy %", "percent"),
        *RATES,
        *SCORES,
    )
    rows = [
        [_pair_text(entry), model, entry["n"], *_cells(figures, columns[3:])]
        for entry in data["pairs"]
        for model, figures in entry["models"].items()
    ]
    return [Table("pair_strengths", "Every model's figures for every pair", columns, rows, shown=0)]
