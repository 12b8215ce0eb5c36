"""`ensemble_5class_trainer.py`: trains, evaluates or applies classifiers, depending on --mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from dr_ovo.distributed.place import place_in_environment
from dr_ovo.errors import DONE, WAY_ON, log
from dr_ovo.locks.lock_file import InUse
from dr_ovo.logs import close_log, log_to_file, start_log
from dr_ovo.settings.command_line import Settings, parse_settings
from dr_ovo.signals import importing

if TYPE_CHECKING:
    from dr_ovo.evaluation.evaluation import Evaluation
    from dr_ovo.evaluation.external.external_evaluation import ExternalEvaluation


SPLIT_NAMES = {"oof": "train and val, out of fold", "external": "another data set"}


def main(argv: Sequence[str], prog: str) -> int:
    """Parses the command line and runs the mode; returns the exit code."""
    return run_mode(parse_settings(argv, prog))


def run_mode(settings: Settings) -> int:
    """Runs what `--mode` selects; returns the exit code."""
    place = place_in_environment()
    start_log(rank=place.rank if place else 0)
    if settings.config.log_file and not settings.config.dry_run and (not place or place.rank == 0):
        log_to_file(Path(settings.config.log_file))
    try:
        code = MODES[settings.config.mode](settings)
    except InUse:
        close_log()  # which is that of the process that is at work
        raise
    close_log()  # only without an error, which must reach the log too
    return code


# torch and timm take seconds to import: only after the settings have been validated.


def _train(settings: Settings) -> int:
    with importing():
        from dr_ovo.distributed.launch import launched
        from dr_ovo.training.pipeline import train

    WAY_ON.set("continue with --resume")
    with launched() as launch:
        code = train(settings, launch)
        if settings.config.folds and launch.is_first and not settings.config.dry_run:
            _assemble(settings)
    return code


def _assemble(settings: Settings) -> None:
    """Evaluates the members of `--folds` out of fold, and shows it."""
    with importing():
        from dr_ovo.evaluation.fold_members import assemble
        from dr_ovo.evaluation.one_writer import only_assembler
        from dr_ovo.reports.evaluation_table import evaluation_table

    with only_assembler(settings.config):
        evaluations = assemble(settings)
    for evaluation in evaluations:
        _show(evaluation, evaluation_table(evaluation.report, evaluation.decoders))


def _evaluate(settings: Settings) -> int:
    if settings.config.external:
        return _evaluate_external(settings)
    with importing():
        from dr_ovo.distributed.launch import launched
        from dr_ovo.evaluation.evaluation import evaluate
        from dr_ovo.evaluation.fold_members import evaluate_folds
        from dr_ovo.evaluation.one_writer import only_evaluator
        from dr_ovo.inference.ensemble import folds_manifest
        from dr_ovo.reports.evaluation_table import evaluation_table

    manifest = folds_manifest(settings.config)
    with (
        launched() as launch,
        only_evaluator(settings.config) if launch.is_first else nullcontext(),
    ):
        if manifest is None:
            evaluations = evaluate(settings, launch)
        else:
            evaluations = evaluate_folds(settings, launch, manifest)
    if not evaluations:  # another rank has them
        return DONE
    for evaluation in evaluations:
        _show(evaluation, evaluation_table(evaluation.report, evaluation.decoders))
    if evaluations[0].not_read:
        log.warning("%s", evaluations[0].not_read)
    return DONE


def _evaluate_external(settings: Settings) -> int:
    with importing():
        from dr_ovo.distributed.launch import launched
        from dr_ovo.evaluation.external.external_evaluation import evaluate_external
        from dr_ovo.evaluation.external.external_table import external_table

    with launched() as launch:
        evaluation = evaluate_external(settings, launch)
    if evaluation is None:  # another rank has it
        return DONE
    _show(evaluation, external_table(evaluation.report))
    if evaluation.not_read:
        log.warning("%s", evaluation.not_read)
    return DONE


def _show(evaluation: Evaluation | ExternalEvaluation, table: str) -> None:
    report = evaluation.report
    marks = ", SYNTHETIC data" * report["synthetic"] + ", LEAKY data" * report["leaky"]
    split = SPLIT_NAMES.get(report["split"], report["split"])
    heading = f"{evaluation.title}: {split}{marks}"
    log.info("%s\n%s\n%s", heading, "=" * len(heading), table)
    log.info("\nwritten to %s\n", evaluation.folder)


def _inference(settings: Settings) -> int:
    with importing():
        from dr_ovo.distributed.launch import launched
        from dr_ovo.grading.inference import inference

    with launched() as launch:
        return inference(settings, launch)


MODES: dict[str, Callable[[Settings], int]] = {
    "train": _train,
    "evaluate": _evaluate,
    "inference": _inference,
}
