"""What the processes that make the reports start with."""

import os
import signal

from dr_ovo.reports.all_reports import MATRIX_THREADS, _inherited_by_workers


def test_workers_multiply_matrices_in_one_thread_unless_told_otherwise(monkeypatch):
    for name in MATRIX_THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with _inherited_by_workers():
        started_with = {name: os.environ[name] for name in MATRIX_THREADS}
    assert started_with == {
        "OMP_NUM_THREADS": "3",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
    left = {name: os.environ[name] for name in MATRIX_THREADS if name in os.environ}
    assert left == {"OMP_NUM_THREADS": "3"}


def test_ctrl_c_is_restored_also_after_an_error():
    before = signal.getsignal(signal.SIGINT)
    started = _inherited_by_workers()
    started.__enter__()
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    error = ValueError("broken")
    assert not started.__exit__(ValueError, error, None)
    assert signal.getsignal(signal.SIGINT) == before
