"""Copies of real photographs with planted leaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dr_ovo.audit.audit import audit
from dr_ovo.audit.audited_photographs import photographs_of_folder
from dr_ovo.audit.findings import AuditReport
from tests.fixtures.real_photographs import copy_pictures, write_altered


@pytest.fixture
def real_set(idrid_small: Path, tmp_path: Path) -> Path:
    """A copy of idrid_small that a test may change."""
    return copy_pictures(idrid_small, tmp_path / "set")


@pytest.fixture
def fewer(real_set: Path) -> Path:
    """At most four of its photographs of each grade in each split: as telling, and quicker."""
    for grade in real_set.glob("*/*"):
        for picture in sorted(grade.iterdir())[4:]:
            picture.unlink()
    return real_set


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache shared by all tests: it depends on the content of files only."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def audited(kept: Path) -> Callable[..., AuditReport]:
    """The audit of a folder."""

    def run(folder: Path, quality: bool = False) -> AuditReport:
        photographs, drawn = photographs_of_folder(folder)
        return audit(folder, photographs, kept, synthetic=drawn, quality=quality)

    return run


@pytest.fixture
def altered() -> Callable[[Path, Path, str], Path]:
    """Writes a filtered picture as JPEG of quality 90, the same as in idrid_small."""
    return write_altered
