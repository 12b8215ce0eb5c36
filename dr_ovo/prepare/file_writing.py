"""Puts photographs into a dataset folder: hard links, copies, or shrunken JPEGs (quality)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2

from dr_ovo.decoded.processes.decoder import CRASHED
from dr_ovo.decoded.processes.file_workers import FileWorkers, open_workers
from dr_ovo.decoded.processes.process import errors_are_damage
from dr_ovo.files import atomic_path, atomic_write_bytes, flush, make_folder
from dr_ovo.parallel import in_parallel
from dr_ovo.photographs.content_check import judge
from dr_ovo.photographs.damage import Damage, DamagedImage
from dr_ovo.photographs.image_decoding import decode_bytes, read_bytes, room_for
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.prepare.file_names import SHRUNKEN_SUFFIX

JPEG_QUALITY = 95


def place_files(
    jobs: Sequence[tuple[Path, Path]],
    preprocessing: Preprocessing | None,
    max_megapixels: float | None = None,
) -> list[Damage]:
    """Links (or copies, across file systems) each (source, target), or writes a shrunken target.

    `max_megapixels`: judge each source under this limit before it is shrunk (None: they have been
    judged). Existing targets are left as they are. Returns the sources that can't be read as
    photographs.
    """
    todo = [(path, target) for path, target in jobs if not target.exists()]
    folders = {target.parent for _, target in jobs}
    for folder in folders:
        make_folder(folder)
    if preprocessing is None:
        in_parallel(_link, todo, "writing")
        for folder in folders:  # a manifest that lists a link must not outlive it
            flush(folder)
        return []
    with open_workers() as workers:
        shrink = partial(_shrink, workers, partial(_shrunken, preprocessing, max_megapixels))
        return [damage for damage in workers.each(shrink, todo, "writing") if damage is not None]


def _link(job: tuple[Path, Path]) -> None:
    path, target = job
    try:
        os.link(path.resolve(), target)
    except OSError:  # another file system, or one without links
        with atomic_path(target) as part:
            shutil.copy2(path, part)


def _shrink(
    workers: FileWorkers, work: Callable[[Path], bytes | str], job: tuple[Path, Path]
) -> Damage | None:
    path, target = job
    found = workers.do(work, path)
    if not isinstance(found, bytes):
        return Damage(path, found or CRASHED)
    atomic_write_bytes(target, found)
    return None


def _shrunken(
    preprocessing: Preprocessing, max_megapixels: float | None, path: Path
) -> bytes | str:
    """The content of the shrunken file, or the damage of the file."""
    try:
        data = read_bytes(path)
        with errors_are_damage():
            if max_megapixels is not None:
                verdict = judge(data, max_megapixels, probe=False)
                if verdict.damage:
                    return verdict.damage
            with room_for(data, preprocessing.size):
                image = preprocessing.apply(decode_bytes(data, preprocessing.size))
    except DamagedImage as error:
        return str(error)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, shrunken = cv2.imencode(SHRUNKEN_SUFFIX, bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return shrunken.tobytes()
