"""A cache that comes with a dataset is no evidence: leaks are found whatever it says."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dr_ovo.__main__ import main
from dr_ovo.audit.audit import audit
from dr_ovo.audit.audited_photographs import photographs_of_folder
from dr_ovo.audit.findings import AuditReport
from dr_ovo.audit.measurement_cache import DESCRIPTORS, FOLDER, MEASUREMENTS, MeasurementCache
from dr_ovo.copies.descriptor_store import open_store
from tests.fixtures.real_photographs import copy_pictures, write_altered
from tests.fixtures.slow import slow

KINDS = ["exact_copy", "near_duplicate"]  # the leaks of the set, from worst to mildest


@pytest.fixture(scope="module")
def unaudited(idrid_small, tmp_path_factory) -> Path:
    """Some photographs, with one of train in test, and a flipped one."""
    folder = tmp_path_factory.mktemp("leaky") / "set"
    copy_pictures(idrid_small, folder)
    for grade in folder.glob("*/*"):
        for picture in sorted(grade.iterdir())[4:]:  # fewer are as telling, and quicker
            picture.unlink()
    exact, flipped = sorted((folder / "train" / "2").glob("*.jpg"))[:2]
    shutil.copyfile(exact, folder / "test" / "2" / "exact.jpg")
    write_altered(flipped, folder / "test" / "2" / "flipped.jpg", "flip")
    return folder


@pytest.fixture(scope="module")
def true_cache(unaudited, tmp_path_factory) -> Path:
    """A copy of the cache of `unaudited` before anybody forges it."""
    assert kinds(quick_audit(unaudited)) == KINDS
    return Path(shutil.move(unaudited / FOLDER, tmp_path_factory.mktemp("true") / FOLDER))


@pytest.fixture
def leaky(unaudited, true_cache) -> Iterator[Path]:
    """The leaky photographs as audited before: no test changes them, only their cache."""
    shutil.copytree(true_cache, unaudited / FOLDER)
    yield unaudited
    remove_cache(unaudited)


def remove_cache(folder: Path) -> None:
    cache = folder / FOLDER
    if cache.is_symlink():
        cache.unlink()
    shutil.rmtree(cache, ignore_errors=True)


def quick_audit(folder: Path) -> AuditReport:
    photographs, _ = photographs_of_folder(folder)
    return audit(folder, photographs, folder / FOLDER, synthetic=True, quality=False)


def kinds(report: AuditReport) -> list[str]:
    return [finding.kind for finding in report.leaks]


def change(folder: Path, *statements: str) -> None:
    """What anybody can do to a dataset's cache."""
    with contextlib.closing(sqlite3.connect(folder / FOLDER / DESCRIPTORS)) as store, store:
        for statement in statements:
            store.execute(statement)


def query(folder: Path, statement: str) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(folder / FOLDER / DESCRIPTORS)) as store:
        return store.execute(statement).fetchall()


def no_pairs(folder: Path) -> None:
    change(folder, "UPDATE pairs SET found = '[]'")


def no_rows_of_pairs(folder: Path) -> None:
    change(folder, "DELETE FROM pairs")


def other_contents(folder: Path) -> None:
    """Each file is said to hold what the next one does: none of the leaks is a copy of its own."""
    change(
        folder,
        "DELETE FROM pairs",
        "UPDATE file_stamps SET sha256 = (SELECT sha256 FROM pictures ORDER BY sha256 LIMIT 1) "
        "WHERE path LIKE '%exact%' OR path LIKE '%flipped%'",
    )


def other_descriptors(folder: Path) -> None:
    change(
        folder,
        "DELETE FROM pairs",
        "UPDATE pictures SET descriptor = (SELECT descriptor FROM pictures LIMIT 1), "
        "digest = (SELECT digest FROM pictures LIMIT 1)",
    )


def zero_descriptors(folder: Path) -> None:
    change(folder, "DELETE FROM pairs", "UPDATE pictures SET descriptor = zeroblob(8192)")


def blocking_view(folder: Path) -> None:
    change(
        folder,
        "ALTER TABLE pairs RENAME TO other",
        "CREATE VIEW pairs AS SELECT key, '[]' AS found, digest FROM other",
    )


def blocking_trigger(folder: Path) -> None:
    change(
        folder,
        "CREATE TRIGGER t AFTER INSERT ON pairs BEGIN UPDATE pairs SET found = '[]'; END",
        "DELETE FROM pairs",
    )


