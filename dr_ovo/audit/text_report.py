"""The printed text of an audit: table of findings, worst examples, what to do about leaks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from dr_ovo.audit.findings import KINDS, LEAK, AuditReport, Finding
from dr_ovo.files import is_writable
from dr_ovo.tables import table, wrapped

EXAMPLES = 12
EXAMPLES_PER_KIND = 4
FILES_SHOWN = 3
IN_OTHER_SET = "in_other_set"
CLEANED = re.compile(r"(.*_clean)(\d*)$")


def report_text(report: AuditReport) -> str:
    """The whole text of an audit."""
    leaks = len(report.leaks)
    lines = [f"{report.root}: {report.n} pictures, {leaks} leak{'s' * (leaks != 1)}"]
    if report.findings:
        lines += ["", counts_table(report), "", *example_lines(report.findings)]
    else:
        lines += ["no findings"]
    lines += [wrapped(f"Note: {note}.") for note in report.notes]
    return "\n".join([*lines, "", wrapped(_verdict(report)), *next_steps(report)])


def _verdict(report: AuditReport) -> str:
    if {finding.kind for finding in report.leaks} == {IN_OTHER_SET}:
        return (
            f"LEAKY between the two sets: a model that is trained on one of {report.root} and "
            f"{report.against} and tested on the other would score too high."
        )
    if report.leaks:
        return "LEAKY: scores on this dataset would be too good."
    if report.findings:
        return "No leaks. Review the warnings above; they do not stop training."
    return "No leaks."


def counts_table(report: AuditReport) -> str:
    """A table with one row per severity and kind."""
    rows = [[severity, kind, KINDS[kind], str(n)] for severity, kind, n in report.counts()]
    return table(["severity", "kind", "what it is", "found"], rows, left=3)


def example_lines(findings: Sequence[Finding]) -> list[str]:
    """The worst findings, a few of each kind, as one wrapped line each."""
    shown: list[Finding] = []
    for finding in findings:
        same = sum(1 for other in shown if other.kind == finding.kind)
        if same < EXAMPLES_PER_KIND and len(shown) < EXAMPLES:
            shown.append(finding)
    rest = len(findings) - len(shown)
    lines = [wrapped(f"{f.severity}: {f.kind}: {_files(f)}{_detail(f)}") for f in shown]
    return lines + ([f"... and {rest} more"] if rest else [])


def _files(finding: Finding) -> str:
    names = [p.file for p in finding.photographs]
    more = len(names) - FILES_SHOWN
    return ", ".join(names[:FILES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _detail(finding: Finding) -> str:
    """What was found, and its score where that is not said there."""
    detail, score = finding.detail, finding.score
    if not detail:
        return ""
    if score is None or detail.endswith(f"{score:.2f}") or f"{score:.3f}" in detail:
        return f" ({detail})"
    return f" ({detail}, score {score:.2f})"


def next_steps(report: AuditReport) -> list[str]:
    """What to do about the leaks, as lines; none without leaks."""
    kinds = {finding.kind for finding in report.leaks}
    lines = []
    if IN_OTHER_SET in kinds:
        lines += [
            f"Create a dataset without what {report.against} has (links, which take no space):"
        ]
    elif kinds - {"processing_reveals_grade"}:
        lines += ["Create a clean dataset (test stays whole; links, which take no space):"]
    if kinds - {"processing_reveals_grade"}:
        lines += [f"  {clean_command(report.root, report.against)}"]
    if "augmented_copy" in kinds:
        lines += [
            "Files named as copies (all in audit.json) are dropped from train and val if test has "
            "their picture;",
            "  class weights or --sampler balanced balance the grades without copies.",
        ]
    if "processing_reveals_grade" in kinds:
        lines += [
            "Filters chosen by grade can't be undone: prepare the dataset from the original "
            "photographs, with",
            "  python prepare_dataset.py --images FOLDER --labels CSV --output FOLDER",
        ]
    return lines


def clean_command(root: Path, exclude: Path | None = None) -> str:
    """The command that makes a clean dataset from a leaky one, without what `exclude` has."""
    name = _clean_name(root.resolve().name)
    beside = root.resolve().parent
    output = root.with_name(name) if is_writable(beside) and root.name else Path(name)
    left_out = ["--exclude", str(exclude)] if exclude else []
    return shlex.join(
        [
            "python",
            "prepare_dataset.py",
            "--from_tree",
            str(root),
            *left_out,
            "--output",
            str(output),
        ]
    )


def _clean_name(name: str) -> str:
    """The name of the clean version of dataset `name`: a -> a_clean -> a_clean2."""
    match = CLEANED.match(name)
    return f"{name}_clean" if match is None else f"{match[1]}{int(match[2] or 1) + 1}"


def leak_message(report: AuditReport) -> str:
    """Why training was not started, and what to do."""
    leaks = [finding for finding in report.findings if finding.severity == LEAK]
    rows = [
        [kind, KINDS[kind], str(n)] for severity, kind, n in report.counts() if severity == LEAK
    ]
    audit = shlex.join(["python", "-m", "dr_ovo", "audit", str(report.root)])
    return "\n".join(
        [
            f"{report.root} is leaky: scores on its test would be too good. Nothing was started.",
            table(["leak", "what it is", "found"], rows, left=2),
            *example_lines(leaks),
            f"All findings, with pictures: {audit}",
            "",
            *next_steps(report),
            "Then train with --dataset_path and the new folder. Or train on this dataset as it is, "
            "with --allow_leaks",
            "(every result, report and checkpoint is then marked LEAKY).",
        ]
    )
