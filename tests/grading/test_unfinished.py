"""What is graded so far outlives a stop, wherever that falls."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
from types import SimpleNamespace

import pytest

from dr_ovo.errors import MachineError, UserError
from dr_ovo.grading.job.unfinished import Unfinished, output_lock
from tests.fixtures.forks import killed_before


@pytest.fixture
def job(tmp_path) -> Unfinished:
    return Unfinished(tmp_path / "out.csv", {"images": ["a", "b"]})


def numbers(job: Unfinished) -> list[int]:
    return [group["number"] for group in job.groups()]


def test_groups_come_in_order_whichever_rank_wrote_them(job):
    assert job.begin() == set()
    job.add(1, 1, {"rows": ["x"]})
    job.add(0, 2, {"rows": []})
    job.add(0, 0, {"rows": ["\udce9"]})
    assert [*job.groups()] == [
        {"number": 0, "rows": ["\udce9"]},
        {"number": 1, "rows": ["x"]},
        {"number": 2, "rows": []},
    ]
    assert job.begin() == {0, 1, 2}
    job.remove()
    assert numbers(job) == []


def test_a_write_that_was_cut_anywhere_costs_its_group_alone(job):
    job.add(0, 0, {"rows": ["first"]})
    first = job.path(0).stat().st_size
    job.add(0, 1, {"rows": ["second"]})
    whole = job.path(0).read_bytes()
    for end in range(len(whole)):
        job.path(0).write_bytes(whole[:end])
        done = {0} if end >= first else set()
        assert job.begin() == done, end
        again = Unfinished(job.output, {"images": ["a", "b"]})
        again.add(0, 5, {"rows": ["again"]})
        assert numbers(again) == sorted([*done, 5]), end


def test_the_groups_of_another_job_are_removed(job, tmp_path):
    job.add(0, 0, {"rows": ["first"]})
    other = Unfinished(tmp_path / "out.csv", {"images": ["a", "c"]})
    assert other.begin() == set()
    assert not job.path(0).exists()
    neighbour = tmp_path / "out.csv.unfinished-notes"
    neighbour.write_text("the user's")
    other.begin()
    other.remove()
    assert neighbour.exists()


def test_a_disk_that_refuses(job, tmp_path):
    job.path(0).mkdir()
    with pytest.raises(MachineError, match="could not be written"):
        job.add(0, 0, {"rows": []})


def test_photographs_that_could_not_be_read_are_tried_again(job):
    for number, damaged in enumerate(([], [["b.jpg", "is empty"]], [])):
        job.add(0, number, {"rows": [str(number)], "damaged": damaged})
    again = Unfinished(job.output, {"images": ["a", "b"]})
    (job.output.parent / "out.csv.unfinished-1.part").write_text("of a killed process")
    assert again.begin() == {0, 2}
    assert numbers(again) == [0, 2]
    assert [path.name for path in job.output.parent.iterdir()] == ["out.csv.unfinished-0"]


def try_kills(job: Unfinished, *, slow: bool) -> None:
    """Two processes are killed one after the other, before any two operations; in the default
    suite before each at the first time, and before each at the second."""
    for number, damaged in enumerate(([], [["b.jpg", "is empty"]], [])):
        job.add(0, number, {"rows": [str(number)], "damaged": damaged})
    written = job.path(0).read_bytes()

    def begins() -> SimpleNamespace:
        Unfinished(job.output, {"images": ["a", "b"]}).begin()
        return SimpleNamespace(code=0)

    count = killed_before(0, begins, job.output.parent)
    assert count > 5  # operations, before each of which a process is killed
    each = range(1, count + 1)
    drawn = zip(each, random.Random(1).sample(each, count), strict=True)
    for first, second in itertools.product(each, repeat=2) if slow else drawn:
        job.path(0).write_bytes(written)
        for number in (first, second):
            killed_before(number, begins, job.output.parent)
        again = Unfinished(job.output, {"images": ["a", "b"]})
        assert again.begin() == {0, 2}, (first, second)
        assert numbers(job) == [0, 2]
        assert [path.name for path in job.output.parent.iterdir()] == ["out.csv.unfinished-0"]


def test_a_group_that_could_be_read_outlives_two_kills(job):
    try_kills(job, slow=False)


@pytest.mark.slow
def test_a_group_that_could_be_read_outlives_any_two_kills(job):
    try_kills(job, slow=True)


def test_one_run_at_a_time_writes_an_output(tmp_path):
    with (
        output_lock(tmp_path / "out.csv"),
        pytest.raises(UserError, match=rf"process {os.getpid()} on .* writes it, since"),
        output_lock(tmp_path / "out.csv"),
    ):
        raise AssertionError("both have it")
    assert not [*tmp_path.iterdir()]
    with output_lock(tmp_path / "out.csv"):
        pass


def test_a_job_is_known_by_its_json_text_whether_or_not_it_is_held_in_memory(tmp_path):
    job = {"models": [["b", [1, 2]]], "images": [["\udce9", None], ["a, b", [3, 4, 5]]], "group": 4}
    text = json.dumps(job, sort_keys=True)
    for images in (job["images"], iter(job["images"])):
        made = Unfinished(tmp_path / "out.csv", job | {"images": images})
        assert made.header["job"] == hashlib.sha256(text.encode()).hexdigest()
