"""`ensemble_5class_trainer.py`: trains, evaluates and applies classifiers, as `--mode` says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from dr_ovo.errors import DONE, log
from dr_ovo.logs import close_log, log_to_file, start_log
from dr_ovo.settings.command_line import Settings, parse_settings


def main(argv: Sequence[str], prog: str) -> int:
    """Parses the command line and does what --mode says; the exit code."""
    return run_mode(parse_settings(argv, prog))


def run_mode(settings: Settings) -> int:
    """Does what `--mode` says; the exit code."""
    start_log()
    if settings.config.log_file and not settings.config.dry_run:
        log_to_file(Path(settings.config.log_file))
    code = MODES[settings.config.mode](settings)
    close_log()  # not after an error: that must reach the log too
    return code


# torch and timm take seconds to import: not before the settings are known to be good.


def _train(settings: Settings) -> int:
    from dr_ovo.training.pipeline import train

    return train(settings)


def _evaluate(settings: Settings) -> int:
    from dr_ovo.inference.evaluation import evaluate
    from dr_ovo.reports.evaluation_table import evaluation_table

    for one in evaluate(settings):
        marks = ", SYNTHETIC data" * one.report["synthetic"] + ", LEAKY data" * one.report["leaky"]
        heading = f"{one.title}: test{marks}"
        log.info(
            "%s\n%s\n%s", heading, "=" * len(heading), evaluation_table(one.report, one.decoders)
        )
        log.info("\nwritten to %s\n", one.folder)
    return DONE


def _inference(settings: Settings) -> int:
    from dr_ovo.inference.grading import inference

    return inference(settings)


MODES: dict[str, Callable[[Settings], int]] = {
    "train": _train,
    "evaluate": _evaluate,
    "inference": _inference,
}
