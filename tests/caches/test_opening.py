"""Files that are no caches, can't be trusted, or can't be written."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from pathlib import Path

import pytest

from dr_ovo.caches import opening
from dr_ovo.caches.inspection import JOURNAL_MAGIC, Layout
from dr_ovo.caches.opening import open_cache
from dr_ovo.caches.signed_cache import SignedCache
from tests.fixtures.slow import slow

LAYOUT = Layout("test", 3, {"kept": "(key TEXT PRIMARY KEY, value BLOB, digest BLOB)"})
OLDER = Layout("test", 2, {"kept": "(key TEXT PRIMARY KEY, value BLOB)"})


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "kept" / "cache.sqlite"


def opened(file: Path, layout: Layout = LAYOUT, **how: bool) -> contextlib.closing[SignedCache]:
    return contextlib.closing(open_cache(file, layout, **how))


def fill(file: Path) -> None:
    with opened(file) as cache:
        cache.add({"kept": [("a", b"1"), ("b", b"2")]})


def values(file: Path, layout: Layout = LAYOUT, **how: bool) -> dict[str, bytes]:
    with opened(file, layout, **how) as cache:
        return dict(cache.rows("kept", "key", ["a", "b", "c"]))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def change(file: Path, *statements: str) -> None:
    """What anybody can do to a file."""
    with contextlib.closing(sqlite3.connect(file)) as store, store:
        for statement in statements:
            store.execute(statement)


def test_what_was_added_is_there(file):
    fill(file)
    assert values(file) == {"a": b"1", "b": b"2"}
    assert values(file, check=True) == {"a": b"1", "b": b"2"}
    assert names_in(file.parent) == [file.name]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE kept SET value = x'39' WHERE key = 'a'",
        "UPDATE kept SET digest = (SELECT digest FROM kept WHERE key = 'b') WHERE key = 'a'",
        "UPDATE kept SET digest = NULL WHERE key = 'a'",
        "UPDATE kept SET value = '1' WHERE key = 'a'",  # a text in place of the bytes
        *slow("UPDATE kept SET value = zeroblob(300000000) WHERE key = 'a'"),
        "UPDATE kept SET value = NULL WHERE key = 'a'",
        "DELETE FROM kept WHERE key = 'a'",
    ],
)
def test_a_forged_row_is_missing(file, statement):
    fill(file)
    change(file, statement)
    assert "a" not in values(file)
    with opened(file) as cache:
        cache.add({"kept": [("a", b"1")]})
    assert values(file)["a"] == b"1"


def test_a_row_renamed_is_missing(file):
    fill(file)
    change(file, "DELETE FROM kept WHERE key = 'b'", "UPDATE kept SET key = 'b'")
    assert values(file) == {}


def test_rows_count_only_for_what_they_were_kept_for(file):
    fill(file)
    assert values(file, Layout("other", 3, LAYOUT.tables)) == {}


def test_a_text_that_is_not_utf_8_stops_nothing(file):
    fill(file)
    change(file, "INSERT INTO kept VALUES ('c', CAST(x'ff41' AS TEXT), x'00')")
    assert values(file) == {"a": b"1", "b": b"2"}


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW more AS SELECT * FROM kept",
        "CREATE TRIGGER more AFTER INSERT ON kept BEGIN DELETE FROM kept; END",
        "CREATE INDEX more ON kept (value)",
        "CREATE TABLE more (key TEXT)",
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_a_file_with_more_in_it_is_set_aside(file, statement, check, caplog):
    fill(file)
    change(file, statement)
    with caplog.at_level(logging.WARNING, "dr_ovo"):
        assert values(file, check=check) == {}
        assert values(file, check=check) == {}
    assert caplog.text.count("measured again") == 1
    assert names_in(file.parent) == [file.name, f"{file.name}.set_aside"]
    fill(file)
    assert values(file, check=check) == {"a": b"1", "b": b"2"}


def test_a_view_in_the_place_of_a_table_is_set_aside(file):
    fill(file)
    change(
        file,
        "ALTER TABLE kept RENAME TO other",
        "CREATE VIEW kept AS SELECT 'a' AS key, x'39' AS value, x'' AS digest",
    )
    assert values(file) == {}
    assert file.with_name(f"{file.name}.set_aside").is_file()


def test_a_file_of_an_earlier_version_is_replaced(file, caplog):
    file.parent.mkdir()
    change(file, f"CREATE TABLE kept {OLDER.tables['kept']}", "INSERT INTO kept VALUES ('a', '9')")
    with caplog.at_level(logging.WARNING, "dr_ovo"):
        assert values(file) == {}
    assert "was made by another version" in caplog.text
    assert names_in(file.parent) == [file.name]


@pytest.mark.parametrize("harm", ["text", "cut", "zeros", "pages"])
def test_a_damaged_file_is_set_aside_and_said_once(file, harm, caplog):
    with opened(file) as cache:
        cache.add({"kept": [(f"k{n}", bytes(500)) for n in range(100)]})
    whole = file.read_bytes()
    harmed = {
        "text": b"no database\n" * 100,
        "cut": whole[: len(whole) // 2],
        "zeros": whole[:100] + bytes(len(whole) - 100),
        "pages": whole[:8192] + b"\x55" * (len(whole) - 8192),
    }
    file.write_bytes(harmed[harm])
    with caplog.at_level(logging.WARNING, "dr_ovo"):
        assert values(file, check=True) == {}
        fill(file)
    assert values(file, check=True) == {"a": b"1", "b": b"2"}
    assert caplog.text.count("is damaged") == 1


def test_damage_that_shows_late_leaves_rows_missing(file, caplog):
    with opened(file) as cache:
        cache.add({"kept": [(key, bytes(9000)) for key in "abc"]})
    data = bytearray(file.read_bytes())
    data[4096 * 2 : 4096 * 5] = b"\x55" * 4096 * 3
    file.write_bytes(bytes(data))
    with caplog.at_level(logging.WARNING, "dr_ovo"):
        assert set(values(file)) < {"a", "b", "c"}


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe"])
def test_what_is_no_file_is_not_followed(file, kind, tmp_path):
    file.parent.mkdir()
    target = tmp_path / "theirs.sqlite"
    if kind == "link":
        change(target, "CREATE TABLE kept (key TEXT)", "CREATE TABLE files (key TEXT)")
    before = target.read_bytes() if target.exists() else None
    if "link" in kind:
        file.symlink_to(target)
    elif kind == "folder":
        file.mkdir()
    else:
        os.mkfifo(file)
    fill(file)
    assert values(file) == {"a": b"1", "b": b"2"}
    assert not file.is_symlink()
    assert (target.read_bytes() if target.exists() else None) == before


@pytest.mark.parametrize("suffix", ["-journal", "-wal", "-shm"])
def test_a_link_beside_it_is_not_followed(file, suffix, tmp_path):
    fill(file)
    target = tmp_path / "theirs"
    target.write_text("theirs")
    file.with_name(file.name + suffix).symlink_to(target)
    fill(file)
    assert values(file) == {"a": b"1", "b": b"2"}
    assert target.read_text() == "theirs"


def test_a_journal_that_names_another_file_does_not_delete_it(file, tmp_path):
    """SQLite takes that file for the journal of a transaction over several files, and deletes it
    when it has rolled the transaction back."""
    fill(file)
    target = tmp_path / "theirs"
    target.write_text("theirs")
    name = str(target).encode()
    pages = len(file.read_bytes()) // 4096
    head = JOURNAL_MAGIC + b"".join(n.to_bytes(4, "big") for n in (0, 1, pages, 512, 4096))
    # After the pages saved before the change (none): 1 GiB's page, name, length, checksum, magic.
    tail = (2**30 // 4096 + 1).to_bytes(4, "big") + name + len(name).to_bytes(4, "big")
    tail += (sum(name) % 2**32).to_bytes(4, "big") + JOURNAL_MAGIC
    file.with_name(f"{file.name}-journal").write_bytes(head.ljust(512, b"\0") + tail)
    fill(file)
    assert values(file) == {"a": b"1", "b": b"2"}
    assert target.read_text() == "theirs"


def test_a_read_only_file_with_more_in_it_counts_for_nothing(file):
    fill(file)
    change(file, "CREATE VIEW more AS SELECT * FROM kept")
    before = file.read_bytes()
    file.parent.chmod(0o555)
    try:
        assert values(file) == {}
    finally:
        file.parent.chmod(0o755)
    assert file.read_bytes() == before


def test_a_cache_that_shall_only_be_read(file):
    assert values(file, write=False) == {}
    assert not file.parent.exists()
    fill(file)
    assert values(file, write=False) == {"a": b"1", "b": b"2"}


def full_disk(monkeypatch, pages: int) -> None:
    """Every file that is opened from now on may have so many pages."""
    real = opening._harden

    def harden(connection: sqlite3.Connection) -> None:
        real(connection)
        connection.execute(f"PRAGMA max_page_count = {pages}")

    monkeypatch.setattr(opening, "_harden", harden)


@pytest.mark.parametrize("pages", [1, 5])
def test_a_full_disk_costs_only_time_and_is_said_once(file, pages, monkeypatch, caplog):
    full_disk(monkeypatch, pages)
    with caplog.at_level(logging.WARNING, "dr_ovo"), opened(file, check=True) as cache:
        for start in range(3):
            cache.add({"kept": [(f"{start} {n}", bytes(999)) for n in range(50)]})
        assert list(cache.rows("kept", "key", ["a"])) == []
    assert caplog.text.count("database or disk is full") == 1
    monkeypatch.undo()
    fill(file)
    assert values(file, check=True) == {"a": b"1", "b": b"2"}


def test_two_processes_fill_one_cache(file):
    with opened(file) as first, opened(file) as second:
        first.add({"kept": [("a", b"1")]})
        second.add({"kept": [("b", b"2")]})
    assert values(file) == {"a": b"1", "b": b"2"}
