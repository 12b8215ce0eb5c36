"""The page of a reading: what came out, how far to trust it, and the photographs to look at."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dr_ovo.document.document import Column, Figure, Picture, Report, Section, Table
from dr_ovo.document.figure_style import COLOURS, headline, new_figure, png
from dr_ovo.explanations.words import STRIP_TITLE, how_to_read
from dr_ovo.grading.row_files import Row
from dr_ovo.grading.rules import SCOPE, Rules
from dr_ovo.grading.workload import sentence
from dr_ovo.photographs.damage import Damage
from dr_ovo.photographs.thumbnail import Thumbnail, thumbnail
from dr_ovo.predictions.calibration_file import POINTS
from dr_ovo.predictions.operating_points import CONDITIONS
from dr_ovo.predictions.verdict import RANK, Verdict

WORST = 200  # photographs with a thumbnail, about 8 kB each


def worst(rows: Iterable[Row]) -> list[tuple[int, Row]]:
    """The photographs, with their places, that matter most: by verdict, then by P(referable)."""
    return heapq.nsmallest(WORST, enumerate(rows), key=_urgency)


def _urgency(placed: tuple[int, Row]) -> tuple[int, float, int]:
    place, row = placed
    return RANK[Verdict(row.reading.verdict)], -(row.reading.p_referable or 0.0), place


def sheet(
    rules: Rules,
    summary: Mapping[str, Any],
    shown: Sequence[tuple[str, str, str, Row]],
    damaged: Sequence[Damage],
    strips: Mapping[Path, Thumbnail] | None = None,
    *,
    adds_up: bool = True,
) -> Report:
    """The report: `summary` as in summary.json, and the photographs to be shown, each with name,
    patient and eye; in place of some the `strips` of their maps, which
    may or may not be what `adds_up` to the logits."""
    count = sum(summary["counts"]["photographs"].values())
    sections = [
        _counts(summary["counts"]),
        _trust(rules, summary),
        _photographs(rules, shown, count, strips or {}, how_to_read(adds_up)),
    ]
    if damaged:
        sections.append(_damaged(damaged))
    title = f"Reading of {count:,} photographs"
    return Report("reading", title, summary, sections, rules.marks)


def statements(rules: Rules, summary: Mapping[str, Any]) -> list[str]:
    """What is said of the verdicts, a paragraph each."""
    said = [f"On the own test set: {sentence(summary['own_test'])}"]
    reader = summary.get("first_reader")
    if reader is not None:
        if reader["workload"] is not None:
            said.append(f"By the first reader: {sentence(reader['workload'])}")
        kappa, same = reader["quadratic_kappa"], reader["agreement"]
        if kappa["value"] is not None and same["value"] is not None:
            within = ""
            if kappa.get("low") is not None:
                within = f" ({kappa['low']:.3f} to {kappa['high']:.3f})"
            said.append(
                f"Agreement with the first reader on {reader['graded_by_both']:,} eyes: "
                f"{100 * same['value']:.1f} %, quadratic kappa {kappa['value']:.3f}{within}. "
                f"To arbitrate: {reader['disagreements']:,} eyes, in disagreements.csv."
            )
    if rules.no_gate:
        said.append(
            "Photographs unlike those of the training are not told by "
            f"{len(rules.no_gate)} of {rules.members} networks: {rules.no_gate[0]}."
        )
    return [*said, *_of_sets(rules), SCOPE]


def _of_sets(rules: Rules) -> list[str]:
    """How far the conformal sets can be trusted."""
    sets = rules.conformal
    if sets is None:
        return ["Sets of likely grades: none; the models were calibrated by an earlier version."]
    spread = sets.spread(rules.coverage)
    made = " and ".join(f"{count} {name}" for name, (count, _, _) in spread.items())
    said = (
        f"Sets of likely grades for a coverage of {100 * rules.coverage:g} %, fixed by {made} "
        "photographs."
    )
    if sets.chosen:
        return [f"{said} No coverage is guaranteed: {'; '.join(sets.chosen)}."]
    ends = "; ".join(
        f"{100 * low:.0f} to {100 * high:.0f} % ({name})" for name, (_, low, high) in spread.items()
    )
    return [
        f"{said} It is guaranteed on average over such photographs, one of each patient like those "
        f"in val; with these very ones it lies in 9 of 10 cases within {ends}."
    ]


def _counts(counts: Mapping[str, Mapping[str, int]]) -> Section:
    columns = [Column("verdict", "verdict"), *(Column(n, n, "count") for n in counts)]
    rows: list[list[Any]] = [
        [str(v), *(counts[name].get(v, 0) for name in counts)] for v in Verdict
    ]
    note = (
        "Of several photographs of an eye, and of both eyes, a positive verdict wins, then a "
        "person, then ungradable."
    )
    return Section("What came out", tables=[Table("counts", "Verdicts", columns, rows, note)])


def _trust(rules: Rules, summary: Mapping[str, Any]) -> Section:
    columns = [
        Column("condition", "condition"), Column("point", "operating point"),
        Column("threshold", "threshold of P", "decimal"), Column("n", "fixed by images", "count"),
    ]  # fmt: skip
    rows: list[list[Any]] = []
    for condition in CONDITIONS:
        for name in POINTS:
            point = getattr(rules.points[condition], name)
            value = {"value": point.threshold, "low": point.low, "high": point.high}
            if point.threshold is None:
                value = {"value": None, "reason": point.reason}
            rows.append([condition.replace("_", "-"), name, value, point.n])
    note = (
        "Fixed on val or out of fold, never on test. Out of fold they are of single members, and "
        "approximate for their mean. Intervals (95 %) take images as independent."
    )
    table = Table("points", "Operating points", columns, rows, note)
    figures = _curve(rules, summary["own_test"])
    return Section("How far to trust it", statements(rules, summary), [table], figures)


def _curve(rules: Rules, test: Mapping[str, Any]) -> list[Figure]:
    """Work saved against disease missed on test by the threshold alone, with the frozen point."""
    if not test.get("curve"):
        return []
    figure = new_figure(6.5, 4.2)
    panel = figure.subplots()
    points = test["curve"]
    saved, missed = ([100 * one[key] for one in points] for key in ("saved", "missed"))
    panel.plot(saved, missed, color=COLOURS[0])
    threshold = rules.points["referable"].high_sensitivity.threshold
    if threshold is not None:
        nearest = min(points, key=lambda one: abs(one["threshold"] - threshold))
        panel.plot(100 * nearest["saved"], 100 * nearest["missed"], "o", color=COLOURS[5])
    panel.set_xlabel("eyes below the threshold, %")
    panel.set_ylabel("of the referable eyes, missed, %")
    panel.grid(color="0.9", linewidth=0.6)
    title = "Work saved against disease missed, own test"
    headline(figure, f"{title}\nby the threshold alone, without sets and members", rules.marks)
    alt = (
        "Share of eyes below the threshold against share of referable eyes missed by it, without "
        "sets and members. The dot is the frozen high_sensitivity point."
    )
    return [Figure("workload", png(figure), alt)]


def _photographs(
    rules: Rules,
    shown: Sequence[tuple[str, str, str, Row]],
    count: int,
    strips: Mapping[Path, Thumbnail],
    how_to_read: Sequence[str],
) -> Section:
    columns = [
        Column("file", "file"), Column("picture", STRIP_TITLE if strips else "photograph"),
        Column("verdict", "verdict"),
        Column("reasons", "why"), Column("grade", "grade"), Column("likely", "likely grades"),
        Column("p_referable", "P(grade >= 2)", "decimal"),
        Column("p_vision_threatening", "P(grade >= 3)", "decimal"),
        Column("agreement", "members agree, %", "percent"), Column("patient", "patient"),
        Column("eye", "eye"),
    ]  # fmt: skip
    names = rules.class_names
    rows: list[list[Any]] = []
    for name, patient, eye, row in shown:
        reading = row.reading
        small = strips.get(row.path) or thumbnail(row.path)
        picture = small and Picture(small.jpeg, small.width, small.height, name)
        ends = [] if reading.likely is None else [names[grade] for grade in reading.likely]
        rows.append([
            name, picture, reading.verdict, "; ".join(reading.reasons),
            reading.grade_name or None, " to ".join(dict.fromkeys(ends)) or None,
            reading.p_referable, reading.p_vision_threatening, reading.agreement,
            None if patient == name else patient, eye or None,
        ])  # fmt: skip
    title = f"The {len(rows)} photographs to look at first, of {count:,}"
    note = "All are in photographs.csv. By verdict, then by P(referable)."
    said = how_to_read if strips else []
    return Section("Photographs", said, tables=[Table("worst", title, columns, rows, note)])


def _damaged(damaged: Sequence[Damage]) -> Section:
    columns = [Column("file", "file"), Column("reason", "reason")]
    rows = [[str(one.path), one.reason] for one in damaged]
    return Section(
        "Files that can't be read",
        tables=[Table("damaged", f"{len(rows)} files", columns, rows, shown=WORST)],
    )
