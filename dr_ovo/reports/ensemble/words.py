"""Verdicts of evaluate_super_ensemble.py in sentences: better, worse, or not shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dr_ovo.document.document import Column, p_value
from dr_ovo.ensembles.elimination import MIN_IMAGES
from dr_ovo.reports.ensemble.study import Study

ACCURACY = Column("accuracy", "accuracy", "signed_percent")
KAPPA = Column("quadratic_kappa", "kappa", "signed_decimal")


def best_member_words(study: Study) -> str:
    """Whether the ensemble beats the best member on val; paired intervals decide."""
    lead = study.differences[study.best]
    member = f"its best member on val, {study.best}"
    judged = {_judge(lead["accuracy"]), _judge(lead["quadratic_kappa"])}
    if "better" in judged and "worse" not in judged:
        return f"The ensemble is better than {member}: {_lead_words(lead)}."
    if "worse" in judged and "better" not in judged:
        return f"The ensemble is WORSE than {member}: {_lead_words(lead)}. Use {study.best} alone."
    if judged == {"better", "worse"}:
        return f"The ensemble is better than {member} in one metric only: {_lead_words(lead)}."
    return (
        f"The ensemble is NOT shown to be better than {member}: {_lead_words(lead)}. The intervals "
        "include 0."
    )


def baseline_words(study: Study) -> list[str]:
    """Whether the whole beats the baseline, or why there is none."""
    if study.baseline is None:
        return [
            "There is no baseline for comparison: it takes two of the four CNNs and another model. "
            "Name some of the members with --baseline."
        ]
    names, lead = ", ".join(study.baseline.names), study.differences[study.baseline.title]
    judged = _judge(lead["accuracy"])
    verb = {"better": "is more accurate than", "worse": "is LESS accurate than"}.get(
        judged, "is NOT shown to be more accurate than"
    )
    return [f"The whole ensemble {verb} the {study.baseline.title} ({names}): {_lead_words(lead)}."]


def _judge(difference: Mapping[str, Any]) -> str:
    if difference.get("low") is None:
        return "not known"
    return "better" if difference["low"] > 0 else "worse" if difference["high"] < 0 else "equal"


def _lead_words(lead: Mapping[str, Any]) -> str:
    units = {ACCURACY: "points of accuracy", KAPPA: "kappa"}
    return "; ".join(
        f"{column.text(lead[column.key])} {unit}, p {_p_words(lead[f'{column.key}_p'])}"
        for column, unit in units.items()
    )


def _p_words(value: float | None) -> str:
    shown = p_value(value)
    return shown if shown.startswith("<") else f"= {shown}" if value is not None else "unknown"


def smaller_words(study: Study) -> str:
    """Which members are unnecessary on val, and how the rest performs on test."""
    if study.smaller is None:
        return _none_smaller_words(study.elimination.images, study.results.val_words)
    dropped = [name for name in study.whole.names if name not in study.smaller.names]
    lead = study.differences[study.smaller.title]
    return (
        f"Can be dropped without loss, by val: {', '.join(dropped)}. On test, the whole minus the "
        f"remaining {', '.join(study.smaller.names)}: {_lead_words(lead)}."
    )


def _none_smaller_words(images: int, val: str) -> str:
    """What it means that no member was dropped by a number of `images` of `val`."""
    said = f"No member is shown to be unnecessary by {images:,} images of {val}."
    if images < MIN_IMAGES:
        said += f" With fewer than {MIN_IMAGES} none is ever left out."
    return f"{said} This does not show that each is needed."
