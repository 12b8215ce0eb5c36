import contextlib
import hashlib
import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from dr_ovo.copies import descriptor_cache, descriptor_store, judged_files
from dr_ovo.copies.descriptor import DESCRIPTOR_SIDE, describe_picture
from dr_ovo.copies.descriptor_cache import Described, describe_files, load_pairs, save_pairs
from dr_ovo.decoded.processes import pool
from dr_ovo.errors import MachineError, UserError
from dr_ovo.photographs.damage import Damage
from dr_ovo.photographs.image_decoding import decode_image
from tests.fixtures import decoders


@pytest.fixture
def files(tmp_path, idrid_small) -> list[Path]:
    """Copies of twenty photographs in a folder."""
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
    """The files that this process reads from now on."""
    seen: list[Path] = []
    real = judged_files.read_bytes

    def read(path: Path) -> bytes:
        seen.append(path)
        return real(path)

    monkeypatch.setattr(judged_files, "read_bytes", read)
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
        pytest.fail("decoded")

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

    monkeypatch.setattr(descriptor_cache, "SAVE_EVERY", 5)
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
        assert store.execute("SELECT count(*) FROM file_stamps").fetchone() == (len(files),)


def test_a_cache_of_another_version_is_made_anew(files, cache, reads, monkeypatch):
    describe_files(files, cache, 1)
    monkeypatch.setattr(descriptor_store, "DESCRIPTOR_VERSION", 99)
    reads.clear()
    expect_right(describe_files(files, cache, 1), files)
    assert set(reads) == set(files)


@pytest.mark.parametrize("workers", [1, 2])
def test_damaged_pictures_come_back_as_damage(files, cache, workers):
    files[0].write_bytes(b"")
    files[1].write_bytes(files[1].read_bytes()[:2000])
    files[2].unlink()
    for _ in range(2):  # the second time the others are in the cache
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


def test_a_file_that_crashes_the_decoder_comes_back_as_damage(files, cache, in_processes):
    bad = decoders.mark(files[4])
    in_processes(decoders.crashing_opencv)
    for _ in range(2):  # the second time the others are in the cache
        result = describe_files(files[:7], cache)
        assert result.pop(bad) == Damage(bad, "crashes the decoder")
        expect_right(result, [path for path in files[:7] if path != bad])


def test_what_is_known_starts_no_process(files, cache, in_processes, monkeypatch, tmp_path):
    describe_files(files[:7], cache)
    shutil.copy(files[3], tmp_path / "copy.jpg")
    monkeypatch.setattr(pool, "Processes", decoders.no_start)
    expect_right(describe_files(files[:7], cache), files[:7])
    expect_right(describe_files([tmp_path / "copy.jpg"], cache), [tmp_path / "copy.jpg"])


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

    monkeypatch.setattr(descriptor_cache, "_save", full)
    with pytest.raises(MachineError, match="disk is full"):
        describe_files(files, cache, 1)


def test_a_file_put_in_anothers_place_with_its_size_and_date_is_described_anew(files, cache):
    describe_files(files, cache, 1)
    status = files[3].stat()
    content = bytearray(files[3].read_bytes())
    content[-200] ^= 1
    files[3].write_bytes(bytes(content))
    os.utime(files[3], ns=(status.st_atime_ns, status.st_mtime_ns))
    assert files[3].stat().st_size == status.st_size
    assert files[3].stat().st_mtime_ns == status.st_mtime_ns
    expect_right(describe_files(files, cache, 1), files)


def test_a_file_that_got_a_second_name_is_read_but_not_decoded(
    tmp_path, files, cache, reads, monkeypatch
):
    describe_files(files, cache, 1)
    os.link(files[3], tmp_path / "second.jpg")
    reads.clear()

    def decode(data: bytes, size: int) -> np.ndarray:
        pytest.fail("decoded")

    monkeypatch.setattr(descriptor_cache, "decode_bytes", decode)
    describe_files(files, cache, 1)
    assert reads == [files[3]]
    reads.clear()
    describe_files(files, cache, 1)
    assert reads == []


