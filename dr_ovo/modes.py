"""What `--mode` can be: the whole of `ensemble_5class_trainer.py` behind its settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dr_ovo.cli import Settings
from dr_ovo.errors import DONE, log
from dr_ovo.reporting.text import evaluation_table
from dr_ovo.training.evaluate import evaluate
from dr_ovo.training.inference import inference
from dr_ovo.training.logs import close_log, log_to_file, start_log
from dr_ovo.training.pipeline import train


def run_mode(settings: Settings) -> int:
    """Does what `--mode` says; the exit code."""
    start_log()
    if settings.config.log_file and not settings.config.dry_run:
        log_to_file(Path(settings.config.log_file))
    code = MODES[settings.config.mode](settings)
    close_log()  # not after an error: that must reach the log too
    return code


def _evaluate(settings: Settings) -> int:
    for one in evaluate(settings):
        marks = ", SYNTHETIC data" * one.report["synthetic"] + ", LEAKY data" * one.report["leaky"]
        heading = f"{one.title}: test{marks}"
        log.info(
            "%s\n%s\n%s", heading, "=" * len(heading), evaluation_table(one.report, one.decoders)
        )
        log.info("\nwritten to %s\n", one.folder)
    return DONE


MODES: dict[str, Callable[[Settings], int]] = {
    "train": train,
    "evaluate": _evaluate,
    "inference": inference,
}
