#!/usr/bin/env python3
"""Measures the distribution of image quality, on photographs as they are and after damage.

    python benchmarks/quality.py --images ./idrid

Prints quantiles of the quality (0 to 1) of the photographs below FOLDER, and of the same damaged in
four ways, with the share that counts as ungradable; then the worst untouched photographs, for
inspection.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from dr_ovo.dataset.image_files import IMAGE_SUFFIXES
from dr_ovo.photographs.gradability import MIN_GRADABLE, ungradable
from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.photographs.quality import DISC_SIDE, quality_of

QUANTILES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
WORST = 5


def blurred(image: np.ndarray) -> np.ndarray:
    """Out of focus: a Gaussian of 1 % of the longer side."""
    return cv2.GaussianBlur(image, (0, 0), 0.01 * max(image.shape))


def dark(image: np.ndarray) -> np.ndarray:
    """A quarter of the light."""
    return (image // 4).astype(np.uint8)


def overexposed(image: np.ndarray) -> np.ndarray:
    """Three times the light."""
    return np.clip(image.astype(np.int16) * 3, 0, 255).astype(np.uint8)


def half_seen(image: np.ndarray) -> np.ndarray:
    """The right half black."""
    result = image.copy()
    result[:, image.shape[1] // 2 :] = 0
    return result


DAMAGED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "untouched": lambda image: image,
    "blurred": blurred,
    "a quarter of the light": dark,
    "three times the light": overexposed,
    "right half in the dark": half_seen,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs")
    folder = parser.parse_args().images
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        parser.error(f"--images {folder}: has no photographs")
    with ThreadPoolExecutor() as pool:
        rows = np.array(list(pool.map(qualities, paths)))  # (N, kinds of damage)
    print(f"{len(paths)} photographs; ungradable: quality below {MIN_GRADABLE}")
    print(f"{'quantile':24}" + "".join(f"{q:7.0%}" for q in QUANTILES) + "  ungradable")
    for name, values in zip(DAMAGED, rows.T, strict=True):
        known = values[~np.isnan(values)]
        shown = "".join(f"{v:7.2f}" for v in np.quantile(known, QUANTILES)) if len(known) else ""
        print(f"{name:24}{shown}  {ungradable(values).mean():10.1%}")
    print("lowest, untouched")
    for number in np.argsort(rows[:, 0])[:WORST]:
        print(f"  {rows[number, 0]:.2f}  {paths[number].relative_to(folder)}")


def qualities(path: Path) -> list[float]:
    """The quality of a photograph as it is, and after each kind of damage."""
    image = decode_image(path, DISC_SIDE)
    return [quality_of(damage(image)).score for damage in DAMAGED.values()]


if __name__ == "__main__":
    main()
