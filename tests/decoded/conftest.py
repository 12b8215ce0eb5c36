"""Drawn photographs, a store of them, and how it is built."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from dr_ovo.decoded import build as building
from dr_ovo.decoded.build import build
from dr_ovo.decoded.places import store_folder
from dr_ovo.decoded.processes.decoder import ThisProcess
from dr_ovo.photographs.preprocessing import Preprocessing
from tests.conftest import drawn_eye

PREPROCESSING = Preprocessing(32)
ROW_BYTES = 32 * 32 * 3
COUNT = 4
Files = dict[Path, str]


def hashed(paths: list[Path]) -> Files:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="session")
def draw() -> Callable[..., Files]:
    """Draws photographs into a folder; returns the sha256 of each file."""

    def drawn(folder: Path, count: int = COUNT, first: int = 0, height: int = 72) -> Files:
        folder.mkdir(exist_ok=True)
        paths = [folder / f"eye-{number}.jpeg" for number in range(first, first + count)]
        for number, path in enumerate(paths, first):
            rng = np.random.default_rng(number)
            eye = drawn_eye(number % 5, rng, width=height * 4 // 3, height=height)
            cv2.imwrite(str(path), eye)
        return hashed(paths)

    return drawn


@pytest.fixture(scope="session")
def built(tmp_path_factory, draw) -> tuple[Path, Files]:
    """A cache folder and its photographs, small and large enough to measure quality. Read only."""
    folder = tmp_path_factory.mktemp("built")
    files = draw(folder / "photographs")
    files |= draw(folder / "photographs", count=1, first=COUNT, height=240)
    build(files, PREPROCESSING, folder / "cache")
    return folder / "cache", files


@pytest.fixture
def in_this_process(monkeypatch) -> None:
    """In place of processes, which take half a second to start: for tests of something else."""
    monkeypatch.setattr(building, "DecodingPool", lambda work, *_, **_limits: ThisProcess(work))


@pytest.fixture
def cache(built, tmp_path) -> Path:
    """A copy of the cache folder, to be changed."""
    return shutil.copytree(built[0], tmp_path / "cache")


@pytest.fixture
def store(cache) -> Path:
    return store_folder(cache, PREPROCESSING)
