"""Putting photographs into a dataset folder: hard links, copies, or shrunken pictures."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
from tqdm import tqdm

from dr_ovo.atomic import atomic_path, atomic_write_bytes
from dr_ovo.data.damage import Damage
from dr_ovo.data.photographs import Photograph
from dr_ovo.data.preprocess import DamagedImage, Preprocessing
from dr_ovo.errors import UserError

JPEG_QUALITY = 95
SHRUNKEN_SUFFIX = ".jpg"
Job = TypeVar("Job")
Result = TypeVar("Result")


def placed_names(photographs: Sequence[Photograph], *, shrunken: bool) -> list[str]:
    """(N,) file names: their own, with their folders in front where names repeat."""

    def suffixed(name: str) -> str:
        return str(Path(name).with_suffix(SHRUNKEN_SUFFIX)) if shrunken else name

    names = [suffixed(photograph.path.name) for photograph in photographs]
    # Some disks hold no two names that differ in case alone. Counted over all photographs: what
    # one is called must not depend on which others are dropped.
    often = Counter(name.lower() for name in names)
    return [
        suffixed(photograph.name).replace("/", "_") if often[name.lower()] > 1 else name
        for photograph, name in zip(photographs, names, strict=True)
    ]


def placed_ids(
    photographs: Sequence[Photograph], split: Mapping[int, str], *, shrunken: bool
) -> dict[int, str]:
    """Position -> `<split>/<grade>/<file name>`, see `placed_names`.

    Raises UserError for names that can't be told apart.
    """
    names = placed_names(photographs, shrunken=shrunken)
    ids: dict[int, str] = {}
    taken: dict[str, int] = {}
    for one, place in split.items():
        ids[one] = f"{place}/{photographs[one].grade}/{names[one]}"
        if taken.setdefault(ids[one].lower(), one) != one:
            other = photographs[taken[ids[one].lower()]].name
            raise UserError(
                f"{photographs[one].name} and {other} would both become {ids[one]}: rename one."
            )
    return ids


def place_files(
    jobs: Iterable[tuple[Path, Path]], preprocessing: Preprocessing | None
) -> list[Damage]:
    """Links (or copies, across file systems) each (source, target), or shrinks it to the target.

    Targets that stand are left alone. Returns the sources that can't be read as photographs.
    """
    todo = [(path, target) for path, target in jobs if not target.exists()]
    for folder in {target.parent for _, target in todo}:
        folder.mkdir(parents=True, exist_ok=True)
    work = partial(_shrink, preprocessing) if preprocessing else _link
    return [damage for damage in in_parallel(work, todo, "writing") if damage is not None]


def in_parallel(work: Callable[[Job], Result], jobs: Sequence[Job], title: str) -> list[Result]:
    """`work` of each job, in order, on all cores, with progress.

    In threads: decoding, resizing and hashing hold no lock, and Ctrl-C ends them at once.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            results = pool.map(work, jobs)
            return list(tqdm(results, title, total=len(jobs), unit="img", disable=None))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _link(job: tuple[Path, Path]) -> None:
    path, target = job
    try:
        os.link(path.resolve(), target)
    except OSError:  # another file system, or one without links
        with atomic_path(target) as part:
            shutil.copy2(path, part)


def _shrink(preprocessing: Preprocessing, job: tuple[Path, Path]) -> Damage | None:
    path, target = job
    try:
        image = preprocessing.load(path)
    except DamagedImage as error:
        return Damage(path, str(error))
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(SHRUNKEN_SUFFIX, bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    atomic_write_bytes(target, data.tobytes())
    return None
