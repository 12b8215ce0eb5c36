"""The printed report of model_analyzer.py: table columns, legend, wording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dr_ovo.tables import RESEARCH_USE, decimal, magnitude, percent, table, wrapped

KINDS = {
    ("ovo", "shared"): "one-vs-one, one network for all pairs",
    ("ovo", "independent"): "one-vs-one, one network per pair",
    ("softmax", "shared"): "softmax head; each row is how it separates two grades",
    ("ordinal", "shared"): "ordinal head; each row is how it separates two grades",
    ("regression", "shared"): "regression head; each row is how it separates two grades",
}
UNKNOWN = "unknown"
MARK = "< 90 %"
HEADER = (
    "pair",
    "epoch",
    "val acc.",
    "val AUC",
    "sensitivity",
    "specificity",
    "gap (pp)",
    "parameters",
    "size",
    "",
)
LEGEND = (
    "Figures are from val, at the epoch that was kept; where val chose that epoch, they are too "
    "good. Test figures come from --mode evaluate. Sensitivity counts the higher grade of a pair "
    "as positive. Gap: train minus validation accuracy, in percentage points."
)


def report_text(report: Mapping[str, Any], written: Sequence[str]) -> str:
    """The printed report of `analyze`; `written` are lines on the files that were saved."""
    sections = [_model_text(model) for model in report["models"]]
    if report["unreadable"]:
        lines = [wrapped(f"- {entry['file']}: {entry['reason']}") for entry in report["unreadable"]]
        sections.append("\n".join(["Not read:", *lines]))
    return "\n\n".join([*sections, wrapped(LEGEND), "\n".join(written), RESEARCH_USE])


def _model_text(model: Mapping[str, Any]) -> str:
    kind = "from an earlier toolkit"
    if not model["earlier_toolkit"]:
        kind = KINDS.get((model["head"], model["ovo_mode"]), f"{model['head']} head")
    size = magnitude(model["bytes"], "B")
    count = magnitude(model["parameters"], unknown="unknown number of")
    lines = [f"{model['architecture'] or 'Unknown architecture'}: {kind}"]
    lines.append(f"{model['folder']}: {count} parameters, {size}")
    if model["synthetic"]:
        lines.append("SYNTHETIC: trained on drawn images; says nothing about patients.")
    if model["leaky"]:
        lines.append("LEAKY: trained on a dataset with leaks; its figures are too good.")
    lines += ["", table(HEADER, [_row(entry) for entry in model["classifiers"]]), ""]
    lines += [_below(model["classifiers"]), *_notes(model["classifiers"]), *_missing(model)]
    return "\n".join(lines)


def _name(entry: Mapping[str, Any]) -> str:
    return UNKNOWN if entry["pair"] is None else "{}-{}".format(*entry["pair"])


def _row(entry: Mapping[str, Any]) -> list[str]:
    return [
        _name(entry),
        UNKNOWN if entry["epoch"] is None else str(entry["epoch"]),
        percent(entry["val_accuracy"], unknown=UNKNOWN),
        decimal(entry["val_auc"], unknown=UNKNOWN),
        percent(entry["val_sensitivity"], unknown=UNKNOWN),
        percent(entry["val_specificity"], unknown=UNKNOWN),
        percent(entry["train_val_gap"], unit="", sign="+", unknown=UNKNOWN),
        magnitude(entry["parameters"], unknown=UNKNOWN),
        magnitude(entry["bytes"], "B"),
        MARK if entry["below_90"] else "",
    ]


def _below(classifiers: Sequence[Mapping[str, Any]]) -> str:
    known = [entry for entry in classifiers if entry["below_90"] is not None]
    low = [_name(entry) for entry in known if entry["below_90"]]
    if not known:
        return "Under 90 % validation accuracy: unknown."
    return f"Under 90 % validation accuracy: {len(low)} of {len(known)}" + (
        f" ({', '.join(low)})." if low else "."
    )


def _notes(classifiers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each note once, with the pairs that it applies to."""
    pairs_by_note: dict[str, list[str]] = {}
    for entry in classifiers:
        for note in filter(None, entry["note"].split("; ")):
            pairs_by_note.setdefault(note, []).append(_name(entry))
    return [
        wrapped(f"- {'all' if len(names) == len(classifiers) else ', '.join(names)}: {note}")
        for note, names in pairs_by_note.items()
    ]


def _missing(model: Mapping[str, Any]) -> list[str]:
    if not model["missing_pairs"]:
        return []
    pairs = ", ".join("{}-{}".format(*pair) for pair in model["missing_pairs"])
    lines = [f"INCOMPLETE: missing pairs {pairs}."]
    if model["training_command"]:
        lines += [
            "Train them with the settings of the others, and --dataset_path where it is not the",
            "default (resume a stopped run with --resume instead):",
            f"  {model['training_command']}",
        ]
    return lines
