"""Writes a dataset folder of synthetic fundus photographs (`python -m dr_ovo synthetic`).

The photographs are drawn: they show that the toolkit runs and learns, and say nothing about how
well a model grades real eyes.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from dr_ovo.errors import MachineError, UserError, disk_advice
from dr_ovo.json_files import read_json
from dr_ovo.synthetic.fundus import EYES, check_size_and_seed, draw_fundus

SCHEMA = 1
NOTE = "SYNTHETIC: these fundus photographs are drawn, not photographs of patients."
SPLITS = {"train": 10, "val": 3, "test": 4}  # relative numbers of patients
GRADE_SHARES = np.array([0.30, 0.15, 0.25, 0.15, 0.15])
MIN_PATIENTS = len(GRADE_SHARES)  # per split, so that each has every grade
UNEQUAL_EYES = 0.15  # chance that a patient's eyes differ by one grade
MAX_PATIENTS = 99_999
JPEG_QUALITY = 92
SUMMARY, UNFINISHED = "synthetic.json", "synthetic.json.partial"


def write_dataset(output: Path, patients: dict[str, int], size: int = 320, seed: int = 42) -> dict:
    """Draws `patients` per split, two eyes each, and returns the content of synthetic.json.

    Writes `<split>/<grade>/<patient>_<eye>.jpeg` of `size` x `size` pixels: at least two images of
    each of the five grades in every split, both eyes of a patient in the same split. The same
    arguments give the same bytes; a finished folder is not changed.
    Raises UserError for arguments out of range and for a folder with other content, MachineError
    where writing fails.
    """
    settings = _settings(patients, size, seed)
    finished = _claim(output, settings)
    if finished is not None:
        return finished
    images = _plan(patients, seed)
    try:
        for name, image in images.items():
            patient_seed = seed * (MAX_PATIENTS + 1) + int(image["patient"])
            own_seed = 2 * patient_seed + EYES.index(image["eye"])
            picture, lesions = draw_fundus(
                image["grade"], image["eye"], size, own_seed, patient_seed
            )
            image.update(size=size, lesions=lesions)
            _write_jpeg(output / name, picture)
        summary = {**settings, "images": images}
        (output / UNFINISHED).write_text(json.dumps(summary) + "\n")
        (output / UNFINISHED).replace(output / SUMMARY)
    except OSError as error:
        raise MachineError(
            f"{output}: could not write the photographs ({error.strerror}). "
            + disk_advice(error.errno)
        ) from error
    return summary


def _settings(patients: dict[str, int], size: int, seed: int) -> dict:
    """The settings that determine the photographs, as written to the summary."""
    check_size_and_seed(size, seed)
    for split, count in patients.items():
        if split not in SPLITS:
            raise UserError(f"split '{split}': expected one of {', '.join(SPLITS)}.")
        if count < MIN_PATIENTS:
            raise UserError(
                f"{count} patients for {split}: expected at least {MIN_PATIENTS}, so that every "
                "grade appears."
            )
    if not 0 < sum(patients.values()) <= MAX_PATIENTS:
        raise UserError(
            f"{sum(patients.values())} patients: expected at least {MIN_PATIENTS} for each of "
            f"{', '.join(SPLITS)} and at most {MAX_PATIENTS} in total."
        )
    return {
        "schema": SCHEMA,
        "synthetic": True,
        "note": NOTE,
        "seed": seed,
        "size": size,
        "patients": {split: patients[split] for split in SPLITS if split in patients},
    }


def _claim(output: Path, settings: dict) -> dict | None:
    """The summary of a finished `output`; None if the folder is now ready to be filled."""
    for name in (SUMMARY, UNFINISHED):
        found = _read(output / name)
        if found is not None and all(found.get(key) == settings[key] for key in settings):
            return found if name == SUMMARY else None
    try:
        output.mkdir(parents=True, exist_ok=True)
        existing = min(output.iterdir(), default=None)
        if existing is None:
            (output / UNFINISHED).write_text(json.dumps(settings) + "\n")
    except OSError as error:
        raise UserError(
            f"{output}: can't be used as a folder for the photographs ({error.strerror}). Choose "
            "another --output."
        ) from error
    if existing is not None:
        raise UserError(
            f"{output}: contains something other than the synthetic photographs of seed "
            f"{settings['seed']}, size {settings['size']}, patients {settings['patients']} "
            f"(such as {existing.name}). Choose an empty or a new --output."
        )
    return None


def _read(path: Path) -> dict | None:
    """The JSON object in `path`, or None where there is none."""
    try:
        return read_json(path, "")
    except UserError:
        return None


def _plan(patients: dict[str, int], seed: int) -> dict[str, dict]:
    """Path below the output folder -> grade, eye and patient of each photograph."""
    rng = np.random.default_rng(seed)
    # Shuffled, so that a patient's number reveals neither split nor grade.
    numbers = iter(rng.permutation(sum(patients.values())) + 1)
    images: dict[str, dict] = {}
    for split in (s for s in SPLITS if s in patients):
        for grades in _eye_grades(patients[split], rng):
            patient = f"{next(numbers):04d}"
            for eye, grade in zip(EYES, grades, strict=True):
                name = f"{split}/{grade}/{patient}_{eye}.jpeg"
                images[name] = {"grade": grade, "eye": eye, "patient": patient}
    return images


def _eye_grades(count: int, rng: np.random.Generator) -> list[list[int]]:
    """The grades of both eyes of `count` patients; equal for the first patient of each grade."""
    counts = np.ones(len(GRADE_SHARES), dtype=int)
    while counts.sum() < count:
        counts[np.argmax(GRADE_SHARES * count - counts)] += 1
    eyes = []
    for grade, patients in enumerate(counts):
        for number in range(patients):
            differs = number > 0 and rng.uniform() < UNEQUAL_EYES
            other = grade + int(rng.choice([-1, 1])) if differs else grade
            pair = [grade, min(max(other, 0), len(GRADE_SHARES) - 1)]
            eyes.append(rng.permutation(pair).tolist())
    return eyes


def _write_jpeg(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, encoded = cv2.imencode(".jpeg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)
    path.write_bytes(encoded.tobytes())


def split_patients(total: int) -> dict[str, int]:
    """`total` patients divided into train, val and test, about 10 : 3 : 4, at least five each."""
    if total < MIN_PATIENTS * len(SPLITS):
        raise UserError(
            f"{total} patients: expected at least {MIN_PATIENTS * len(SPLITS)}, so that every "
            "grade appears in each split."
        )
    parts = sum(SPLITS.values())
    counts = {s: max(MIN_PATIENTS, round(total * SPLITS[s] / parts)) for s in ("val", "test")}
    return {"train": total - sum(counts.values()), **counts}


def format_counts(summary: dict) -> str:
    """A table of the photographs by split and grade."""
    found = Counter((name.split("/")[0], i["grade"]) for name, i in summary["images"].items())
    grades = range(len(GRADE_SHARES))
    lines = ["split" + "".join(f"{f'grade {grade}':>9}" for grade in grades) + f"{'all':>7}"]
    for split in summary["patients"]:
        row = [found[split, grade] for grade in grades]
        lines.append(f"{split:5}" + "".join(f"{n:9}" for n in row) + f"{sum(row):7}")
    return "\n".join(lines)
