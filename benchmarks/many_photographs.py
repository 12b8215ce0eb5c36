#!/usr/bin/env python3
"""Measures what auditing many photographs costs: time to decode, first and second audit, memory.

    python benchmarks/many_photographs.py --images ./idrid --count 10000 --folder ./many

Fills FOLDER with COUNT different JPEGs of SIDE px: the photographs below IMAGES, randomly turned
and squeezed (a few come out nearly alike, and the audit reports them). Then reads and decodes all
of them, and audits them twice as training does, without and with a cache.
`--growth` adds the time of the search for copies for up to 100,000 pictures.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from dr_ovo.audit.audit import audit
from dr_ovo.audit.audited_photographs import photographs_of_folder
from dr_ovo.audit.findings import AuditReport
from dr_ovo.copies.candidate_search import find_candidates
from dr_ovo.copies.descriptor import DESCRIPTOR_SIDE
from dr_ovo.dataset.image_files import IMAGE_SUFFIXES
from dr_ovo.parallel import available_cores
from dr_ovo.photographs.image_decoding import decode_image

JPEG_QUALITY = 90
GROWTH = (5_000, 10_000, 20_000, 100_000)
Result = TypeVar("Result")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="source photographs")
    parser.add_argument("--count", type=int, default=10_000, help="number of photographs [10000]")
    parser.add_argument("--side", type=int, default=1024, help="their longer side in pixels [1024]")
    parser.add_argument(
        "--folder", type=Path, required=True, help="where they are written, and kept"
    )
    parser.add_argument("--growth", action="store_true", help="measure up to 100,000 descriptors")
    args = parser.parse_args()
    sources = sorted(p for p in args.images.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not sources:
        parser.error(f"--images {args.images}: has no photographs")
    paths = fill(args.folder, sources, args.count, args.side)
    with ThreadPoolExecutor(available_cores()) as pool:
        decode = partial(decode_image, size=DESCRIPTOR_SIDE)
        _, decoding = timed(lambda: sum(1 for _ in pool.map(decode, paths)))
    print(f"{len(paths)} photographs of {args.side} px, {available_cores()} cores")
    print(f"reading and decoding alone   {decoding:7.1f} s")
    cache = args.folder / ".audit"
    shutil.rmtree(cache, ignore_errors=True)
    for name in ("first", "second"):
        report, seconds = timed(lambda: audited(args.folder, cache))
        share = f", decoding {decoding / seconds:.0%} of it" if name == "first" else ""
        print(f"audit, {name} time           {seconds:7.1f} s{share}")
    print(f"findings: {report.counts()}")
    own, largest = (
        resource.getrusage(of).ru_maxrss / 2**20
        for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"peak memory                  {own:7.2f} GiB, {largest:.2f} of a process that decodes")
    sys.stdout.flush()
    if args.growth:
        growth(np.random.default_rng(0))


def audited(folder: Path, cache: Path) -> AuditReport:
    """The audit at the start of training; with many pictures it does not measure their quality."""
    photographs, _ = photographs_of_folder(folder)
    return audit(folder, photographs, cache, quality=False)


def fill(folder: Path, sources: list[Path], count: int, side: int) -> list[Path]:
    """The files; missing ones are created."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:06}.jpg" for number in range(count)]

    def make(number: int) -> None:
        if paths[number].is_file():
            return
        image = decode_image(sources[number % len(sources)], side)
        image = distorted(image, side, np.random.default_rng(number))
        cv2.imwrite(str(paths[number]), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])

    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(make, range(count)))
    return paths


def distorted(image: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) -> `side` px wide and high: squeezed along a random axis and turned about the
    centre; the photograph fills two thirds of the result."""
    height, width = image.shape[:2]
    axis, turn = rng.uniform(0, 2 * np.pi, 2)
    squeeze = np.diag([rng.uniform(0.6, 0.9), 1.0]) * 2 * side / 3 / min(height, width)
    linear = rotation(turn) @ squeeze @ rotation(axis)
    matrix = np.hstack([linear, np.full((2, 1), side / 2) - linear @ [[width / 2], [height / 2]]])
    return cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR)


def rotation(angle: float) -> np.ndarray:
    """The (2, 2) rotation by `angle` radians."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def growth(rng: np.random.Generator) -> None:
    """Prints the time of the search among random descriptors."""
    print("\nSearch among random descriptors")
    for number in GROWTH:
        descriptors = np.empty((number, DESCRIPTOR_SIDE**2), np.float16)
        for row in range(0, number, 1000):
            descriptors[row : row + 1000] = rng.normal(
                0, 1 / DESCRIPTOR_SIDE, (min(1000, number - row), DESCRIPTOR_SIDE**2)
            )
        _, seconds = timed(lambda found=descriptors: find_candidates(found, show_progress=True))
        print(f"  {number:7,}  {seconds:7.1f} s", flush=True)


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main()
