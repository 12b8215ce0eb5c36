"""Data that tests of every part share: real photographs, and small drawn ones."""

from __future__ import annotations

import logging
import os
import signal

# Before torch is imported: one thread gives the same bits on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

# A run begun in the background of a script ignores Ctrl-C, and so would the processes that the
# tests start and send it to.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
SPLITS = ("train", "val", "test")

# Folder, grades, images a grade -> the folder.
DrawDataset = Callable[..., Path]


@pytest.fixture(autouse=True)
def _log_closed() -> Iterator[None]:
    """A command run in this process, by a test or a fixture, may leave the toolkit's log open."""
    _close_log()
    yield
    _close_log()


def _close_log() -> None:
    log = logging.getLogger("dr_ovo")
    for handler in list(log.handlers):
        if not isinstance(handler, logging.NullHandler):
            log.removeHandler(handler)
            handler.close()
    log.propagate = True


def real_data(name: str) -> Path:
    folder = SHARED_DATA / name
    if not folder.is_dir():
        pytest.skip(f"the real photographs are absent: {folder}")
    return folder


@pytest.fixture(scope="session")
def idrid_small() -> Path:
    """103 photographs of IDRiD at 320 px: train 58, val 20, test 25. Read only."""
    return real_data("idrid_small")


def drawn_eye(
    grade: int, rng: np.random.Generator, width: int = 96, height: int = 72
) -> np.ndarray:
    """(height, width, 3) uint8 BGR: a disc on black, redder and more spotted the higher the grade,
    so that a network can learn it."""
    image = np.zeros((height, width, 3), np.uint8)
    middle, radius = (width // 2, height // 2), int(0.46 * height)
    cv2.circle(image, middle, radius, (40, 140 - 18 * grade, 160 + 12 * grade), -1)
    for _ in range(3 * grade):
        angle, reach = rng.uniform(0, 2 * np.pi), radius * rng.uniform(0, 0.8)
        spot = (int(middle[0] + reach * np.cos(angle)), int(middle[1] + reach * np.sin(angle)))
        cv2.circle(image, spot, max(1, height // 30), (20, 20, 70), -1)
    disc = image.any(axis=2, keepdims=True)
    return np.clip(image + disc * rng.normal(0, 5, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def draw_dataset() -> DrawDataset:
    """Draws `<folder>/<split>/<grade>/<split>-<grade>-<number>.jpeg`, the same at every call."""

    def draw(
        folder: Path, grades: int | tuple[str, ...] = 5, images: int = 3, height: int = 72
    ) -> Path:
        names = grades if isinstance(grades, tuple) else tuple(str(g) for g in range(grades))
        for number, split in enumerate(SPLITS):
            for grade, name in enumerate(names):
                place = folder / split / name
                place.mkdir(parents=True)
                for image in range(images):
                    rng = np.random.default_rng([number, grade, image])
                    eye = drawn_eye(grade, rng, width=height * 4 // 3, height=height)
                    cv2.imwrite(str(place / f"{split}-{name}-{image}.jpeg"), eye)
        return folder

    return draw


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory, draw_dataset: DrawDataset) -> Path:
    """Three drawn pictures (96x72 px) of each of five grades in each split. Read only: a test that
    changes files draws its own with `draw_dataset(tmp_path / "data")`."""
    return draw_dataset(tmp_path_factory.mktemp("tiny") / "data")
