"""Which reports report.html contains, and in which order; they are computed in parallel."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children, get_context
from pathlib import Path

import numpy as np

from dr_ovo.document.document import Report
from dr_ovo.errors import log
from dr_ovo.leash import end_with
from dr_ovo.parallel import available_cores
from dr_ovo.reports.comparison.comparison import compare
from dr_ovo.reports.criteria.criteria_file import Checklist
from dr_ovo.reports.criteria.report import validation_report
from dr_ovo.reports.criteria.validation import validate
from dr_ovo.reports.diversity.diversity import diversity
from dr_ovo.reports.ensemble.prior_correction import mixed_priors
from dr_ovo.reports.ensemble.report import ensemble_report
from dr_ovo.reports.ensemble.study import CombinationRule, study_ensemble
from dr_ovo.reports.strengths.strengths import analyze_strengths
from dr_ovo.results.result_sets import ResultSet

# What the libraries that multiply matrices read, once, when numpy is imported.
MATRIX_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def all_reports(
    results: ResultSet, checklist: Checklist, external: Path | None = None
) -> list[Report]:
    """Every report that this number of models allows, in reading order.

    `checklist` contains the criteria, `external` is a results folder on an independent hold-out.
    Raises UserError where that can't be read. The reports are made in parallel processes. Of models
    whose probabilities would be mixed there is no ensemble, which is said.
    """
    validation = validate(results, checklist, external)
    makers = [compare, analyze_strengths]  # the longest first
    if len(results.models) > 1:
        makers.append(diversity)
    if mixed := mixed_priors(results.models):
        log.warning("There is no ensemble, as it would mix probabilities: %s.", mixed)
    elif len(results.models) > 1:
        makers.append(mean_ensemble)
    # Spawned, not forked: forking a process with threads (BLAS has some) can hang.
    spawn, count = get_context("spawn"), min(len(makers), available_cores())
    leash, held = spawn.Pipe(duplex=False)
    with leash, held, ProcessPoolExecutor(count, spawn, end_with, (leash,)) as pool:
        try:
            with _inherited_by_workers():
                futures = [pool.submit(maker, results) for maker in makers]
            return [*(future.result() for future in futures), validation_report(validation)]
        except BaseException:
            for worker in active_children():
                worker.terminate()
            raise


@contextlib.contextmanager
def _inherited_by_workers() -> Iterator[None]:
    """Ctrl-C ignored, as this process terminates them; one thread for a product of matrices.

    The reports already have a thread for each core. Threads of their products would only wait for
    cores, and they do so by computing.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_here = [name for name in MATRIX_THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(set_here, "1"))
    try:
        yield
    finally:
        for name in set_here:
            del os.environ[name]
        signal.signal(signal.SIGINT, before)


def mean_ensemble(results: ResultSet) -> Report:
    """The report on the mean of all models' probabilities."""
    return ensemble_report(study_ensemble(results, CombinationRule("mean", "accuracy"), []))


def summary(results: ResultSet) -> str:
    """The models, images and patients that the reports are based on, as a sentence."""
    first, names = results.models[0], results.names
    images, patients = len(first.test.targets), len(np.unique(first.test.patient_ids))
    models = f"{len(names)} models ({', '.join(names)})" if len(names) > 1 else names[0]
    alone = "" if len(names) > 1 else " With one model there is no diversity and no ensemble."
    return (
        f"{models}; {images:,} test images of {patients:,} patients. All choices are made on "
        f"{len(first.val.targets):,} images of {results.val_words}, never on test.{alone}"
    )
