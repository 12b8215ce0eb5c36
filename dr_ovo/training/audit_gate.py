"""The audit at the start of a training: a leaky dataset stops it, or marks all that comes of it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

from dr_ovo.audit.audit import audit
from dr_ovo.audit.audited_photographs import photographs_of_index
from dr_ovo.audit.findings import Photograph
from dr_ovo.audit.measurement_cache import borrowed, cache_folder
from dr_ovo.audit.text_report import leak_message
from dr_ovo.dataset.index import DatasetIndex, scan_dataset
from dr_ovo.errors import LeakError, UserError
from dr_ovo.models.pretrained_weights import bears_leaks
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.train_config import TrainConfig

LEAKY = "LEAKY data: its splits share pictures or patients, or filters tell the grade."
LEAKY_WEIGHTS = "LEAKY weights: what --pretrained_path names was trained on a dataset with leaks."
# The same limit as for decoding all files before training: seconds. `dr_ovo audit` judges any set.
QUALITY_BELOW = 2000


def audit_dataset(config: TrainConfig, index: DatasetIndex, output: Path) -> dict[str, Any]:
    """What config.json keeps of the audit: counts by kind, and a hash of the files.

    `output` takes the cache where the dataset is read-only. A dry run leaves no cache behind.
    Raises LeakError for leaks, unless `--allow_leaks`.
    """
    photographs = photographs_of_index(index)
    with _cache(config, index.root, output) as cache, _no_threads_of_opencv():
        report = audit(
            index.root,
            photographs,
            cache,
            synthetic=index.synthetic,
            quality=len(photographs) <= QUALITY_BELOW,
        )
    if report.leaks and not config.allow_leaks:
        raise LeakError(leak_message(report))
    return {
        "files": files_hash(photographs),
        "leaks": len(report.leaks),
        "leaky_weights": bears_leaks(config.pretrained_path),
        "findings": {f"{kind} ({severity})": n for severity, kind, n in report.counts()},
        "notes": list(report.notes),
    }


def held_audit(folder: ResultsFolder, index: DatasetIndex) -> dict[str, Any] | None:
    """What the folder's own training found in just these files; None where it must look anew."""
    if not folder.config.is_file():
        return None
    held = folder.read_config().get("audit")
    same = held is not None and held["files"] == files_hash(photographs_of_index(index))
    return held if same else None


def was_audited(folder: ResultsFolder, root: Path, grades: tuple[str, ...]) -> bool | None:
    """Whether the dataset at `root` is, file by file, what the folder's training audited.

    None where the folder does not tell.
    """
    held = folder.read_config().get("audit") if folder.config.is_file() else None
    if held is None:
        return None
    try:
        index = scan_dataset(root, grades)
    except UserError:  # such as one without train: no set that was trained on
        return False
    return bool(held["files"] == files_hash(photographs_of_index(index)))


def files_hash(photographs: list[Photograph]) -> str:
    """A hash over every file's place, size and time, those of test included."""
    digest = hashlib.sha256()
    for photograph in photographs:
        status = photograph.path.stat()
        digest.update(f"{photograph.file}\t{status.st_size}\t{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def audit_lines(held: dict[str, Any], root: Path) -> list[str]:
    """What the log says of an audit."""
    lines = [f"audit: {note}" for note in held["notes"]]
    if held["findings"]:
        found = ", ".join(f"{count} {kind}" for kind, count in held["findings"].items())
        lines.append(f"audit: {found}; with pictures: python -m dr_ovo audit {root}")
    marks = {LEAKY: held["leaks"], LEAKY_WEIGHTS: held.get("leaky_weights")}
    return [*lines, *(said for said, so in marks.items() if so)]


@contextlib.contextmanager
def _cache(config: TrainConfig, root: Path, output: Path) -> Iterator[Path | None]:
    place = cache_folder(root, output)
    if config.dry_run:
        with borrowed(place) as copy:
            yield copy
    else:
        yield place


@contextlib.contextmanager
def _no_threads_of_opencv() -> Iterator[None]:
    """OpenCV's own threads would not survive in the processes that read images later."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
