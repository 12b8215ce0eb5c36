"""An audit in words: a table of what was found, the worst examples, and the ways on."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from dr_ovo.audit.findings import KINDS, LEAK, AuditReport, Finding
from dr_ovo.files import is_writable
from dr_ovo.tables import table, wrapped

EXAMPLES = 12
EXAMPLES_OF_A_KIND = 4
FILES_SHOWN = 3
CLEANED = re.compile(r"(.*_clean)(\d*)$")


def report_text(report: AuditReport) -> str:
    """The whole audit as it is printed."""
    leaks = len(report.leaks)
    lines = [f"{report.root}: {report.n} pictures, {leaks} leak{'s' * (leaks != 1)}"]
    if report.findings:
        lines += ["", counts_table(report), "", *example_lines(report.findings)]
    else:
        lines += ["nothing was found"]
    lines += [wrapped(f"Note: {note}.") for note in report.notes]
    return "\n".join([*lines, "", wrapped(_verdict(report)), *ways_on(report)])


def _verdict(report: AuditReport) -> str:
    if report.leaks:
        return "LEAKY: scores on this set would be too good."
    if report.findings:
        return "No leaks. The warnings above are for a person to judge; training goes on with them."
    return "No leaks."


def counts_table(report: AuditReport) -> str:
    """A row for each severity and kind."""
    rows = [[severity, kind, KINDS[kind], str(n)] for severity, kind, n in report.counts()]
    return table(["severity", "kind", "what it is", "found"], rows, left=3)


def example_lines(findings: Sequence[Finding]) -> list[str]:
    """The worst findings, a few of each kind, a folded line each."""
    shown: list[Finding] = []
    for finding in findings:
        same = sum(1 for other in shown if other.kind == finding.kind)
        if same < EXAMPLES_OF_A_KIND and len(shown) < EXAMPLES:
            shown.append(finding)
    rest = len(findings) - len(shown)
    lines = [wrapped(f"{f.severity}: {f.kind}: {_files(f)}{_detail(f)}") for f in shown]
    return lines + ([f"... and {rest} more"] if rest else [])


def _files(finding: Finding) -> str:
    names = [p.file for p in finding.photographs]
    more = len(names) - FILES_SHOWN
    return ", ".join(names[:FILES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _detail(finding: Finding) -> str:
    score = "" if finding.score is None else f", {finding.score:.2f}"
    return f" ({finding.detail}{score})" if finding.detail else ""


def ways_on(report: AuditReport) -> list[str]:
    """What to do about the leaks; nothing where there are none."""
    kinds = {finding.kind for finding in report.leaks}
    lines = []
    if kinds - {"processing_reveals_grade"}:
        lines += ["Make a clean set (test keeps its pictures; links, so no disk is needed):"]
        lines += [f"  {clean_command(report.root)}"]
    if "augmented_copy" in kinds:
        lines += [
            "It takes files named as copies (all in audit.json) out of train and val where test "
            "holds their picture;",
            "  class weights or --sampler balanced balance training without copies.",
        ]
    if "processing_reveals_grade" in kinds:
        lines += [
            "Filters that follow the grade can't be taken back: prepare from the photographs as "
            "they came, with",
            "  python prepare_dataset.py --images FOLDER --labels CSV --output FOLDER",
        ]
    return lines


def clean_command(root: Path) -> str:
    """The command that makes a clean set of a leaky one."""
    name = _clean_name(root.resolve().name)
    beside = root.resolve().parent
    output = root.with_name(name) if is_writable(beside) and root.name else Path(name)
    return shlex.join(
        ["python", "prepare_dataset.py", "--from_tree", str(root), "--output", str(output)]
    )


def _clean_name(name: str) -> str:
    """What a clean set of the one called `name` is called: a_clean, and of that a_clean2."""
    match = CLEANED.match(name)
    return f"{name}_clean" if match is None else f"{match[1]}{int(match[2] or 1) + 1}"


def leak_message(report: AuditReport) -> str:
    """Why a training does not begin, and the ways on."""
    leaks = [finding for finding in report.findings if finding.severity == LEAK]
    rows = [
        [kind, KINDS[kind], str(n)] for severity, kind, n in report.counts() if severity == LEAK
    ]
    audit = shlex.join(["python", "-m", "dr_ovo", "audit", str(report.root)])
    return "\n".join(
        [
            f"{report.root} is leaky: scores on its test would be too good. Nothing was begun.",
            table(["leak", "what it is", "found"], rows, left=2),
            *example_lines(leaks),
            f"All of them, with pictures: {audit}",
            "",
            *ways_on(report),
            "Then train with --dataset_path on the new folder. Or go on as it is: --allow_leaks "
            "(every result,",
            "report and checkpoint is then marked LEAKY).",
        ]
    )
