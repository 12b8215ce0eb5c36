"""Blocks of metrics with their intervals: the differences of two sets of patients, and reasons that
name the classes of another data set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dr_ovo.evaluation.external.metrics.class_map import ClassMap
from dr_ovo.statistics.differences import unpaired_difference
from dr_ovo.statistics.intervals import Estimate

OVERALL = ("accuracy", "balanced_accuracy", "quadratic_kappa", "macro_auc")
# Blocks whose metrics mean the same in both sets; thirds of quality are those of each set.
COMPARED = (
    *OVERALL, "per_class", "per_grade", "pairs", "referable", "vision_threatening", "calibration",
    "conformal", "patient_level",
)  # fmt: skip
LABELS = ("class", "grade", "pair")
NUMBERED = re.compile(r"grade (\d+(?:, \d+)*)")


def differences(external: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Each metric of `external` minus that of `own`, of other patients, with its interval."""
    return {
        key: difference(external[key], own[key])
        for key in COMPARED
        if key in external and key in own
    }


def in_words(report: Mapping[str, Any], classes: ClassMap) -> dict[str, Any]:
    """The blocks of a report whose reasons take the numbers of classes for grades, with the names
    of the classes in place of these; none where nothing is merged."""
    if not classes.merges:
        return {}
    named = {key: _named(report[key], classes) for key in (*OVERALL, "per_class") if key in report}
    patients = report.get("patient_level", {})
    if "accuracy" in patients:
        metrics = {key: _named(patients[key], classes) for key in OVERALL}
        named["patient_level"] = {**patients, **metrics}
    return named


def difference(external: Any, own: Any) -> Any:
    """The differences of two trees of metrics, of what both have, which keeps what labels them; of
    a tree and a reason, the reason."""
    if isinstance(external, list):
        return [difference(*both) for both in zip(external, own, strict=True)]
    # One of them may have a reason where the other has a block.
    if lacking := [one["reason"] for one in (external, own) if one.get("value", 0) is None]:
        return Estimate(None, reason=lacking[0]).to_json()
    if "value" in external:
        return unpaired_difference(_estimate(external), _estimate(own)).to_json()
    return {
        key: child if key in LABELS else difference(child, own[key])
        for key, child in external.items()
        if key in own and (key in LABELS or isinstance(child, (dict, list)))
    }


def _estimate(metric: Mapping[str, Any]) -> Estimate:
    return Estimate(metric["value"], metric.get("low"), metric.get("high"))


def _named(block: Any, classes: ClassMap) -> Any:
    if isinstance(block, list):
        return [_named(one, classes) for one in block]
    if not isinstance(block, dict):
        return block
    named = {key: _named(child, classes) for key, child in block.items()}
    if isinstance(named.get("reason"), str):
        named["reason"] = NUMBERED.sub(lambda found: _names(found[1], classes), named["reason"])
    return named


def _names(numbers: str, classes: ClassMap) -> str:
    return "class " + ", ".join(classes.names[int(number)] for number in numbers.split(", "))
