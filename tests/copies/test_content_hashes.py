"""The sha256 of files: kept while a file is the same, computed again where it may not be."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from dr_ovo.copies import content_hashes as module
from dr_ovo.copies.content_hashes import UNREADABLE, content_hashes
from dr_ovo.copies.descriptor_store import name_in, open_store, stamp_of
from tests.conftest import odd_folder


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "kept" / "descriptors.sqlite"


@pytest.fixture
def reads(monkeypatch) -> list[Path]:
    """The files that are read from now on."""
    seen: list[Path] = []
    real = module.file_sha256

    def read(path: Path) -> str:
        seen.append(path)
        return real(path)

    monkeypatch.setattr(module, "file_sha256", read)
    return seen


def expected(paths: list[Path]) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def files_below(folder: Path, *contents: bytes) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.jpg" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def test_files_are_read_once(tmp_path, cache, reads):
    paths = files_below(tmp_path / "a", b"one", b"two")
    assert content_hashes(paths, cache) == expected(paths)
    assert sorted(reads) == paths
    assert content_hashes(paths[::-1], cache) == expected(paths)
    assert sorted(reads) == paths


def test_nothing_is_kept_where_nothing_shall_be(tmp_path, cache, reads):
    paths = files_below(tmp_path / "a", b"one", b"two")
    assert content_hashes(paths, cache, keep=False) == expected(paths)
    assert not cache.exists()
    content_hashes(paths[:1], cache)
    reads.clear()
    assert content_hashes(paths, cache, keep=False) == expected(paths)
    assert reads == paths[1:]


def test_an_unreadable_file_is_not_kept(tmp_path, cache):
    (path,) = files_below(tmp_path / "a", b"one")
    missing = tmp_path / "a" / "missing.jpg"
    assert content_hashes([path, missing], cache)[missing] == UNREADABLE
    missing.write_bytes(b"there")
    assert content_hashes([missing], cache) == expected([missing])


def twins(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders with a file of one name, size and times, and other content."""
    for number in range(500):
        (first,), (second,) = (
            files_below(tmp_path / f"{name}{number}", content)
            for name, content in (("a", b"one"), ("b", b"two"))
        )
        for path in (first, second):
            os.utime(path, ns=(1, 1))
        if first.stat().st_ctime_ns == second.stat().st_ctime_ns:
            return first.parent, second.parent
    pytest.skip("this file system gives no two files one change time")


def test_folders_that_changed_places_are_seen(tmp_path, cache):
    """Neither the names nor the times of the files in them change."""
    first, second = twins(tmp_path)
    paths = [first / "0.jpg", second / "0.jpg"]
    before = content_hashes(paths, cache)
    first.rename(tmp_path / "aside")
    second.rename(first)
    (tmp_path / "aside").rename(second)
    found = content_hashes(paths, cache)
    assert found == expected(paths)
    assert [found[path] for path in paths] == [before[path] for path in paths[::-1]]


def test_a_moved_dataset_is_not_read_again(tmp_path, reads):
    paths = files_below(tmp_path / "a", b"one", b"two")
    content_hashes(paths, tmp_path / "a" / ".audit" / "descriptors.sqlite")
    moved = (tmp_path / "a").rename(tmp_path / "b")
    reads.clear()
    again = [moved / path.name for path in paths]
    assert content_hashes(again, moved / ".audit" / "descriptors.sqlite") == expected(again)
    assert reads == []


def test_numbers_beyond_those_of_sqlite_are_kept(tmp_path, cache):
    """Some file systems number files with 64 bits without a sign; dates may be absurd."""
    large = SimpleNamespace(st_size=3, st_mtime_ns=2**63 + 5, st_ctime_ns=-1, st_ino=2**64 - 1)
    stamp = stamp_of(SimpleNamespace(stat=lambda: large))
    assert stamp is not None
    with open_store(cache) as store:
        store.add([], [("name", *stamp, "0" * 64)])
    with open_store(cache) as store:
        assert store.stamps(["name"]) == {"name": (stamp, "0" * 64)}
    other = SimpleNamespace(**vars(large) | {"st_ino": 2**64 - 2})
    assert stamp_of(SimpleNamespace(stat=lambda: other)) != stamp


@pytest.mark.parametrize("inside", [True, False])
def test_folders_with_odd_names(inside, tmp_path, cache, reads):
    """The cache in the dataset, and beside it, as for a dataset that is read-only."""
    folder = odd_folder(tmp_path)
    place = folder / ".audit" / "descriptors.sqlite" if inside else cache
    paths = files_below(folder / "50 % of 100?#", b"one", b"two")
    assert content_hashes(paths, place) == expected(paths)
    assert place.is_file()
    reads.clear()
    assert content_hashes(paths, place) == expected(paths)
    assert reads == []
    assert len({name_in(place, path) for path in paths}) == 2
