"""The temporary copy of a cache, with which a dry run audits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dr_ovo.audit import measurements
from dr_ovo.audit.audit import audit
from dr_ovo.audit.audited_photographs import photographs_of_folder
from dr_ovo.audit.findings import AuditReport
from dr_ovo.audit.fingerprint import fingerprints
from dr_ovo.audit.measurement_cache import DESCRIPTORS, FOLDER, temporary_copy
from dr_ovo.copies import content_hashes, judged_files
from tests.conftest import odd_folder
from tests.fixtures.slow import slow


def audited(root: Path, cache: Path) -> tuple[AuditReport, dict]:
    photographs, _ = photographs_of_folder(root)
    return audit(root, photographs, cache), fingerprints(photographs, cache)


@pytest.fixture
def no_reads(monkeypatch) -> Callable[[], None]:
    """From when it is called, a picture that is read fails the test."""

    def refuse(path: Path) -> bytes:
        pytest.fail(f"{path} was read again")

    def start() -> None:
        monkeypatch.setattr(judged_files, "read_bytes", refuse)
        monkeypatch.setattr(measurements, "read_bytes", refuse)
        monkeypatch.setattr(content_hashes, "file_sha256", refuse)

    return start


@pytest.fixture(params=["plain", *slow("relative"), "odd"])
def root(request, tiny_dataset, tmp_path, monkeypatch) -> Path:
    """A dataset: at an absolute path, at a relative one, and at one below a folder with a name that
    is not UTF-8."""
    parent = odd_folder(tmp_path) if request.param == "odd" else tmp_path
    folder = shutil.copytree(tiny_dataset, parent / "a set", ignore=lambda *_: [FOLDER])
    monkeypatch.chdir(parent)
    return folder if request.param == "plain" else Path("a set")


def test_an_audit_with_it_reads_no_picture_again(root, no_reads):
    report, files = audited(root, root / FOLDER)
    before = {path: path.read_bytes() for path in (root / FOLDER).iterdir()}
    no_reads()
    with temporary_copy(root / FOLDER) as copy:
        again, same_files = audited(root, copy)
    assert (again.to_dict(), same_files) == (report.to_dict(), files)
    assert {path: path.read_bytes() for path in (root / FOLDER).iterdir()} == before
    assert not copy.exists()


def test_what_changed_since_is_read_again(root):
    audited(root, root / FOLDER)
    source, target = min((root / "train" / "1").iterdir()), root / "test" / "1" / "new.jpeg"
    shutil.copyfile(source, target)
    with temporary_copy(root / FOLDER) as copy:
        report, _ = audited(root, copy)
    assert "exact_copy" in {finding.kind for finding in report.leaks}


def test_of_no_cache_and_of_a_damaged_one(tiny_dataset, tmp_path):
    for folder in (None, tmp_path / "absent"):
        with temporary_copy(folder) as copy:
            assert list(copy.iterdir()) == []
    damaged = tmp_path / FOLDER
    damaged.mkdir()
    (damaged / DESCRIPTORS).write_bytes(b"no database" * 99)
    with temporary_copy(damaged) as copy:
        audited(tiny_dataset, copy)
    assert (damaged / DESCRIPTORS).read_bytes() == b"no database" * 99
