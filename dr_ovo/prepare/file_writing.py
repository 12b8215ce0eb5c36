"""Puts photographs into a dataset folder: hard links, copies, or shrunken JPEGs (quality)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import cv2

from dr_ovo.files import atomic_path, atomic_write_bytes
from dr_ovo.parallel import in_parallel
from dr_ovo.photographs.content_check import damage_of, judge
from dr_ovo.photographs.damage import Damage, DamagedImage
from dr_ovo.photographs.image_decoding import decode_bytes, read_bytes, room_for
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.prepare.file_names import SHRUNKEN_SUFFIX

JPEG_QUALITY = 95


def place_files(
    jobs: Iterable[tuple[Path, Path]],
    preprocessing: Preprocessing | None,
    max_megapixels: float | None = None,
) -> list[Damage]:
    """Links (or copies, across file systems) each (source, target), or writes a shrunken target.

    `max_megapixels`: judge each source under this limit before it is shrunk (None: they have been
    judged). Existing targets are left as they are. Returns the sources that can't be read as
    photographs.
    """
    todo = [(path, target) for path, target in jobs if not target.exists()]
    for folder in {target.parent for _, target in todo}:
        folder.mkdir(parents=True, exist_ok=True)
    work = partial(_shrink, preprocessing, max_megapixels) if preprocessing else _link
    return [damage for damage in in_parallel(work, todo, "writing") if damage is not None]


def _link(job: tuple[Path, Path]) -> None:
    path, target = job
    try:
        os.link(path.resolve(), target)
    except OSError:  # another file system, or one without links
        with atomic_path(target) as part:
            shutil.copy2(path, part)


def _shrink(
    preprocessing: Preprocessing, max_megapixels: float | None, job: tuple[Path, Path]
) -> Damage | None:
    path, target = job
    try:
        data = read_bytes(path)
        if max_megapixels is not None:
            verdict = judge(data, max_megapixels, probe=False)
            if damage := damage_of(path, verdict):
                return damage
        with room_for(data, preprocessing.size):
            image = preprocessing.apply(decode_bytes(data, preprocessing.size))
    except DamagedImage as error:
        return Damage(path, str(error))
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, shrunken = cv2.imencode(SHRUNKEN_SUFFIX, bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    atomic_write_bytes(target, shrunken.tobytes())
    return None
