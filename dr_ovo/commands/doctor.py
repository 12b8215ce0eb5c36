"""`python -m dr_ovo doctor`: is this machine ready to train? Arguments and the printed report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dr_ovo.doctor import checks
from dr_ovo.doctor.checks import Finding
from dr_ovo.errors import DONE, NOT_MET
from dr_ovo.tables import say


def main(argv: Sequence[str], prog: str) -> int:
    """Prints the report; returns 0 if training can start, 1 if something is missing."""
    parser = argparse.ArgumentParser(
        prog=prog, description="checks whether this machine and a dataset are ready for training"
    )
    absent = argparse.SUPPRESS
    parser.add_argument("--dataset_path", default=absent, help="dataset folder to check")
    parser.add_argument("--num_classes", default=absent, help="its number of grades")
    parser.add_argument("--class_names", nargs="+", default=absent, help="its grade folders")
    arguments = parser.parse_args(argv)
    findings = [checks.check_requirements(checks.declared_requirements())]
    if not findings[0].problems:  # the other checks import what is required
        findings += _checks(arguments)
    say(format_report(findings))
    return NOT_MET if any(finding.problems for finding in findings) else DONE


def _checks(arguments: argparse.Namespace) -> list[Finding]:
    from dr_ovo.settings.command_line import parse_settings

    words = [
        word
        for name, value in vars(arguments).items()
        for word in (f"--{name}", *(value if isinstance(value, list) else [value]))
    ]
    config = parse_settings(words).config
    return [
        checks.check_torchvision(),
        checks.check_gpu(),
        checks.check_architectures(),
        checks.check_dataset(Path(config.dataset_path), config.grades),
        checks.check_disk(Path(config.output_root)),
    ]


def format_report(findings: list[Finding]) -> str:
    """The report as text; its last line is the verdict."""
    blocks = []
    for finding in findings:
        body = [f"  {line}" for line in finding.lines]
        body += [f"  PROBLEM: {problem}" for problem in finding.problems]
        blocks.append("\n".join([finding.topic, *body]))
    failed = [finding.topic for finding in findings if finding.problems]
    blocks.append(
        f"Not ready for training: see {', '.join(failed)}." if failed else "Ready for training."
    )
    return "\n\n".join(blocks)
