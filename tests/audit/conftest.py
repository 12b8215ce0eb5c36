"""Copies of real photographs with planted leaks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from dr_ovo.audit.audit import audit
from dr_ovo.audit.audited_photographs import photographs_of_folder
from dr_ovo.audit.findings import AuditReport


@pytest.fixture
def real_set(idrid_small: Path, tmp_path: Path) -> Path:
    """A copy of idrid_small that a test may change."""
    folder = tmp_path / "set"
    for source in sorted(idrid_small.glob("*/*/*.jpg")):
        target = folder / source.relative_to(idrid_small)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return folder


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


def _clahe(image: np.ndarray) -> np.ndarray:
    lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)
    lab[..., 0] = cv2.createCLAHE(3.0, (8, 8)).apply(np.ascontiguousarray(lab[..., 0]))
    return cv2.cvtColor(lab, cv2.COLOR_LAB2BGR)


def _sharpen(image: np.ndarray) -> np.ndarray:
    smooth = cv2.GaussianBlur(image, (0, 0), 2)
    return cv2.addWeighted(image, 2.0, smooth, -1.0, 0)


FILTERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "clahe": _clahe,
    "sharpen": _sharpen,
    "brighter": lambda image: cv2.convertScaleAbs(image, alpha=1.2),
    "flat": lambda image: cv2.convertScaleAbs(image, alpha=0.8, beta=12),
    "half": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "flip": lambda image: cv2.flip(image, 1),
    "turn": lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE),
}


@pytest.fixture
def altered() -> Callable[[Path, Path, str], Path]:
    """Writes a filtered picture as JPEG of quality 90, the same as in idrid_small."""

    def write(source: Path, target: Path, name: str) -> Path:
        image = FILTERS[name](cv2.imread(str(source)))
        cv2.imwrite(str(target), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
        return target

    return write
