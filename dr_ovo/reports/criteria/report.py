"""Tables, text and JSON of medical_validation.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from dr_ovo.document.document import Column, Report, Section, Table
from dr_ovo.reports.criteria.criteria import (
    DIRECTIONS,
    GRADES,
    MET,
    NOT_MET,
    UNDECIDED,
    UNKNOWN,
    Judgement,
    letter,
)
from dr_ovo.reports.criteria.figures import criteria_figure
from dr_ovo.reports.criteria.validation import Validation
from dr_ovo.tables import decimal, magnitude, percent

SCHEMA = 1
RULE = (
    "Met: the lower end of the 95 % interval is above the limit. Not met: the upper end is below "
    "or at it. Otherwise undecided. The ensemble is the mean of the members' probabilities; "
    "sensitivity and specificity are those at the high-sensitivity point fixed on {val}. Where a "
    "criterion covers every grade or pair, the worst decides."
)
DECIMALS = ("auc", "kappa", "f1", "brier")


def validation_report(validation: Validation) -> Report:
    """The report on the judgements."""
    verdicts = [one.verdict for one in validation.judgements]
    grade, counts = letter(verdicts), Counter(verdicts)
    summary = ", ".join(f"{counts[v]} {v}" for v in (MET, NOT_MET, UNDECIDED, UNKNOWN))
    graded = f"Grade {grade}" if grade else "Not graded, as no criterion can be judged here"
    paragraphs = [f"{graded}. Of {len(verdicts)} criteria: {summary}.", GRADES]
    paragraphs += [f"WARNING: {warning}" for warning in validation.warnings]
    tables = [_table(validation)]
    if validation.external:
        paragraphs.append(
            "That the external set is independent and graded by experts is your claim: its files "
            "can't show it, beyond the names of its images."
        )
        tables.append(_external(validation))
    figures = criteria_figure(validation.judgements, validation.marks)
    sections = [Section("Criteria", paragraphs, tables, figures)]
    data = {
        "schema": SCHEMA,
        "grade": grade,
        "grade_rule": GRADES,
        "n": validation.images,
        "counts": {verdict: counts[verdict] for verdict in (MET, NOT_MET, UNDECIDED, UNKNOWN)},
        "criteria": [_data(one) for one in validation.judgements],
        "warnings": list(validation.warnings),
        "external": validation.external or None,
    }
    title = f"Criteria on {validation.images} test images"
    return Report("validation", title, data, sections, validation.marks)


def _data(judgement: Judgement) -> dict[str, Any]:
    criterion = judgement.criterion
    return {
        "id": criterion.id,
        "text": criterion.text,
        "subject": judgement.subject,
        "metric": criterion.metric,
        "direction": criterion.direction,
        "limit": criterion.limit,
        "verdict": judgement.verdict,
        "why": judgement.why,
        "images_needed": judgement.images,
        "found": dict(judgement.metric),
    }


def _table(validation: Validation) -> Table:
    columns = [
        Column("text", "criterion"),
        Column("subject", "of"),
        Column("limit", "limit"),
        Column("found", "found (95 % interval)"),
        Column("verdict", "verdict"),
        Column("why", "why, or what would settle it"),
    ]
    rows = [
        [
            one.criterion.text,
            one.subject,
            f"{DIRECTIONS[one.criterion.direction].sign} "
            + _number(one.criterion.metric, one.criterion.limit),
            _found(one.criterion.metric, one.metric),
            one.verdict,
            one.why,
        ]
        for one in validation.judgements
    ]
    return Table("validation_criteria", "Criteria", columns, rows, RULE.format(val=validation.val))


def _number(metric: str, value: float) -> str:
    last = metric.rsplit(".", 1)[-1]
    if last == "parameters":
        return magnitude(value)
    if last in ("families", "paradigms", "independent_images"):
        return f"{value:,.0f}"
    if any(word in metric for word in DECIMALS):
        return f"{value:.4f}" if "auc" in metric else decimal(value)
    return percent(value)


def _found(metric: str, estimate: Mapping[str, Any]) -> str:
    if estimate["value"] is None:
        return "-"
    value = _number(metric, estimate["value"])
    if estimate.get("low") is None or estimate["low"] == estimate["high"]:
        return value
    return f"{value} ({_number(metric, estimate['low'])} to {_number(metric, estimate['high'])})"


def _external(validation: Validation) -> Table:
    columns = [Column("metric", "figure"), Column("found", "found (95 % interval)")]
    rows = [
        [path.replace("_", " "), _found(path, estimate)]
        for path, estimate in validation.external.items()
    ]
    return Table("validation_external", "The model on the external set", columns, rows)
