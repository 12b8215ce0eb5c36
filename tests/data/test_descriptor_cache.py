import contextlib
import hashlib
import logging
import os
import shutil
import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pytest

from dr_ovo.data import descriptor_cache
from dr_ovo.data.damage import Damage
from dr_ovo.data.decode import decode_image
from dr_ovo.data.descriptor_cache import Described, describe_files, keep_pairs, kept_pairs
from dr_ovo.data.descriptors import DESCRIPTOR_SIDE, describe_picture
from dr_ovo.errors import MachineError, UserError


@pytest.fixture
def files(tmp_path, idrid_small) -> list[Path]:
    """Twenty photographs in a folder of their own."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for path in sorted(idrid_small.glob("test/*/*.jpg"))[:20]:
        shutil.copy2(path, folder)
    return sorted(folder.iterdir())


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "made" / "descriptors.sqlite"


@pytest.fixture
def reads(monkeypatch) -> list[Path]:
    """The files that are read from now on, by this process."""
    seen: list[Path] = []
    real = descriptor_cache.read_bytes

    def read(path: Path) -> bytes:
        seen.append(path)
        return real(path)

    monkeypatch.setattr(descriptor_cache, "read_bytes", read)
    return seen


def expect_right(result: dict[Path, Described | Damage], files: list[Path]) -> None:
    assert list(result) == files
    for path, entry in result.items():
        assert isinstance(entry, Described)
        image = decode_image(path, 4096)
        assert entry.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (entry.height, entry.width) == image.shape[:2]
        reduced = describe_picture(decode_image(path, DESCRIPTOR_SIDE))
        assert np.array_equal(entry.descriptor, reduced)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kept", [True, False])
def test_every_file_is_described(files, cache, workers, kept):
    place = cache if kept else None
    expect_right(describe_files(files, place, workers), files)
    assert cache.exists() == kept
    expect_right(describe_files(files, place, workers), files)


def test_the_second_call_reads_nothing(files, cache, reads):
    first = describe_files(files, cache, 1)
    assert sorted(reads) == files
    reads.clear()
    second = describe_files(files[::-1], cache, 1)
    assert reads == []
    assert list(second) == files[::-1]
    assert all(np.array_equal(first[p].descriptor, second[p].descriptor) for p in files)


def test_data_and_cache_moved_together_are_still_known(tmp_path, files, reads):
    describe_files(files, files[0].parent / ".descriptors", 1)
    moved = tmp_path / "elsewhere"
    files[0].parent.rename(moved)
    reads.clear()
    describe_files([moved / path.name for path in files], moved / ".descriptors", 1)
    assert reads == []


def test_a_changed_file_is_described_anew(files, cache, reads):
    describe_files(files, cache, 1)
    files[3].write_bytes(files[4].read_bytes()[:-2] + b"\0\xff\xd9")
    reads.clear()
    expect_right(describe_files(files, cache, 1), files)
    assert files[3] in reads


def test_a_touched_file_is_read_but_not_decoded(files, cache, reads, monkeypatch):
    describe_files(files, cache, 1)
    os.utime(files[3], (1, 1))
    reads.clear()

    def decode(data: bytes, size: int) -> np.ndarray:
        raise AssertionError("decoded")

    monkeypatch.setattr(descriptor_cache, "decode_bytes", decode)
    result = describe_files(files, cache, 1)
    assert reads == [files[3]]
    assert isinstance(result[files[3]], Described)


def test_what_was_described_before_a_break_is_kept(files, cache, monkeypatch, reads):
    real = descriptor_cache.decode_bytes
    calls = []

    def broken(data: bytes, size: int) -> np.ndarray:
        calls.append(size)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return real(data, size)

    monkeypatch.setattr(descriptor_cache, "KEEP_EVERY", 5)
    monkeypatch.setattr(descriptor_cache, "decode_bytes", broken)
    with pytest.raises(KeyboardInterrupt):
        describe_files(files, cache, 1)
    monkeypatch.setattr(descriptor_cache, "decode_bytes", real)
    reads.clear()
    expect_right(describe_files(files, cache, 1), files)
    assert set(files[10:]) <= set(reads)
    assert not set(files[:10]) & set(reads[:10])


@pytest.mark.parametrize("harm", ["text", "cut", "zeros"])
def test_a_damaged_cache_is_made_anew_with_a_warning(files, cache, caplog, harm):
    describe_files(files, cache, 1)
    whole = cache.read_bytes()
    half = len(whole) // 2
    harmed = {
        "text": b"no database\n" * 100,
        "cut": whole[:half],
        "zeros": whole[:100] + bytes(half),
    }
    cache.write_bytes(harmed[harm])
    with caplog.at_level(logging.WARNING, "dr_ovo"):
        expect_right(describe_files(files, cache, 1), files)
    assert f"{cache} is damaged" in caplog.text
    with contextlib.closing(sqlite3.connect(cache)) as store:
        assert store.execute("SELECT count(*) FROM files").fetchone() == (len(files),)


def test_a_cache_of_another_version_is_made_anew(files, cache, reads, monkeypatch):
    describe_files(files, cache, 1)
    monkeypatch.setattr(descriptor_cache, "DESCRIPTOR_VERSION", 99)
    reads.clear()
    expect_right(describe_files(files, cache, 1), files)
    assert set(reads) == set(files)


@pytest.mark.parametrize("workers", [1, 2])
def test_damaged_pictures_come_back_as_damage(files, cache, workers):
    files[0].write_bytes(b"")
    files[1].write_bytes(files[1].read_bytes()[:2000])
    files[2].unlink()
    for _ in range(2):  # the second time with a cache that knows the others
        result = describe_files(files, cache, workers)
        damaged = {path: entry for path, entry in result.items() if isinstance(entry, Damage)}
        assert list(damaged) == files[:3]
        assert [entry.path for entry in damaged.values()] == files[:3]
        assert "zero bytes" in damaged[files[0]].reason
        assert "truncated" in damaged[files[1]].reason
        assert "can't be read" in damaged[files[2]].reason
    for path in files[:3]:
        shutil.copy(files[5], path)
    assert all(isinstance(e, Described) for e in describe_files(files, cache, workers).values())


def test_the_sides_are_those_of_the_file_even_where_it_is_decoded_smaller(tmp_path):
    path = tmp_path / "large.jpg"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (1200, 1601, 3), np.uint8))
    entry = describe_files([path], None)[path]
    assert (entry.width, entry.height) == (1601, 1200)


def test_a_path_given_twice_counts_once(files):
    assert list(describe_files([files[0], files[1], files[0]], None)) == files[:2]


def test_no_files_at_all(cache):
    assert describe_files([], cache) == {}


def test_a_cache_that_cannot_be_opened_is_named(tmp_path, files):
    place = tmp_path / "a file"
    place.write_text("")
    with pytest.raises(UserError, match=r"a file.*can't be opened"):
        describe_files(files, place / "descriptors", 1)


def test_a_full_disk_is_said_in_one_message(files, cache, monkeypatch):
    def full(store: object, entries: object, names: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(descriptor_cache, "_keep", full)
    with pytest.raises(MachineError, match="disk is full"):
        describe_files(files, cache, 1)


def test_pairs_are_kept_under_their_key(cache):
    assert kept_pairs(cache, "a") is None
    keep_pairs(cache, "a", "[1]")
    assert kept_pairs(cache, "a") == "[1]"
    keep_pairs(cache, "b", "[2]")
    assert (kept_pairs(cache, "a"), kept_pairs(cache, "b")) == (None, "[2]")
