"""The printed evaluation on another data set: beside the own test, with the differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dr_ovo.dataset.words import SPLITS
from dr_ovo.predictions.calibration_file import VAL_OF_FOLDS
from dr_ovo.tables import RESEARCH_USE, decimal, percent, table, wrapped

OVERALL = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "quadratic_kappa": "quadratic weighted kappa",
    "macro_auc": "macro AUC",
}
CONDITIONS = {
    "referable": "referable (grade >= 2)",
    "vision_threatening": "vision-threatening (grade >= 3)",
}
POINTS = ("high_sensitivity", "high_specificity")
DECIMALS = {"quadratic_kappa", "macro_auc", "auc"}
MEASURES = 6  # shifts that are shown, the largest first


def external_table(report: Mapping[str, Any]) -> str:
    """The readable form of evaluation_external.json, at most 100 columns wide; the intervals on the
    own test stand in the file alone."""
    sections = [_heading(report), _metrics(report), _calibration(report), _shift(report["shift"])]
    sections += [_gates(report["gates"]), _without_shared(report), _reasons(report), RESEARCH_USE]
    return "\n\n".join(section for section in sections if section)


def _heading(report: Mapping[str, Any]) -> str:
    lines = [
        f"{report['dataset']}: {report['n']} images, 95 % intervals ({report['n_patients']} "
        f"patients; {report['intervals']})"
    ]
    merged: dict[str, list[str]] = {name: [] for name in report["classes"]}
    for grade, name in report["grade_map"].items():
        merged[name].append(grade)
    rows = zip(report["per_class"], merged.items(), strict=True)
    for row, (name, grades) in rows:
        lines.append(f"  {name}: grade {', '.join(grades)}; {row['n']} images")
    lines.append(_shared(report["shared"]))
    if report["leaky"]:
        lines.append(
            "LEAKY: the network has seen photographs of this set; these figures are too good."
        )
    return "\n".join(map(wrapped, lines))


def _shared(block: Mapping[str, Any]) -> str:
    """What was looked for first, and found."""
    found = f"Shared with the training: files that the network has seen: {block['seen']['files']}"
    if "reason" in block["photographs"]:
        return f"{found}; copies and names of patients: unknown"
    counts = ", ".join(f"{block['photographs'][name]} of {name}" for name in SPLITS)
    return f"{found}; copies: {counts}; names of patients: {block['patient_names']['patients']}"


def _rows(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str, tuple[str | int, ...]]]:
    """Of each metric that is shown its section, its label, its name, and its path in a block."""
    for name, label in OVERALL.items():
        yield "overall", label, name, (name,)
    for number, row in enumerate(report["per_class"]):
        yield "overall", f"recall of {row['class']}", "recall", ("per_class", number, "recall")
    for condition, title in CONDITIONS.items():
        if "value" in report[condition]:
            continue
        yield title, "AUC", "auc", (condition, "auc")
        for point in POINTS:
            for rate in ("sensitivity", "specificity"):
                label = f"{point.replace('_', ' ')}: {rate}"
                yield title, label, rate, (condition, point, rate)
    for kind in ("raw", "tempered"):
        yield "calibration", f"expected error, {kind}", "ece", ("calibration", kind, "ece")
    if "value" not in report["conformal"]:
        yield "calibration", "sets of grades hold the class", "covered", ("conformal", "covered")


def _at(block: Any, path: tuple[str | int, ...]) -> Mapping[str, Any]:
    for key in path:
        if isinstance(block, Mapping) and "reason" in block:
            return block
        block = block[key]
    return dict(block)


def _metrics(report: Mapping[str, Any]) -> str:
    sections: dict[str, list[list[str]]] = {}
    for section, label, name, path in _rows(report):
        there = _both(name, _at(report, path))
        own = _both(name, _at(report["own_test"], path))[0]
        change = _both(name, _at(report["difference"], path), "+")
        sections.setdefault(section, []).append([label, *there, own, *change])
    header = ["there", "interval", "own test", "difference", "interval"]
    return "\n\n".join(table([section, *header], rows) for section, rows in sections.items())


def _both(name: str, metric: Mapping[str, Any], sign: str = "") -> list[str]:
    ends = [metric.get(end) for end in ("low", "high")]
    shown = "-" if None in ends else " - ".join(_shown(name, end, "", sign) for end in ends)
    return [_shown(name, metric["value"], " %", sign), shown.replace(" - ", " to ")]


def _shown(name: str, value: float | None, unit: str, sign: str) -> str:
    if value is None or name not in DECIMALS:
        return percent(None if value is None else max(-1.0, min(1.0, value)), unit, sign)
    return f"{value:{sign}.3f}" if sign else decimal(value)


def _calibration(report: Mapping[str, Any]) -> str:
    block = report["calibration"]
    own = VAL_OF_FOLDS if block["out_of_fold"] else "val"
    return wrapped(
        f"Temperature {decimal(block['temperature'])}, from the own {own}; the best one there "
        f"would have been {decimal(block['best_temperature'])}, and is used for nothing."
    )


def _shift(block: Mapping[str, Any]) -> str:
    if "measures" not in block:
        return f"Shift of quality and image statistics: -\n{wrapped(block['reason'])}"
    rows = []
    for row in block["measures"][:MEASURES]:
        medians = [decimal(row["medians"][key]) for key in ("external", "train", "test")]
        spread = row["from_train"]["standardised"]["value"]
        rows.append(
            [
                row["measure"],
                *medians,
                decimal(row["from_train"]["distance"]),
                "-" if spread is None else f"{spread:+.1f}",
                decimal(row["test_from_train"]["distance"]),
            ]
        )
    header = ["shift (medians)", "there", "train", "test", "distance", "in SD", "test's distance"]
    return table(header, rows)


def _gates(block: Mapping[str, Any]) -> str:
    """What the gates stop there, and of the own test."""
    own = block["own_test"]
    said = f"The gates stop {_stopped(block)}."
    if "reason" in own:
        said += f" Of the own test: unknown ({own['reason']})."
    else:
        change = " (".join(_both("share", block["difference"]["stopped"], "+"))
        said += f" Of {own['n']} of the own test they stop {_stopped(own)}. Difference {change})."
    return "\n".join(filter(None, [wrapped(said), _some("Of those that pass", block["passed"])]))


def _stopped(block: Mapping[str, Any]) -> str:
    """How many photographs are stopped, and by which gate."""
    unlike = block["unlike_training"]
    counts = [f"{block['no_fundus']['n']} no fundus photograph"]
    counts.append(
        f"unlike the training: unknown ({unlike['reason']})"
        if "reason" in unlike
        else f"{unlike['n']} unlike the training"
    )
    counts.append(f"{block['ungradable']['n']} of too low quality")
    share = " (".join(_both("share", block["stopped"]["share"]))
    return f"{block['stopped']['n']}, {share}): {', '.join(counts)}"


def _without_shared(report: Mapping[str, Any]) -> str:
    return _some("Without the patients of shared photographs", report["without_shared"])


def _some(title: str, block: Mapping[str, Any] | None) -> str:
    """The metrics of some of the photographs; "" where these are all."""
    if block is None:
        return ""
    if "reason" in block:
        return f"{title}: {block['reason']}."
    heading = f"{title}: {block['n']} images"
    rows = [[label, *_both(name, block[name])] for name, label in OVERALL.items()]
    return f"{heading}\n{table(['metric', 'there', 'interval'], rows)}"


def _reasons(report: Mapping[str, Any]) -> str:
    """Why metrics that are shown, or conditions, have no value, or no interval."""
    reasons: dict[str, list[str]] = {}
    for condition, words in CONDITIONS.items():
        if "value" in report[condition]:
            reasons.setdefault(report[condition]["reason"], []).append(words)
    for section, label, _, path in _rows(report):
        for where, block in (("", report), ("own test: ", report["own_test"])):
            metric = _at(block, path)
            if metric.get("reason"):
                reasons.setdefault(metric["reason"], []).append(
                    f"{where}{label}" if section == "overall" else f"{where}{section}: {label}"
                )
    parts = {
        "passing the gates": report["gates"]["passed"],
        "without shared patients": report["without_shared"],
    }
    for words, block in parts.items():
        for name, label in OVERALL.items():
            metric = (block or {}).get(name, {})
            if metric.get("reason"):
                reasons.setdefault(metric["reason"], []).append(f"{words}: {label}")
    lines = [wrapped(f"- {', '.join(labels)}: {reason}") for reason, labels in reasons.items()]
    return "\n".join(["Without a value, or without an interval:", *lines]) if lines else ""
