"""Measures statistics and quality of many pictures in processes, through the audit's cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from dr_ovo.audit.grade_signal.outline import OUTLINE_SIDE, disc_outline
from dr_ovo.audit.image_statistics import STATISTICS_SIDE, image_statistics
from dr_ovo.audit.measurement_cache import MeasurementCache
from dr_ovo.decoded.processes.decoder import CRASHED
from dr_ovo.decoded.processes.file_workers import each_file
from dr_ovo.decoded.processes.process import errors_are_damage
from dr_ovo.errors import log
from dr_ovo.photographs.damage import Damage, DamagedImage, describe
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

    A file that can't be decoded is left out, with a warning.
    """
    damaged: list[Damage] = []
    store = MeasurementCache(cache, VERSION)
    try:
        known = store.get(kind, sorted(set(files.values())))
        todo = list({sha: path for path, sha in files.items() if sha not in known}.values())
        fresh: dict[str, np.ndarray] = {}
        measured = each_file(partial(_measured, MEASURES[kind]), todo, kind, workers)
        for path, found in zip(todo, measured, strict=True):
            if isinstance(found, np.ndarray):
                fresh[files[path]] = found
            else:
                damaged.append(Damage(path, found or CRASHED))
            if len(fresh) == SAVE_EVERY:
                store.put(kind, fresh)
                known |= fresh
                fresh = {}
        store.put(kind, fresh)
    finally:
        store.close()
    if damaged:
        log.warning("%d files are left out of the %s:\n%s", len(damaged), kind, describe(damaged))
    known |= fresh
    return {path: known[sha] for path, sha in files.items() if sha in known}


def _measured(measuring: Callable[[bytes], np.ndarray], path: Path) -> np.ndarray | str:
    """The vector of a file, or its damage."""
    try:
        data = read_bytes(path)
        with errors_are_damage():
            return measuring(data)
    except DamagedImage as error:
        return str(error)


def _statistics(data: bytes) -> np.ndarray:
    with room_for(data, STATISTICS_SIDE):
        image = decode_bytes(data, STATISTICS_SIDE)
        return np.array(list(image_statistics(data, image).values()), dtype=np.float64)


def _quality(data: bytes) -> np.ndarray:
    """QUALITY_FIELDS: those of `Quality`, and the 99th percentile of the brightest channel."""
    with room_for(data, QUALITY_SIDE):
        image = decode_bytes(data, QUALITY_SIDE)
        found = quality_of(image)
        bright = float(np.percentile(image.max(axis=2), 99))
    values = (found.score, found.focus, found.field, found.exposure, bright)
    return np.array([math.nan if v is None else v for v in values], dtype=np.float64)


def _outline(data: bytes) -> np.ndarray:
    """The frame's aspect (width / height), and the disc's width and height as shares of it."""
    with room_for(data, OUTLINE_SIDE):
        image = decode_bytes(data, OUTLINE_SIDE)
        height, width = full_sides(data, image)
        return np.array([width / height, *disc_outline(image)], dtype=np.float64)


MEASURES = {STATISTICS: _statistics, QUALITY: _quality, OUTLINE: _outline}
