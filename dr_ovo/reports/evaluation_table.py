"""The printed evaluation: evaluation.json as text tables (columns, number formats)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dr_ovo.predictions.same_answer import stopped_words
from dr_ovo.results.folder import MEMBER_TEMPERATURES, OOF, STOPPED
from dr_ovo.tables import RESEARCH_USE, decimal, percent, table, wrapped

OUTCOMES = {
    "referable": "Referable (grade >= 2)",
    "vision_threatening": "Vision-threatening (grade >= 3)",
}
OVERALL = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "quadratic_kappa": "quadratic weighted kappa",
    "macro_auc": "macro AUC",
}
PER_CLASS = ("recall", "precision", "specificity", "f1", "auc")
UNDIVIDED = (
    "Val was too small to be divided: what it chose in training, such as an epoch, it chose by the "
    "images that also fitted the temperature and the thresholds."
)
POINTS = ("argmax", "high_sensitivity", "high_specificity")
# The field reports these as decimals; all other metrics are percentages.
DECIMALS = {"quadratic_kappa", "macro_auc", "auc", "f1", "brier"}


def evaluation_table(report: Mapping[str, Any], decoders: Mapping[str, Mapping[str, float]]) -> str:
    """The readable form of one evaluation.json, at most 100 columns wide.

    `decoders` contains accuracy, balanced_accuracy and quadratic_kappa of each decoder on the same
    images; the decoder that the report is about (report["decoder"]) is marked. A metric without a
    value or an interval is printed as "-", with its reason below.
    """
    sections = [_heading(report), _overall(report), _decoders(report, decoders)]
    sections += [_per_class(report), _pairs(report)]
    sections += [_outcome(report[key], title) for key, title in OUTCOMES.items()]
    sections += [_patient_level(report), quality_section(report.get("by_quality"))]
    sections += [_confusion(report), _calibration(report), _conformal(report)]
    sections += [_reasons(report), RESEARCH_USE]
    return "\n\n".join(section for section in sections if section)


def _heading(report: Mapping[str, Any]) -> str:
    lines = [f"Evaluation on {report['split']}: {report['n']} images, 95 % intervals"]
    if "n_patients" in report:
        lines[0] += f" ({report['n_patients']} patients; {report['intervals']})"
    if report.get("leaky"):
        lines.append(
            "LEAKY: trained on a dataset whose splits share images or patients; these figures "
            "are too good."
        )
    if report.get("synthetic"):
        lines.append("SYNTHETIC: drawn images; these figures say nothing about patients.")
    if report.get(STOPPED):
        lines.append(wrapped(stopped_words(report[STOPPED])))
    return "\n".join(lines)


def _value(name: str, value: float | None, unit: str = " %") -> str:
    return decimal(value) if name in DECIMALS else percent(value, unit)


def _interval(name: str, metric: Mapping[str, Any]) -> str:
    ends = [metric.get(end) for end in ("low", "high")]
    return "-" if None in ends else " - ".join(_value(name, end, unit="") for end in ends)


def _both(name: str, metric: Mapping[str, Any]) -> list[str]:
    return [_value(name, metric["value"]), _interval(name, metric)]


def _patient_level(report: Mapping[str, Any]) -> str:
    """The figures per patient, where they were requested."""
    block = report.get("patient_level")
    if block is None:
        return ""
    if "n_patients" not in block:
        return "Per patient: -"
    heading = f"Per patient, by the worse eye: {block['n_patients']} patients"
    if block["n_single_image"]:
        heading += f", {block['n_single_image']} of them with a single image"
    conditions = (_outcome(block[key], f"{title}, patients") for key, title in OUTCOMES.items())
    return "\n\n".join([heading + "\n" + _overall(block), *conditions])


def _overall(report: Mapping[str, Any]) -> str:
    alone = report.get("statistics_only") or {}
    known = any(metric["value"] is not None for metric in alone.values())
    rows = [
        [
            label,
            *_both(name, report[name]),
            *((_both(name, alone[name]) if name in alone else ["-", "-"]) if known else []),
        ]
        for name, label in OVERALL.items()
    ]
    beside = ["image statistics alone", "interval"] if known else []
    return table(["overall", "value", "interval", *beside], rows)


def quality_section(block: Mapping[str, Any] | None) -> str:
    """Accuracy and kappa by third of quality, and how many photographs are ungradable."""
    if block is None:
        return ""
    if "thirds" not in block:
        return "By quality: -"
    known, count = block["n_known"], block["n_ungradable"]
    share, interval = _both("ungradable", block["ungradable"])
    lines = [f"Ungradable (quality below {decimal(block['least_gradable'])}): "]
    lines[0] += f"{count} of {known} photographs, {share} ({interval})"
    if block["n_unknown"]:
        lines[0] += f"; unknown for {block['n_unknown']}"
    rows = []
    for third in block["thirds"]:
        span = " - ".join(decimal(third[end]) for end in ("low", "high")) if third["n"] else "-"
        figures = [_both(name, third[name]) for name in ("accuracy", "quadratic_kappa")]
        rows.append([third["third"], span, str(third["n"]), *figures[0], *figures[1]])
    header = ["third of quality", "quality", "n", "accuracy", "interval", "kappa", "interval"]
    return "\n".join([*lines, table(header, rows)])


def _decoders(report: Mapping[str, Any], decoders: Mapping[str, Mapping[str, float]]) -> str:
    if not decoders:
        return ""
    names = [name for name in OVERALL if name != "macro_auc"]
    rows = []
    for decoder, values in decoders.items():
        mark = "<- these figures" if decoder == report.get("decoder") else ""
        rows.append([decoder, *(_value(name, values[name]) for name in names), mark])
    return table(["decoder", *(OVERALL[name] for name in names), ""], rows)


def _per_class(report: Mapping[str, Any]) -> str:
    """Two lines per grade: values, then intervals (side by side they would exceed 100 columns)."""
    rows: list[list[str]] = []
    for line in report["per_class"]:
        values = [_value(name, line[name]["value"]) for name in PER_CLASS]
        rows.append([str(line["grade"]), str(line["n"]), *values])
        rows.append(["", "", *(_interval(name, line[name]) for name in PER_CLASS)])
    return table(["grade", "n", "recall", "precision", "specificity", "F1", "AUC"], rows)


def _pairs(report: Mapping[str, Any]) -> str:
    rows = []
    for line in report["pairs"]:
        figures = [*_both("accuracy", line["accuracy"]), *_both("auc", line["auc"])]
        rows.append(["-".join(map(str, line["pair"])), str(line["n"]), *figures])
    return table(["pair", "n", "accuracy", "interval", "AUC", "interval"], rows) if rows else ""


def _outcome(block: Mapping[str, Any], title: str) -> str:
    if "value" in block:
        return f"{title}: -"
    rows = []
    for point in POINTS:
        row = [point.replace("_", " "), decimal(block[point].get("threshold"))]
        for name in ("sensitivity", "specificity"):
            row += _both(name, block[point].get(name, block[point]))
        rows.append(row)
    auc, interval = _both("auc", block["auc"])
    header = ["operating point", "threshold", "sensitivity", "interval", "specificity", "interval"]
    return f"{title}: AUC {auc} ({interval})\n" + table(header, rows)


def _confusion(report: Mapping[str, Any]) -> str:
    grades = [str(line["grade"]) for line in report["per_class"]]
    rows = [[grade, *map(str, row)] for grade, row in zip(grades, report["confusion"], strict=True)]
    return table(["true \\ predicted", *grades], rows)


def _calibration(report: Mapping[str, Any]) -> str:
    given = report["calibration"]
    temperatures = report.get(MEMBER_TEMPERATURES, {})
    kinds = {
        "raw": "ensemble" if temperatures else "raw",
        "tempered": "tempered again" if temperatures else "tempered",
    }
    rows = [
        [said, *_both("ece", given[kind]["ece"]), *_both("brier", given[kind]["brier"])]
        for kind, said in kinds.items()
    ]
    header = ["calibration", "expected error", "interval", "Brier score", "interval"]
    lines = [table(header, rows)]
    if "temperature" in given:
        lines.append(f"temperature {decimal(given['temperature'])}, fitted on {given['fitted_on']}")
        oof = given.get("out_of_fold") or report["split"] == OOF
        lines[-1] += " images, out of fold" if oof else " validation images"
        if not given["val_divided"] and not oof:
            lines.append(wrapped(UNDIVIDED))
    if temperatures:
        each = ", ".join(f"{name} {decimal(value)}" for name, value in temperatures.items())
        lines.append(wrapped(f"The members' probabilities were tempered before: {each}."))
    return "\n".join(lines)


def _conformal(report: Mapping[str, Any]) -> str:
    """How often the sets of likely grades hold the grade, and what is guaranteed."""
    block = report.get("conformal")
    if not block or "reason" in block:
        return ""
    named = {"all": "covered", "referable": "covered_referable", "others": "covered_other"}
    shares = ", ".join(
        f"{name} {_value(key, block[key]['value'])} ({_interval(key, block[key])})"
        for name, key in named.items()
        if block[key]["value"] is not None
    )
    lines = [
        f"Sets of likely grades for a coverage of {percent(block['coverage'])}: {shares}; on "
        f"average {block['mean_size']:.2f} grades."
    ]
    if block["chosen"]:
        lines.append(f"No coverage is guaranteed: {'; '.join(block['chosen'])}.")
    return "\n".join(map(wrapped, lines))


def _metrics(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every metric of a report with its path in words, such as `grade 3 recall`."""
    if isinstance(node, Mapping):
        if "value" in node:
            yield " ".join(path).replace("_", " "), node
            return
        if "grade" in node:
            path = (f"grade {node['grade']}",)
        elif "third" in node:
            path = (f"{node['third']} third of quality",)
        elif "pair" in node:
            path = ("pair {}-{}".format(*node["pair"]),)
        for key, child in node.items():
            yield from _metrics(
                child, path if key in ("per_class", "pairs", "thirds") else (*path, key)
            )
    elif isinstance(node, list):
        for child in node:
            yield from _metrics(child, path)


def _reasons(report: Mapping[str, Any]) -> str:
    names: dict[str, list[str]] = {}
    for name, metric in _metrics(report):
        if metric.get("reason"):
            names.setdefault(metric["reason"], []).append(name)
    lines = [wrapped(f"- {', '.join(where)}: {reason}") for reason, where in names.items()]
    return "\n".join(["Without a value, or without an interval:", *lines]) if lines else ""
