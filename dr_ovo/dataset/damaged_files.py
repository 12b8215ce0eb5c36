"""Finds all damaged files of a dataset before training, and takes them out of the index."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.errors import UserError
from dr_ovo.photographs.damage import Damage
from dr_ovo.photographs.image_decoding import (
    JPEG_START,
    LONGEST_TAIL,
    PNG_START,
    DamagedImage,
    check_complete,
    decode_image,
)

# Up to this many files, each is decoded, which takes seconds. Beyond, only the first and last bytes
# are read unless the user asks for more: decoding half a million files would take hours.
DECODE_ALL_BELOW = 2000
HEADERS = 65536  # bytes at the start of a file that contain its headers
TIFF_STARTS = (b"II*\0", b"MM\0*")


def find_damage(index: DatasetIndex, *, decode: bool) -> list[Damage]:
    """All damaged files of the dataset; `decode`: decode every file, whatever their number."""
    paths = [path for split in index.splits.values() for path in split.paths]
    probe = _decode if decode or len(paths) <= DECODE_ALL_BELOW else _check_ends
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = [damage for damage in pool.map(probe, paths) if damage is not None]
    non_images = [
        Damage(path, "is not an image (.jpg .jpeg .png .tif .tiff)")
        for split in index.splits.values()
        for path in split.non_images
    ]
    return found + non_images


def without(index: DatasetIndex, damaged: Iterable[Damage]) -> DatasetIndex:
    """The index without the damaged files.

    Raises UserError where train or val loses a grade, or test its last image.
    """
    bad = {damage.path for damage in damaged}
    splits = {
        name: replace(
            split.take(np.array([i for i, p in enumerate(split.paths) if p not in bad], dtype=int)),
            non_images=(),
        )
        for name, split in index.splits.items()
    }
    clean = replace(index, splits=splits)
    emptied = [
        f"{name}/{grade}"
        for name, grades in clean.counts.items()
        for grade, count in grades.items()
        if count == 0 and (name != "test" or not len(splits[name]))
    ]
    if emptied:
        raise UserError(
            f"All images in {', '.join(emptied)} are damaged: none are left. Repair or replace "
            "them."
        )
    return clean


def _decode(path: Path) -> Damage | None:
    try:
        decode_image(path, size=64)
    except DamagedImage as error:
        return Damage(path, str(error))
    return None


def _check_ends(path: Path) -> Damage | None:
    """Damage that the first and last bytes of a file show."""
    try:
        with path.open("rb") as file:
            data = file.read(HEADERS)
            file.seek(max(HEADERS, path.stat().st_size - LONGEST_TAIL))
            data += file.read()
    except OSError as error:
        return Damage(path, f"can't be read: {error.strerror}")
    try:
        check_complete(data)
    except DamagedImage as error:
        return Damage(path, str(error))
    known = data.startswith((JPEG_START, PNG_START, *TIFF_STARTS))
    return None if known else _decode(path)
