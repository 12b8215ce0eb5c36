"""model_analyzer.py, top level: checkpoints to JSON report, text and curves; the 90 % mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.files import write_json
from dr_ovo.reports.checkpoints.curve_files import draw_all
from dr_ovo.reports.checkpoints.model_sets import ModelSet, group_checkpoints, training_command
from dr_ovo.reports.checkpoints.reader import read_checkpoint
from dr_ovo.reports.checkpoints.record import Checkpoint, Classifier, UnreadableError
from dr_ovo.reports.checkpoints.search import find_checkpoints
from dr_ovo.reports.checkpoints.text import report_text
from dr_ovo.tables import RESEARCH_USE
from dr_ovo.writable import check_writable_file

SCHEMA = 1
GOAL = 0.9  # validation accuracy; classifiers below it are flagged


def analyze(paths: Sequence[str], output: Path | None, figure: Path | None) -> str:
    """The printed report on the checkpoints at `paths`; also writes the files.

    `output`: JSON file for the report. `figure`: PNG file for the learning curves; by default
    learning_curves.png in each results folder. Raises UserError where a path does not exist or
    no checkpoint can be read.
    """
    for flag, target in (("--output", output), ("--figure", figure)):
        if target is not None:
            _check_target(flag, target)
    if figure is not None and figure.suffix.lower() != ".png":
        raise UserError(f"--figure {figure}: learning curves are PNG; give a name with .png.")
    files, empty = find_checkpoints(paths)
    checkpoints, unreadable = _read_all(files)
    unreadable += [{"file": str(path), "reason": "a folder without *.pth files"} for path in empty]
    if not checkpoints:
        reasons = "\n".join(f"- {entry['file']}: {entry['reason']}" for entry in unreadable)
        raise UserError(
            f"No checkpoint could be read from: {', '.join(paths)}.\n{reasons}\n"
            "--model takes .pth files, a models folder or a results folder."
        )
    models = group_checkpoints(checkpoints, set(files))
    report = {
        "schema": SCHEMA,
        "notice": RESEARCH_USE,
        "models": [_model_report(model) for model in models],
        "unreadable": unreadable,
    }
    written = draw_all(models, figure)
    if output is not None:
        write_json(output, report)
        written.append(f"Report: {output}")
    return report_text(report, written)


def _check_target(flag: str, target: Path) -> None:
    if not target.parent.exists():
        raise UserError(
            f"{flag} {target} can't be written: create the folder {target.parent} first."
        )
    check_writable_file(target, flag)


def _read_all(files: Sequence[Path]) -> tuple[list[Checkpoint], list[dict[str, str]]]:
    checkpoints, unreadable = [], []
    for file in files:
        try:
            checkpoints.append(read_checkpoint(file))
        except UnreadableError as error:
            unreadable.append({"file": str(file), "reason": str(error)})
    return checkpoints, unreadable


def _model_report(model: ModelSet) -> dict[str, Any]:
    first, parameters = model.first, [c.parameters for c in model.checkpoints]
    known = [count for count in parameters if count is not None]
    unknown_pairs = first.earlier and first.classifiers[0].pair is None
    return {
        "architecture": first.architecture,
        "head": first.head,
        "ovo_mode": first.ovo_mode,
        "earlier_toolkit": first.earlier,
        "folder": str(first.file.parent),
        "complete": None if unknown_pairs else not model.missing,
        "missing_pairs": [list(pair) for pair in model.missing],
        "training_command": training_command(model),
        "parameters": sum(known) if len(known) == len(parameters) else None,
        "bytes": sum(checkpoint.bytes for checkpoint in model.checkpoints),
        "synthetic": any(checkpoint.synthetic for checkpoint in model.checkpoints),
        "leaky": any(checkpoint.leaky for checkpoint in model.checkpoints),
        "classifiers": [
            _classifier_report(checkpoint, classifier)
            for checkpoint in model.checkpoints
            for classifier in checkpoint.classifiers
        ],
    }


def _classifier_report(checkpoint: Checkpoint, classifier: Classifier) -> dict[str, Any]:
    accuracy = classifier.val_accuracy
    figures = asdict(classifier)
    note = figures.pop("note")
    return {
        **figures,
        "pair": None if classifier.pair is None else list(classifier.pair),
        "file": str(checkpoint.file),
        "train_val_gap": classifier.train_val_gap,
        "parameters": checkpoint.parameters,
        "bytes": checkpoint.bytes,
        "below_90": None if accuracy is None else accuracy < GOAL,
        "note": note,
    }
