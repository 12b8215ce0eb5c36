"""What decoded photographs take, and when they are kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dr_ovo.decoded import space
from dr_ovo.decoded.decoded_rows import open_rows
from dr_ovo.decoded.places import cache_dir, store_folder
from dr_ovo.decoded.space import Plan, required_bytes, size_text
from dr_ovo.errors import UserError
from tests.decoded.conftest import PREPROCESSING, ROW_BYTES

NEW = [f"{number:064x}" for number in range(10)]


def plan(mode: str, cache: Path, contents: list[str]) -> Plan:
    with open_rows(cache, PREPROCESSING, used=False) as rows:
        return space.plan(mode, rows, cache, PREPROCESSING, contents)


@pytest.fixture
def free(monkeypatch):
    """Sets the bytes that are free on every disk."""

    def set_free(rows: float) -> None:
        usage = shutil._ntuple_diskusage(10**12, 0, int(rows * ROW_BYTES))
        monkeypatch.setattr(space.shutil, "disk_usage", lambda _: usage)

    return set_free


@pytest.mark.parametrize(
    ("size", "text"), [(224, "5.3 GB at 224 px"), (256, "6.9 GB at"), (384, "15.5 GB at")]
)
def test_the_size_is_told(size, text):
    assert required_bytes(2, size) == 2 * size * size * 3
    assert size_text(35126, size).startswith(f"35,126 photographs: {text}")


def test_off_reads_and_builds_nothing(built):
    found = plan("off", built[0], list(built[1].values()))
    assert (found.read, found.build) == (False, False)


def test_all_there_needs_no_room(built, free):
    free(0)
    for mode in ("auto", "on"):
        found = plan(mode, built[0], list(built[1].values()))
        assert (found.read, found.build, found.missing) == (True, False, 0)
        assert "5 photographs: 15.4 kB at 32 px, all of them there." in found.text


@pytest.mark.parametrize(("rows", "builds"), [(20, True), (19.9, False)])
def test_auto_wants_the_room_twice(tmp_path, free, rows, builds):
    free(rows)
    found = plan("auto", tmp_path / "none" / "yet", NEW)
    assert (found.read, found.build, found.missing) == (True, builds, 10)
    assert ("2 x 30.7 kB should be" in found.text) == (not builds)
    assert not (tmp_path / "none").exists()


def test_auto_wants_room_for_what_is_missing_alone(built, free):
    free(20)
    found = plan("auto", built[0], [*built[1].values(), *NEW])
    assert (found.build, found.missing) == (True, 10)
    assert "15 photographs: 46.1 kB at 32 px, 5 of them there" in found.text


def test_on_wants_the_room_once(tmp_path, free):
    free(10)
    assert plan("on", tmp_path, NEW).build
    free(9.9)
    with pytest.raises(UserError, match=r"needs 30\.7 kB, and 30\.4 kB are free\. Free some"):
        plan("on", tmp_path, NEW)


def test_on_names_a_folder_that_can_not_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--cache_dir .*file is a file"):
        plan("on", tmp_path / "file" / "cache", NEW)
    found = plan("auto", tmp_path / "file" / "cache", NEW)
    assert (found.read, found.build) == (True, False)
    assert "file can't be written" in found.text


def test_auto_builds_nothing_in_a_read_only_folder(cache, store):
    store.chmod(0o555)
    try:
        found = plan("auto", cache, NEW)
    finally:
        store.chmod(0o755)
    assert (found.read, found.build) == (True, False)


def test_the_default_is_beside_the_dataset(tmp_path):
    dataset, root = tmp_path / "data" / "set", tmp_path / "output"
    dataset.mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(dataset)
    assert cache_dir(dataset, root) == cache_dir(link, root) == tmp_path / "data" / "set.decoded"
    assert list((tmp_path / "data").iterdir()) == [dataset]


@pytest.mark.parametrize("hindrance", ["read-only", "file", "long name", "closed"])
def test_else_it_is_in_the_output_root(tmp_path, hindrance):
    parent = tmp_path / "data"
    dataset = parent / ("x" * 250 if hindrance == "long name" else "set")
    dataset.mkdir(parents=True)
    beside = parent / "set.decoded"
    if hindrance == "file":
        beside.write_text("")
    if hindrance == "closed":
        beside.mkdir(mode=0o555)
    if hindrance == "read-only":
        parent.chmod(0o555)
    try:
        assert cache_dir(dataset, tmp_path / "out") == tmp_path / "out" / "decoded"
    finally:
        parent.chmod(0o755)


def test_rows_beside_a_read_only_dataset_are_found(tmp_path):
    (tmp_path / "set").mkdir()
    beside = tmp_path / "set.decoded"
    store_folder(beside, PREPROCESSING).mkdir(parents=True)
    beside.chmod(0o555)
    try:
        assert cache_dir(tmp_path / "set", tmp_path / "out") == beside
    finally:
        beside.chmod(0o755)
