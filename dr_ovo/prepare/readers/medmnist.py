"""Reads a MedMNIST `.npz`: pictures, grades, official splits (Yang et al., Sci Data 2023)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from dr_ovo.dataset.photograph import Dropped, Photograph
from dr_ovo.dataset.words import SPLITS
from dr_ovo.errors import UserError
from dr_ovo.files import atomic_write_bytes
from dr_ovo.prepare.readers.grade_scale import GRADED, MISSING, GradeScale
from dr_ovo.prepare.readers.scale_checks import TWO_CLASSES, check_one_to_five
from dr_ovo.safe_files.npz import Arrays, is_single_array, open_npz
from dr_ovo.safe_files.problems import RefusedFileError


def read_medmnist(
    file: Path, pictures: Path, scale: GradeScale
) -> tuple[list[Photograph], list[Dropped]]:
    """The photographs of `file`, with paths in the folder `pictures` (see `write_pictures`), and
    those without a grade by `scale`.

    Raises UserError for a file without pictures and labels of train, val and test, for labels that
    are not one grade of `scale` per picture, and for a set of two classes that `scale` does not
    name.
    """
    found: list[Photograph] = []
    dropped: list[Dropped] = []
    for split, labels in _labels(file, scale).items():
        for number, text in enumerate(labels):
            name, reading = _name(split, number), scale.read(text)
            source = f"{file.name}:{split}_images[{number}]"
            if reading.grade is None:
                dropped.append(Dropped(source, "ungraded", f"has '{text}' as label", split=split))
                continue
            found.append(
                Photograph(pictures / name, name, reading.grade, split=split, source=source)
            )
    if not scale.is_given and {photograph.grade for photograph in found} <= {0, 1}:
        raise UserError(
            f"--images {file}: its labels are only 0 and 1, so it has two classes, not ICDR's "
            f"grades. If these are two classes, mildest first, name them: {TWO_CLASSES}."
        )
    return found, dropped


def _labels(file: Path, scale: GradeScale) -> dict[str, list[str]]:
    """Split -> the label of each picture, as text. Raises UserError where one has no meaning."""
    texts: dict[str, list[str]] = {}
    problems = []
    with _open(file) as arrays:
        for split in SPLITS:
            count = _shape(file, arrays, split)[0]
            labels = _array(file, arrays, f"{split}_labels")
            whole = labels.ndim in (1, 2) and labels.size == count and _is_whole(labels)
            texts[split] = [str(int(label)) for label in labels.ravel()] if whole else []
            known = {text: scale.read(text).kind for text in set(texts[split])}
            if not whole or any(kind not in (GRADED, MISSING) for kind in known.values()):
                problems.append(
                    f"{file}: {split}_labels of shape {labels.shape} and kind {labels.dtype} are "
                    f"not one grade from 0 to {scale.size - 1} for each of {count} pictures. "
                    "Expected RetinaMNIST, or another set graded like it. Other classes are named "
                    "with --class_names, mildest first."
                )
    if problems:
        wheres = [f"{file} {s}_labels[{at}]" for s in SPLITS for at in range(len(texts[s]))]
        every = [text for split in SPLITS for text in texts[split]]
        check_one_to_five(wheres, every, list(map(scale.read, every)), scale)
        raise UserError(problems[0])
    return texts


def _is_whole(labels: np.ndarray) -> bool:
    """Whether labels are whole numbers, 1.0 too."""
    if np.issubdtype(labels.dtype, np.floating):
        return bool(np.all(np.isfinite(labels) & (labels == np.round(labels))))
    return np.issubdtype(labels.dtype, np.integer)


def write_pictures(file: Path, pictures: Path) -> None:
    """Writes each picture of `file` to `pictures` as a PNG; existing files are left as they are."""
    pictures.mkdir(parents=True, exist_ok=True)
    with _open(file) as arrays:
        for split in SPLITS:
            for number, image in enumerate(_array(file, arrays, f"{split}_images")):
                target = pictures / _name(split, number)
                if not target.exists():
                    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
                    atomic_write_bytes(target, cv2.imencode(".png", bgr)[1].tobytes())


def _name(split: str, number: int) -> str:
    return f"{split}_{number:05d}.png"


@contextmanager
def _open(file: Path) -> Iterator[Arrays]:
    wanted = {f"{split}_{what}" for split in SPLITS for what in ("images", "labels")}
    try:
        with open_npz(file) as arrays:
            found = list(arrays.parts)
            if wanted <= {*found}:
                yield arrays
                return
    except (RefusedFileError, OSError) as error:
        if not is_single_array(file):
            raise _damaged(file, error) from None
        found = ["a single array"]
    raise UserError(
        f"--images {file}: contains {', '.join(found)}. Expected {', '.join(sorted(wanted))}, as "
        "in MedMNIST."
    )


def _array(file: Path, arrays: Arrays, name: str) -> np.ndarray:
    """An array of the file; it is read only now, so damage shows here."""
    try:
        return arrays.read(name)
    except RefusedFileError as error:
        raise _damaged(file, error, f" {name}") from None


def _damaged(file: Path, error: Exception, part: str = "") -> UserError:
    return UserError(
        f"--images {file}:{part} can't be read as a MedMNIST .npz ({error}). Expected plain "
        "arrays of numbers; download the file again."
    )


def _shape(file: Path, arrays: Arrays, split: str) -> tuple[int, ...]:
    """(N, H, W) or (N, H, W, 3) of a split's pictures."""
    images = _array(file, arrays, f"{split}_images")
    if images.dtype != np.uint8 or not (
        images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)
    ):
        raise UserError(
            f"{file}: {split}_images are {images.dtype} of shape {images.shape}. Expected uint8, "
            "(N, H, W) or (N, H, W, 3)."
        )
    return images.shape
