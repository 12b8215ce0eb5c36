"""Workers for files: start with the first file; a command shares them; a crash costs a file."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

import pytest

from dr_ovo.decoded.processes import file_workers, pool
from dr_ovo.decoded.processes.file_workers import each_file, open_workers, shared_workers
from dr_ovo.errors import MachineError
from tests.fixtures import decoders

pytestmark = pytest.mark.usefixtures("in_processes")


def place(path: Path) -> tuple[str, int]:
    """The name of a file, and the process that has it; one named crash ends that."""
    if path.name == "crash":
        os.abort()
    return path.name, os.getpid()


def modules(_path: Path) -> set[str]:
    return {"cv2", "torch", "torchvision", "timm"} & set(sys.modules)


def files(*names: str) -> list[Path]:
    return [Path(name) for name in names]


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(file_workers, "available_cores", lambda: 2)


def test_the_results_are_in_order_and_none_is_of_this_process():
    names = [str(number) for number in range(20)]
    found = list(each_file(place, files(*names), "title"))
    assert [name for name, _ in found] == names
    assert os.getpid() not in {process for _, process in found}


def test_a_crash_costs_the_file_alone():
    found = list(each_file(place, files("a", "crash", "b"), "title"))
    assert [one and one[0] for one in found] == ["a", None, "b"]


def test_few_files_have_one_process():
    found = list(each_file(place, files("a", "b", "c", "d", "e", "f", "g"), "title"))
    assert len({process for _, process in found}) == 1


def test_processes_are_shared_and_end_with_the_context():
    before = set(multiprocessing.active_children())
    with shared_workers():
        assert set(multiprocessing.active_children()) == before
        ((_, one),) = each_file(place, files("a"), "title")
        with shared_workers(), open_workers() as workers:
            assert workers.do(place, Path("b")) == ("b", one)
    assert set(multiprocessing.active_children()) == before


def test_without_processes_this_one_works():
    with shared_workers(processes=False), shared_workers():
        assert list(each_file(place, files("a", "b"), "title")) == [
            ("a", os.getpid()), ("b", os.getpid()),
        ]  # fmt: skip


def test_no_process_is_started_for_nothing(in_processes, monkeypatch):
    monkeypatch.setattr(pool, "Processes", decoders.no_start)
    with shared_workers():
        assert list(each_file(place, [], "title")) == []


def test_they_have_no_torch():
    assert list(each_file(modules, files("a"), "title")) == [{"cv2"}]


@pytest.mark.slow
def test_no_answer_names_the_file(monkeypatch):
    with open_workers() as workers:
        assert workers.do(decoders.named, Path("a")) == "a"
        monkeypatch.setattr(workers._decoder, "_timeout", 1.0)
        with pytest.raises(MachineError, match="no answer for 1 s: wait"):
            workers.do(decoders.named, Path("wait"))