def test_what_is_not_asked_for_is_not_loaded(files, cache, monkeypatch):
    describe_files(files, cache, 1)
    loaded = []
    real = descriptor_store.DescriptorStore.pictures

    def pictures(store: object, contents: list[str]) -> Iterator[tuple]:
        loaded.extend(contents)
        return real(store, contents)

    monkeypatch.setattr(descriptor_store.DescriptorStore, "pictures", pictures)
    expect_right(describe_files(files[:3], cache, 1), files[:3])
    assert len(loaded) == 3


@pytest.fixture
def closed(cache) -> Iterator[Path]:
    """The cache's folder; a test may make it read-only, which is undone afterwards."""
    yield cache.parent
    cache.parent.chmod(0o755)


def test_a_cache_that_may_not_be_written_is_read(files, cache, closed, reads, caplog):
    describe_files(files[:18], cache, 1)
    save_pairs(cache, "a", "[1]")
    before = cache.read_bytes()
    closed.chmod(0o555)
    reads.clear()
    with caplog.at_level(logging.WARNING, "dr_ovo"):
        expect_right(describe_files(files, cache, 1), files)
    assert list(dict.fromkeys(reads)) == files[18:]
    assert f"{cache} can't be written" in caplog.text
    save_pairs(cache, "b", "[2]")
    assert (load_pairs(cache, "a"), load_pairs(cache, "b")) == ("[1]", None)
    assert cache.read_bytes() == before
    assert list(closed.iterdir()) == [cache]


@pytest.mark.parametrize("content", [None, b"", b"no database at all" * 99])
def test_a_folder_that_may_not_be_written_with_nothing_to_read(files, cache, closed, content):
    closed.mkdir()
    if content is not None:
        cache.write_bytes(content)
    closed.chmod(0o555)
    expect_right(describe_files(files[:3], cache, 1), files[:3])
    assert load_pairs(cache, "a") is None
    assert list(closed.iterdir()) == ([] if content is None else [cache])


def test_a_cache_whose_writing_turns_out_to_be_forbidden(files, cache, monkeypatch, caplog):
    """As on a file system that is read-only whatever the permissions of its folders."""
    describe_files(files[:18], cache, 1)
    real = sqlite3.connect

    def connect(*args: object, **named: object) -> sqlite3.Connection:
        connection = real(*args, **named)
        connection.execute("PRAGMA query_only = 1")
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect)
    with caplog.at_level(logging.WARNING, "dr_ovo"):
        expect_right(describe_files(files, cache, 1), files)
    assert f"{cache} can't be written" in caplog.text


EARLIER_STAMPS = {
    "files": "path, size, time, sha256",
    "stamps": "path, size, time, changed, sha256",
}


@pytest.mark.parametrize("table", EARLIER_STAMPS)
def test_descriptors_of_a_cache_with_earlier_stamps_serve_on(
    table, files, cache, reads, monkeypatch
):
    describe_files(files, cache, 1)
    columns = EARLIER_STAMPS[table]
    with contextlib.closing(sqlite3.connect(cache)) as store, store:
        store.execute(f"CREATE TABLE {table} ({columns}, PRIMARY KEY (path))")
        store.execute(f"INSERT INTO {table} SELECT {columns} FROM file_stamps")
        store.execute("DROP TABLE file_stamps")
    reads.clear()

    def decode(data: bytes, size: int) -> np.ndarray:
        pytest.fail("decoded")

    monkeypatch.setattr(descriptor_cache, "decode_bytes", decode)
    assert all(isinstance(e, Described) for e in describe_files(files, cache, 1).values())
    assert sorted(reads) == files


def test_pairs_are_kept_under_their_keys_for_some_sets_of_files(cache):
    assert load_pairs(cache, "a") is None
    keys = [f"set {number}" for number in range(descriptor_store.SETS_KEPT + 1)]
    for key in keys[:-1]:
        save_pairs(cache, key, f"[{key}]")
    assert [load_pairs(cache, key) for key in keys] == [*(f"[{key}]" for key in keys[:-1]), None]
    save_pairs(cache, keys[0], "[again]")
    save_pairs(cache, keys[-1], "[last]")
    assert load_pairs(cache, keys[1]) is None  # the oldest
    assert (load_pairs(cache, keys[0]), load_pairs(cache, keys[-1])) == ("[again]", "[last]")