FORGERIES = [
    no_pairs, other_contents, blocking_trigger,
    *slow(no_rows_of_pairs, other_descriptors, zero_descriptors, blocking_view),
]  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_forged_cache_hides_no_leak(forge, leaky):
    forge(leaky)
    assert kinds(quick_audit(leaky)) == KINDS
    assert kinds(quick_audit(leaky)) == KINDS


def test_rows_of_another_datasets_cache_hide_no_leak(leaky, tmp_path):
    """Those of the same files, as they were before the leaks were planted under their names."""
    clean = shutil.copytree(leaky, tmp_path / "clean")
    taken = sorted((leaky / "train" / "2").glob("*.jpg"))[2:4]
    for name, source in zip(("exact.jpg", "flipped.jpg"), taken, strict=True):
        (clean / "test" / "2" / name).write_bytes(source.read_bytes()[:-2] + b"\0\xff\xd9")
    quick_audit(clean)
    taken_rows = "SELECT path, sha256, digest FROM file_stamps WHERE path LIKE '../test/2/%'"
    rows = query(clean, taken_rows)
    with contextlib.closing(sqlite3.connect(leaky / FOLDER / DESCRIPTORS)) as store, store:
        for path, sha256, digest in rows:
            store.execute(
                "UPDATE file_stamps SET sha256 = ?, digest = ? WHERE path = ?",
                (sha256, digest, path),
            )
        store.execute("DELETE FROM pairs")
    assert kinds(quick_audit(leaky)) == KINDS


def test_a_cache_signed_with_anothers_key_hides_no_leak(leaky, tmp_path, monkeypatch):
    remove_cache(leaky)
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "forger"))
        quick_audit(leaky)
        ((key,),) = query(leaky, "SELECT key FROM pairs")
        with open_store(leaky / FOLDER / DESCRIPTORS) as store:
            store.save_pairs(key, "[]")
        assert kinds(quick_audit(leaky)) == ["exact_copy"]  # the forger's machine believes it
    assert kinds(quick_audit(leaky)) == KINDS


def test_a_forged_read_only_cache_hides_no_leak(leaky):
    no_pairs(leaky)
    (leaky / FOLDER).chmod(0o555)
    try:
        assert kinds(quick_audit(leaky)) == KINDS
    finally:
        (leaky / FOLDER).chmod(0o755)


def test_forged_measurements_are_measured_again(tmp_path):
    file = tmp_path / MEASUREMENTS
    with contextlib.closing(MeasurementCache(file, "1")) as cache:
        cache.put("statistics", {"a": np.ones(3), "b": np.zeros(3)})
        assert set(cache.get("statistics", ["a", "b"])) == {"a", "b"}
    with contextlib.closing(sqlite3.connect(file)) as store, store:
        store.execute("UPDATE measured SET vector = zeroblob(24) WHERE sha256 = 'a'")
        store.execute("UPDATE measured SET kind = 'quality 1' WHERE sha256 = 'b'")
    with contextlib.closing(MeasurementCache(file, "1")) as cache:
        assert cache.get("statistics", ["a", "b"]) == {}
        assert cache.get("quality", ["a", "b"]) == {}


@pytest.mark.slow
def test_the_command_stops_whatever_the_cache_says(leaky, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    remove_cache(leaky)
    monkeypatch.setattr(sys, "argv", ["dr_ovo", "audit", str(leaky)])
    assert main() == 3
    no_pairs(leaky)
    other_contents(leaky)
    (leaky / FOLDER / MEASUREMENTS).write_bytes(b"no database" * 99)
    assert main() == 3
    leaks = json.loads((tmp_path / "set_audit" / "audit.json").read_text())["leaks"]
    assert leaks == len(KINDS)


def test_a_linked_cache_folder_is_not_followed(leaky, tmp_path, monkeypatch):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / DESCRIPTORS).write_text("theirs")
    remove_cache(leaky)
    (leaky / FOLDER).symlink_to(theirs)
    words = ["dr_ovo", "audit", str(leaky), "--output", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", words)
    assert main() == 3
    assert [path.name for path in theirs.iterdir()] == [DESCRIPTORS]
    assert (theirs / DESCRIPTORS).read_text() == "theirs"
