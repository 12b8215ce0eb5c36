"""Photographs whose lesions are known, each with networks that were not trained on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from dr_ovo.errors import UserError
from dr_ovo.grading.models import words_for
from dr_ovo.inference.ensemble import Ensemble, open_ensemble
from dr_ovo.results.folder import FOLDS_FILE
from dr_ovo.settings.command_line import parse_settings
from dr_ovo.training.data.fold_division import load_division

KINDS = ("microaneurysm", "haemorrhage", "hard exudate", "soft exudate")  # values 1 to 4 of a mask
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Subject:
    """A photograph with its grade, the kinds of its lesions by name as masks (H, W) bool over it,
    and the networks that grade it."""

    path: Path
    grade: int
    lesions: dict[str, np.ndarray]
    ensemble: Ensemble


def annotated(dataset: Path, masks: Path, results: Path) -> Iterator[Subject]:
    """The photographs of a dataset that have a mask PNG of the same name, with values as in KINDS:
    those of train and val by the member of a folder of `--folds` that did not see them, those of
    test by all members. Raises UserError where the folder is of something else."""
    division = load_division(results)
    if division is None:
        raise UserError(f"{results} has no {FOLDS_FILE}: train with --folds.")
    members = {k: _opened(results / f"fold_{k}") for k in range(1, division.folds + 1)}
    every = _opened(results)
    for path in sorted(dataset.glob("*/*/*")):
        mask_file = masks / f"{path.stem}.png"
        if not mask_file.is_file():
            continue
        sample = path.relative_to(dataset).as_posix()
        split, grade, _ = sample.split("/")
        if split != "test" and sample not in division.places:
            continue
        ensemble = every if split == "test" else members[division.places[sample][0]]
        mask = cv2.imread(str(mask_file), cv2.IMREAD_UNCHANGED)
        lesions = {kind: mask == value for value, kind in enumerate(KINDS, 1)}
        yield Subject(path, int(grade), lesions, ensemble)


def drawn(dataset: Path, results: Path) -> Iterator[Subject]:
    """The drawn photographs of test that have lesions."""
    ensemble = _opened(results)
    images = json.loads((dataset / "synthetic.json").read_text())["images"]
    for name, about in sorted(images.items()):
        if not name.startswith("test/") or not about["lesions"]:
            continue
        found: dict[str, np.ndarray] = {}
        for lesion in about["lesions"]:
            mask = found.setdefault(
                lesion["kind"].replace("_", " "), np.zeros((about["size"],) * 2, np.uint8)
            )
            middle = round(lesion["x"]), round(lesion["y"])
            cv2.circle(mask, middle, max(1, round(lesion["radius"])), 1, -1)
        lesions = {kind: mask > 0 for kind, mask in found.items()}
        yield Subject(dataset / name, about["grade"], lesions, ensemble)


def _opened(folder: Path) -> Ensemble:
    settings = parse_settings([*words_for(folder), "--device", "cpu"], "explanations")
    return open_ensemble(settings, CPU)
