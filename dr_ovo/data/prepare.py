"""`prepare_dataset.py`: a dataset folder from raw photographs, and shrinking one.

Shrinking crops each photograph to the disc, pads it to a square and resizes it once, by the code
that training uses, so that every epoch decodes small pictures.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
from tqdm import tqdm

from dr_ovo.atomic import atomic_write_bytes
from dr_ovo.data.damage import Damage, describe
from dr_ovo.data.index import IMAGE_SUFFIXES
from dr_ovo.data.preprocess import DamagedImage, Preprocessing
from dr_ovo.data.splits import read_labels, split_patients, write_tree
from dr_ovo.errors import DONE, UserError

JPEG_QUALITY = 95
SMALLEST, LARGEST = 64, 4096


def shrink_tree(source: Path, output: Path, size: int) -> tuple[int, int, list[Damage]]:
    """Writes every image below `source` to the same place below `output`, `size` px square.

    Returns how many were written, how many already stood, and the damaged ones, which are left
    out. CLAHE is not applied: training does that, at its own size. Raises UserError for a source
    without images and for an output inside it.
    """
    if not SMALLEST <= size <= LARGEST:
        raise UserError(f"--preprocess {size}: expected {SMALLEST} to {LARGEST} pixels.")
    if not source.is_dir():
        raise UserError(f"--from_tree {source}: there is no such folder.")
    if output.resolve().is_relative_to(source.resolve()):
        raise UserError(f"--output {output} is inside {source}: choose a folder outside it.")
    jobs = _jobs(source, output)
    todo = [(path, target) for path, target in jobs if not target.exists()]
    damaged = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(partial(_shrink, Preprocessing(size, clahe=False)), todo, chunksize=8)
        for damage in tqdm(results, total=len(todo), unit="img", disable=None):
            if damage is not None:
                damaged.append(damage)
    return len(todo) - len(damaged), len(jobs) - len(todo), damaged


def prepare(args: argparse.Namespace) -> int:
    """Does what the command line asks for, and says what was done."""
    if args.from_tree:
        if args.preprocess is None or args.labels:
            raise UserError("--from_tree takes --preprocess SIZE (such as 512), and no --labels.")
        print(_report(*shrink_tree(args.from_tree, args.output, args.preprocess), args.output))
        return DONE
    if args.labels is None or args.preprocess is not None:
        raise UserError(
            "--images takes --labels CSV. To shrink, use --from_tree with --preprocess afterwards."
        )
    photographs = read_labels(args.images, args.labels)
    split = split_patients(photographs, args.val_fraction, args.test_fraction, args.seed)
    counts = write_tree(photographs, split, args.output)
    for name, grades in counts.items():
        shown = "  ".join(f"{grade}: {grades[grade]}" for grade in sorted(grades))
        print(f"{name:5} {sum(grades.values()):6} images  ({shown})")
    print(f"{len(split)} patients, none in two splits: {args.output}")
    return DONE


def _report(written: int, standing: int, damaged: list[Damage], output: Path) -> str:
    """What `shrink_tree` did, in words."""
    lines = [f"{written} written, {standing} stood already: {output}"]
    if damaged:
        lines.append(f"{len(damaged)} can't be read and are left out:\n{describe(damaged)}")
    return "\n".join(lines)


def _jobs(source: Path, output: Path) -> list[tuple[Path, Path]]:
    paths = sorted(p for p in source.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise UserError(f"--from_tree {source}: no images (.jpg .jpeg .png .tif .tiff) below it.")
    jobs: dict[Path, Path] = {}
    for path in paths:
        target = (output / path.relative_to(source)).with_suffix(".jpg")
        if target in jobs:
            raise UserError(f"{path} and {jobs[target]} would both become {target}: rename one.")
        jobs[target] = path
    return [(path, target) for target, path in jobs.items()]


def _shrink(preprocessing: Preprocessing, job: tuple[Path, Path]) -> Damage | None:
    path, target = job
    try:
        image = preprocessing.load(path)
    except DamagedImage as error:
        return Damage(path, str(error))
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(target, data.tobytes())
    return None
