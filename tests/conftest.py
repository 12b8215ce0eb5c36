"""Data for tests of all packages: real photographs, and small drawn ones."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys

# Before torch is imported: a single thread gives the same bits on every machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings

from dr_ovo.decoded.processes import file_workers
from dr_ovo.decoded.processes.decoder import ThisProcess
from dr_ovo.safe_files import foreign
from dr_ovo.safe_files.foreign_process import rules_for
from dr_ovo.safe_files.torch_loading import read_torch
from tests.fixtures.prepared import Prepared

# Fixtures that tests of several packages share.
pytest_plugins = [f"tests.fixtures.{name}" for name in ("commands", "judging", "results")]

# Looking for cycles among all that imports and collection make would take a quarter of their time:
# `pytest_collection_finish` sets it aside.
gc.disable()
# Without bytecode every process that a test starts would compile the whole package again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A run in the background of a script ignores Ctrl-C, and one under nohup SIGHUP; and so would the
# processes that the tests start and send them to.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# No test times anything: on a busy machine any example may take long.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
SPLITS = ("train", "val", "test")

# The files that take longest, which begin first: one that began last would leave all processes but
# its own without work. `pytest --durations=50` shows what a test takes.
LONGEST = (
    "training/resume/test_state.py",
    "evaluation/test_external.py",
    "evaluation/test_evaluation.py",
    "prepare/test_pipeline.py",
    "test_options.py",
    "safe_files/test_foreign.py",
    "test_commands.py",
    "safe_files/test_hostile_files.py",
    "audit/test_audit.py",
    "distributed/test_stopped.py",
    "batches/test_loader.py",
    "models/weights/test_layouts.py",
    "training/retraining/test_pairs.py",
    "evaluation/test_folds.py",
    "models/test_checkpoint.py",
    "document/test_page_browser.py",
    "training/epochs/test_loop.py",
    "distributed/test_two_ranks.py",
    "explanations/test_explain.py",
    "grading/test_inference.py",
    "grading/test_predict.py",
    "faults/test_fuzz.py",
    "training/data/test_weights_history.py",
    "audit/test_prepared.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, then those with most tests."""
    first = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
    if gone := [path.name for path in first if not path.is_file()]:
        raise pytest.UsageError(f"LONGEST in tests/conftest.py names files that are gone: {gone}")
    count = Counter(item.path for item in items)
    place = {path: first.get(path, len(first)) for path in count}
    paths = sorted(count, key=lambda path: (place[path], -count[path]))
    order = {path: number for number, path in enumerate(paths)}
    items.sort(key=lambda item: order[item.path])


def pytest_collection_finish() -> None:
    """From here on only what tests make is searched for cycles."""
    gc.freeze()
    gc.enable()


# Folder, grades, images per grade -> the folder.
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


@pytest.fixture(scope="session", autouse=True)
def _not_flushed() -> Iterator[None]:
    """In this process files are not forced onto the disk, which waits for it and matters only where
    power fails. tests/test_files.py sees that it is asked for, and in which order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _judged_in_threads() -> Iterator[None]:
    """Commands inside the test's process judge and measure files there, since a process takes half
    a second to start. Tests of those processes use `in_processes` (tests/fixtures/judging.py)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_workers, "DecodingPool", lambda work, _workers: ThisProcess(work))
        yield


@pytest.fixture(autouse=True, scope="session")
def foreign_files_in_this_process() -> Iterator[None]:
    """Commands inside the test's process read checkpoints of other programs there, since a process
    takes seconds to load torch. Tests of those processes use `apart` (tests/safe_files)."""

    def read_here(path: Path, *, options: bool, checksums: bool) -> object:
        return read_torch(path, rules_for(options), checksums=checksums, mmap=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(foreign, "read_apart", read_here)
        yield


def real_data(name: str) -> Path:
    folder = SHARED_DATA / name
    if not folder.is_dir():
        pytest.skip(f"the real photographs are absent: {folder}")
    return folder


def odd_folder(parent: Path) -> Path:
    """A new folder with a name that is not UTF-8; skips where the file system has no such names."""
    folder = Path(os.fsdecode(os.fsencode(parent) + b"/caf\xe9 \xff"))
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"the file system refuses names that are not UTF-8: {error.strerror}")
    return folder


@pytest.fixture(scope="session")
def prepared() -> Iterator[Prepared]:
    """Starts scripts in processes of their own, which have torch and timm already."""
    process = Prepared()
    yield process
    process.close()


@pytest.fixture(scope="session")
def idrid_small() -> Path:
    """103 photographs of IDRiD at 320 px: train 58, val 20, test 25. Read only."""
    return real_data("idrid_small")


def drawn_eye(
    grade: int, rng: np.random.Generator, width: int = 96, height: int = 72
) -> np.ndarray:
    """(height, width, 3) uint8 BGR: a disc on black, redder and with more spots the higher the
    grade, so that a network can learn it."""
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
                grade_folder = folder / split / name
                grade_folder.mkdir(parents=True)
                for image in range(images):
                    rng = np.random.default_rng([number, grade, image])
                    eye = drawn_eye(grade, rng, width=height * 4 // 3, height=height)
                    cv2.imwrite(str(grade_folder / f"{split}-{name}-{image}.jpeg"), eye)
        return folder

    return draw


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory, draw_dataset: DrawDataset) -> Path:
    """Three drawn images (96x72 px) per grade and split, five grades. Read only: a test that
    changes files draws its own with `draw_dataset(tmp_path / "data")`."""
    return draw_dataset(tmp_path_factory.mktemp("tiny") / "data")
