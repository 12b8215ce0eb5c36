"""Measures statistics and quality of many pictures in parallel, through the audit's cache."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dr_ovo.audit.grade_signal.outline import OUTLINE_SIDE, disc_outline
from dr_ovo.audit.image_statistics import STATISTICS_SIDE, image_statistics
from dr_ovo.audit.measurement_cache import MeasurementCache
from dr_ovo.parallel import each_in_parallel
from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.photographs.image_decoding import decode_bytes, full_sides, read_bytes, room_for
from dr_ovo.photographs.quality import quality_of

VERSION = "1"  # increase when the same pictures would give other values
STATISTICS, QUALITY, OUTLINE = "statistics", "quality", "outline"
QUALITY_SIDE = 256  # pixels; larger JPEGs are decoded at reduced scale, at least 1.5 times this
QUALITY_FIELDS = ("score", "focus", "field", "exposure", "brightness")
SAVE_EVERY = 500  # files between two writes to the cache


def measure(
    kind: str, files: Mapping[Path, str], cache: Path | None, workers: int | None = None
) -> dict[Path, np.ndarray]:
    """The vector of each of `files` (path -> sha256): STATISTICS (S,) or QUALITY (5,).

    A file that can't be decoded is left out.
    """
    store = MeasurementCache(cache, VERSION)
    try:
        known = store.get(kind, sorted(set(files.values())))
        todo = list({sha: path for path, sha in files.items() if sha not in known}.values())
        fresh: dict[str, np.ndarray] = {}
        for path, vector in zip(
            todo, each_in_parallel(MEASURES[kind], todo, kind, workers), strict=True
        ):
            if vector is not None:
                fresh[files[path]] = vector
            if len(fresh) == SAVE_EVERY:
                store.put(kind, fresh)
                known |= fresh
                fresh = {}
        store.put(kind, fresh)
    finally:
        store.close()
    known |= fresh
    return {path: known[sha] for path, sha in files.items() if sha in known}


def _statistics(path: Path) -> np.ndarray | None:
    try:
        data = read_bytes(path)
        with room_for(data, STATISTICS_SIDE):
            image = decode_bytes(data, STATISTICS_SIDE)
            return np.array(list(image_statistics(data, image).values()), dtype=np.float64)
    except DamagedImage:
        return None


def _quality(path: Path) -> np.ndarray | None:
    """QUALITY_FIELDS: those of `Quality`, and the 99th percentile of the brightest channel."""
    try:
        data = read_bytes(path)
        with room_for(data, QUALITY_SIDE):
            image = decode_bytes(data, QUALITY_SIDE)
            found = quality_of(image)
            bright = float(np.percentile(image.max(axis=2), 99))
    except DamagedImage:
        return None
    values = (found.score, found.focus, found.field, found.exposure, bright)
    return np.array([math.nan if v is None else v for v in values], dtype=np.float64)


def _outline(path: Path) -> np.ndarray | None:
    """The frame's aspect (width / height), and the disc's width and height as shares of it."""
    try:
        data = read_bytes(path)
        with room_for(data, OUTLINE_SIDE):
            image = decode_bytes(data, OUTLINE_SIDE)
            height, width = full_sides(data, image)
            return np.array([width / height, *disc_outline(image)], dtype=np.float64)
    except DamagedImage:
        return None


MEASURES = {STATISTICS: _statistics, QUALITY: _quality, OUTLINE: _outline}
