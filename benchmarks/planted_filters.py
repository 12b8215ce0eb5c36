"""Measures how well the audit detects a filter applied to one grade alone, each grade in turn.

    python benchmarks/planted_filters.py --images ./idrid

Prints, for the untouched set and for each filter, the area under the ROC curve of the filtered
grade against the rest from image statistics alone; `STOP_AUC` in
`dr_ovo/audit/grade_signal/classifier.py` follows from it. Filtered pictures are re-encoded at
`--quality`, that of the other pictures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from dr_ovo.audit.audited_photographs import photographs_of_folder
from dr_ovo.audit.findings import Photograph
from dr_ovo.audit.grade_signal.classifier import STOP_AUC, grade_signal
from dr_ovo.audit.image_statistics import STATISTICS_SIDE, image_statistics
from dr_ovo.photographs.image_decoding import decode_bytes

Filter = Callable[[np.ndarray], np.ndarray]


def clahe(limit: float) -> Filter:
    """CLAHE on the lightness of LAB, 8 x 8 tiles."""

    def apply(image: np.ndarray) -> np.ndarray:
        lab = cv2.cvtColor(image, cv2.COLOR_BGR2LAB)
        equaliser = cv2.createCLAHE(limit, (8, 8))
        lab[..., 0] = equaliser.apply(np.ascontiguousarray(lab[..., 0]))
        return cv2.cvtColor(lab, cv2.COLOR_LAB2BGR)

    return apply


def contrast(factor: float) -> Filter:
    """Differences from the mean colour multiplied by `factor`."""

    def apply(image: np.ndarray) -> np.ndarray:
        mean = image.reshape(-1, 3).mean(axis=0)
        return np.clip((image - mean) * factor + mean, 0, 255).astype(np.uint8)

    return apply


def sharpen(amount: float) -> Filter:
    """Unsharp mask of 2 pixels."""
    return lambda image: cv2.addWeighted(
        image, 1 + amount, cv2.GaussianBlur(image, (0, 0), 2), -amount, 0
    )


def re_encoded(quality: int) -> Filter:
    """Encoded as JPEG once more."""

    def apply(image: np.ndarray) -> np.ndarray:
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return cv2.imdecode(data, cv2.IMREAD_COLOR)

    return apply


def halved(image: np.ndarray) -> np.ndarray:
    """Resized to half and back."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


FILTERS: dict[str, Filter] = {
    "re-encoded": lambda image: image,
    "CLAHE 3.0": clahe(3.0),
    "CLAHE 1.0": clahe(1.0),
    "brightness +20 %": lambda image: cv2.convertScaleAbs(image, alpha=1.2),
    "brightness -20 %": lambda image: cv2.convertScaleAbs(image, alpha=0.8),
    "brightness +10 %": lambda image: cv2.convertScaleAbs(image, alpha=1.1),
    "contrast +20 %": contrast(1.2),
    "contrast -20 %": contrast(0.8),
    "contrast +10 %": contrast(1.1),
    "sharpened .5": sharpen(0.5),
    "sharpened 1": sharpen(1.0),
    "blurred 1 px": lambda image: cv2.GaussianBlur(image, (0, 0), 1.0),
    "halved and enlarged": halved,
    "JPEG 50": re_encoded(50),
    "JPEG 75": re_encoded(75),
}


def statistics(path: Path, change: Filter | None, quality: int) -> list[float]:
    """The statistics of a picture, filtered and re-encoded if a filter is given."""
    data = path.read_bytes()
    if change is not None:
        image = change(cv2.imread(str(path)))
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    return list(image_statistics(data, decode_bytes(data, STATISTICS_SIDE)).values())


def measured(photographs: list[Photograph], change: Filter | None, quality: int) -> np.ndarray:
    """(N, S) statistics of all pictures under a filter."""
    with ThreadPoolExecutor() as pool:
        rows = pool.map(lambda p: statistics(p.path, change, quality), photographs)
        return np.array(list(rows))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="a dataset folder")
    parser.add_argument("--quality", type=int, default=90, help="of re-encoded JPEGs [90]")
    args = parser.parse_args()
    photographs, _ = photographs_of_folder(args.images)
    names = sorted({p.grade for p in photographs})
    grades = np.array([names.index(p.grade) for p in photographs])
    owners = [p.group or p.patient or p.file for p in photographs]
    groups = np.unique(owners, return_inverse=True)[1]
    plain = measured(photographs, None, args.quality)
    found = grade_signal(plain, grades, groups, len(names))
    print(f"{'grade':22}" + "".join(f"{name:>7}" for name in names) + f"   (stops at {STOP_AUC})")
    if found is None:
        sys.exit("too few pictures of every grade")
    print(f"{'untouched':22}" + "".join(f"{area:7.3f}" for area in found.aucs))
    for name, change in FILTERS.items():
        changed, areas = measured(photographs, change, args.quality), []
        for grade in range(len(names)):
            mixed = np.where((grades == grade)[:, None], changed, plain)
            signal = grade_signal(mixed, grades, groups, len(names))
            areas.append(np.nan if signal is None else signal.aucs[grade])
        print(f"{name:22}" + "".join(f"{area:7.3f}" for area in areas), flush=True)


if __name__ == "__main__":
    main()
