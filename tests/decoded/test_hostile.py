"""Stores that are damaged, forged or of somebody else: rows are missing, never wrong."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import zlib
from pathlib import Path

import numpy as np
import pytest

from dr_ovo.batches.loader import ImageLoader
from dr_ovo.batches.row_source import RowSource
from dr_ovo.caches import signed_cache
from dr_ovo.decoded.build import Built, build
from dr_ovo.decoded.decoded_rows import DecodedRows, open_rows
from dr_ovo.decoded.places import INDEX, LOCK, ROWS
from tests.decoded.conftest import PREPROCESSING, ROW_BYTES
from tests.decoded.test_build import all_are_right, plain

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture(autouse=True)
def _warnings_of_this_test() -> None:
    signed_cache.warn_once.cache_clear()


def whole_rows(cache: Path, files: dict[Path, str]) -> int:
    """The number of rows that are there; each of them is right."""
    count = 0
    with open_rows(cache, PREPROCESSING) as rows:
        for path, sha256 in files.items():
            pixels = rows.get(sha256)
            assert pixels is None or np.array_equal(pixels, plain(path))
            count += pixels is not None
    return count


def change(store: Path, *statements: str) -> None:
    """What anybody can do to an index."""
    with contextlib.closing(sqlite3.connect(store / INDEX)) as index, index:
        for statement in statements:
            index.execute(statement)


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def swapped(data: bytes) -> bytes:
    return data[ROW_BYTES : 2 * ROW_BYTES] + data[:ROW_BYTES] + data[2 * ROW_BYTES :]


# What was done to the file of five rows -> how many are left.
HARM = {
    "a bit": (lambda data: flip(data, 100), 4),
    "two rows swapped": (swapped, 3),
    "cut inside a row": (lambda data: data[: 3 * ROW_BYTES + 5], 3),
    "empty": (lambda data: b"", 0),
    "zeros": (lambda data: bytes(len(data)), 0),
    "longer": (lambda data: data + b"more", 5),
}


@pytest.mark.parametrize("harm", HARM)
def test_damaged_rows(built, cache, store, harm):
    work, left = HARM[harm]
    (store / ROWS).write_bytes(work((store / ROWS).read_bytes()))
    assert whole_rows(cache, built[1]) == left


def test_pixels_forged_to_the_same_crc(built, cache, store):
    """Four bytes anywhere bring a crc32 to what it was; not so a sha256."""
    data = (store / ROWS).read_bytes()
    forged = bytes(ROW_BYTES - 4)
    ending = crc_ending(forged, zlib.crc32(data[:ROW_BYTES]))
    assert zlib.crc32(forged + ending) == zlib.crc32(data[:ROW_BYTES])
    (store / ROWS).write_bytes(forged + ending + data[ROW_BYTES:])
    assert whole_rows(cache, built[1]) == 4


def crc_ending(data: bytes, wanted: int) -> bytes:
    """The 4 bytes that bring the crc32 of data + them to `wanted`."""
    table = [_table_entry(n) for n in range(256)]
    by_top = {entry >> 24: (number, entry) for number, entry in enumerate(table)}
    state, steps = wanted ^ 0xFFFFFFFF, []
    for _ in range(4):
        number, entry = by_top[state >> 24]
        steps.append(number)
        state = ((state ^ entry) << 8 | number) & 0xFFFFFFFF
    state, ending = zlib.crc32(data) ^ 0xFFFFFFFF, []
    for number in reversed(steps):
        ending.append((state ^ number) & 0xFF)
        state = table[number] ^ state >> 8
    return bytes(ending)


def _table_entry(number: int) -> int:
    for _ in range(8):
        number = number >> 1 ^ (0xEDB88320 if number & 1 else 0)
    return number


@pytest.mark.parametrize(
    ("statement", "left"),
    [
        ("UPDATE rows SET position = -1 WHERE position = 0", 4),
        ("UPDATE rows SET position = 4611686018427387904 WHERE position = 0", 4),
        ("UPDATE rows SET position = 1 WHERE position = 0", 4),
        ("UPDATE rows SET position = 'x'", 0),
        ("UPDATE rows SET crc32 = 0 WHERE position = 0", 4),
        ("UPDATE rows SET quality = 1", 0),
        ("UPDATE rows SET digest = zeroblob(32)", 0),
        ("UPDATE rows SET sha256 = replace(sha256, substr(sha256, 1, 4), 'beef')", 0),
        ("DELETE FROM rows", 0),
        ("CREATE TABLE more (x)", 0),
    ],
)
def test_forged_index(built, cache, store, statement, left):
    change(store, statement)
    assert whole_rows(cache, built[1]) == left
    assert build(built[1], PREPROCESSING, cache) == Built(added=5 - left)
    assert all_are_right(cache, built[1])


def test_earlier_entries_put_back(built, cache, store, draw, tmp_path):
    """Entries that were signed once, for positions that hold others now."""
    earlier = (store / INDEX).read_bytes()
    shutil.rmtree(store)
    others = draw(tmp_path / "others", count=5, first=20)
    build(others, PREPROCESSING, cache)
    (store / INDEX).write_bytes(earlier)
    assert whole_rows(cache, built[1] | others) == 0
    assert build(built[1], PREPROCESSING, cache).refusal == ""


def test_an_entry_whose_row_was_cut_off_gives_way(built, cache, store, draw, tmp_path):
    (store / ROWS).write_bytes((store / ROWS).read_bytes()[: 4 * ROW_BYTES])
    others = draw(tmp_path / "others", count=1, first=20)
    assert build(others, PREPROCESSING, cache) == Built(added=1)
    assert build(others, PREPROCESSING, cache) == Built()
    assert whole_rows(cache, built[1] | others) == 5


def test_a_store_of_another_user(built, cache, store, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "their_key"))
    assert whole_rows(cache, built[1]) == 0
    assert build(built[1], PREPROCESSING, cache) == Built(added=5)
    assert (store / ROWS).stat().st_size == 5 * ROW_BYTES  # the others' rows are overwritten
    assert all_are_right(cache, built[1])
    monkeypatch.undo()
    assert whole_rows(cache, built[1]) == 0


@pytest.mark.parametrize("kind", ["link", "second name", "pipe", "folder", "nothing"])
@pytest.mark.parametrize("name", [ROWS, LOCK])
def test_what_is_no_file_of_rows(built, cache, store, tmp_path, kind, name):
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"theirs")
    change(store, "DELETE FROM rows")
    (store / name).unlink(missing_ok=True)
    put = {
        "link": lambda path: path.symlink_to(theirs),
        "second name": lambda path: path.hardlink_to(theirs),
        "pipe": os.mkfifo,
        "folder": Path.mkdir,
        "nothing": lambda path: None,
    }
    put[kind](store / name)
    files = dict(list(built[1].items())[:2])
    assert whole_rows(cache, files) == 0
    outcome = build(files, PREPROCESSING, cache)
    assert bool(outcome.refusal) == (kind == "folder")
    assert theirs.read_bytes() == b"theirs"
    assert whole_rows(cache, files) == (0 if outcome.refusal else 2)


@pytest.mark.parametrize("name", ["about.json", "about.json.part"])
def test_no_link_is_written_through(built, cache, store, tmp_path, name):
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    (store / name).unlink(missing_ok=True)
    (store / name).symlink_to(theirs)
    change(store, "DELETE FROM rows")
    before = theirs.stat().st_mtime_ns
    with open_rows(cache, PREPROCESSING):
        pass
    assert build(built[1], PREPROCESSING, cache).added == 5
    assert (theirs.read_text(), theirs.stat().st_mtime_ns) == ("theirs", before)


def test_a_store_that_is_a_link_is_not_used(built, cache, store, tmp_path):
    store.rename(tmp_path / store.name)
    store.symlink_to(tmp_path / store.name)
    assert whole_rows(cache, built[1]) == 0
    assert "is a link" in build(built[1], PREPROCESSING, cache).refusal


@pytest.mark.parametrize("content", [b"", b"no database" * 1000])
def test_a_damaged_index_is_made_anew(built, cache, store, content):
    (store / INDEX).write_bytes(content)
    assert whole_rows(cache, built[1]) == 0
    assert build(built[1], PREPROCESSING, cache).added == 5
    assert all_are_right(cache, built[1])


def read_as_training(rows: DecodedRows, sha256: str, path: Path) -> np.ndarray | None:
    """A photograph as the image loader reads it, by its row or else by decoding."""
    loader = ImageLoader([path], PREPROCESSING, 0, source=RowSource(rows, (sha256,)))
    batches = list(loader.batches(np.arange(1), 1))  # the loader is not closed: that closes rows
    return batches[0][1][0].numpy() if batches else None


def test_a_damaged_row_is_decoded_once_and_written_again(built, cache, store, caplog):
    whole = (store / ROWS).read_bytes()
    (store / ROWS).write_bytes(flip(whole, 5))
    with open_rows(cache, PREPROCESSING) as rows, caplog.at_level(logging.WARNING, "dr_ovo"):
        (bad,) = (path for path, sha256 in built[1].items() if rows.get(sha256) is None)
        sha256 = built[1][bad]
        assert rows.get(sha256) is None
        assert caplog.text.count("is damaged") == 1
        rows.repair(sha256, np.zeros_like(plain(bad)))  # others' pixels are not its own
        assert rows.get(sha256) is None
        assert np.array_equal(read_as_training(rows, sha256, bad), plain(bad))
        assert np.array_equal(rows.get(sha256), plain(bad))
    assert (store / ROWS).read_bytes() == whole


def test_damage_while_it_is_read(built, cache, store):
    path, sha256 = next(iter(built[1].items()))
    with open_rows(cache, PREPROCESSING) as rows:
        assert np.array_equal(rows.get(sha256), plain(path))
        (store / ROWS).write_bytes(bytes(10))
        assert rows.get(sha256) is None
        assert np.array_equal(read_as_training(rows, sha256, path), plain(path))
