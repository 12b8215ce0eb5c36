"""How the photographs of another data set differ from those of the training: quality, colours,
sharpness, noise and file, by the measurements of the audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dr_ovo.audit.image_statistics import statistics_names
from dr_ovo.audit.measurement_cache import MEASUREMENTS, cache_folder
from dr_ovo.audit.measurements import QUALITY, QUALITY_FIELDS, STATISTICS, measure
from dr_ovo.copies.content_hashes import UNREADABLE
from dr_ovo.dataset.index import DatasetIndex

SAMPLE = 2000  # photographs of a split that are measured at most
NORMAL_QUARTILES = 1.349  # interquartile range of a normal distribution, in standard deviations
ALIKE = "half of the photographs of the training have one value"
# Measurement -> what it is, and how it is shown.
SHOWN: dict[str, tuple[str, Callable[[float], float]]] = {
    "score": ("quality", float),
    "focus": ("quality: focus", float),
    "field": ("quality: field", float),
    "exposure": ("quality: exposure", float),
    "log_height": ("height in pixels", np.exp),
    "aspect": ("width by height", float),
    "log_bytes_per_pixel": ("bytes per pixel", np.exp),
    "red_mean": ("red, 0 to 255", float),
    "green_mean": ("green, 0 to 255", float),
    "blue_mean": ("blue, 0 to 255", float),
    "saturation_mean": ("saturation, 0 to 255", float),
    "lightness_spread": ("contrast of lightness", float),
    "sharpness": ("sharpness, logarithm", float),
    "noise_median": ("noise, logarithm", float),
}
NO_TEST = "{} has no test"
Sample = dict[str, np.ndarray]  # measurement -> (n,) values, without those that are unknown


def shift_block(
    external: Mapping[Path, str],
    root: Path,
    own: DatasetIndex | str,
    own_contents: Mapping[str, Mapping[Path, str]],
    output: Path,
) -> dict[str, Any]:
    """The block `shift`: of each measurement the medians, and how far the `external` files (path ->
    sha256) below `root` are from those of the own train and test (`own_contents`, by split), which
    `own` holds, or says why not. The largest shift comes first."""
    if isinstance(own, str):
        return {"value": None, "reason": own}
    if not own_contents["test"]:
        return {"value": None, "reason": NO_TEST.format(own.root)}
    there = measured(external, cache_folder(root, output))
    cache = cache_folder(own.root, output)
    train, test = (measured(own_contents[name], cache) for name in ("train", "test"))
    rows = [_row(name, there, train, test) for name in SHOWN]
    known = [row for row in rows if row is not None]
    known.sort(key=lambda row: -row["from_train"]["distance"])
    sets = {"external": external, **{name: own_contents[name] for name in ("train", "test")}}
    return {
        "n": {name: min(len(files), SAMPLE) for name, files in sets.items()},
        "measures": known,
    }


def measured(files: Mapping[Path, str], cache: Path | None) -> Sample:
    """The measurements of the files (path -> sha256), of a sample of SAMPLE where there are more:
    those of the smallest sha256. Files that can't be measured are left out, with a warning."""
    readable = [(sha256, path) for path, sha256 in files.items() if sha256 not in ("", UNREADABLE)]
    chosen = {path: sha256 for sha256, path in sorted(readable)[:SAMPLE]}
    store = cache / MEASUREMENTS if cache else None
    found: Sample = {}
    for kind, names in ((QUALITY, QUALITY_FIELDS), (STATISTICS, statistics_names())):
        vectors = list(measure(kind, chosen, store).values())
        columns = np.array(vectors).reshape(len(vectors), len(names)).T
        for name, values in zip(names, columns, strict=True):
            found[name] = values[np.isfinite(values)]
    return found


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """The Kolmogorov-Smirnov distance, 0 to 1, of two samples: the largest difference between the
    shares of both that lie below a value."""
    values = np.concatenate([first, second])
    below = [
        np.searchsorted(np.sort(sample), values, side="right") / len(sample)
        for sample in (first, second)
    ]
    return float(np.abs(below[0] - below[1]).max())


def standardised(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """The median of `first` minus that of `second`, in standard deviations of `second` by its
    quartiles; None, and the reason, where these are equal."""
    low, high = np.quantile(second, [0.25, 0.75])
    if low == high:
        return {"value": None, "reason": ALIKE}
    spread = (high - low) / NORMAL_QUARTILES
    return {"value": float((np.median(first) - np.median(second)) / spread)}


def _row(name: str, there: Sample, train: Sample, test: Sample) -> dict[str, Any] | None:
    """None for what is known of none of the photographs in one of the sets."""
    samples = {"external": there[name], "train": train[name], "test": test[name]}
    if not all(map(len, samples.values())):
        return None
    label, shown = SHOWN[name]
    pairs = {
        "from_train": ("external", "train"),
        "from_test": ("external", "test"),
        "test_from_train": ("test", "train"),
    }
    return {
        "measure": label,
        "medians": {key: float(shown(np.median(values))) for key, values in samples.items()},
        **{
            key: {
                "distance": distance(samples[one], samples[other]),
                "standardised": standardised(samples[one], samples[other]),
            }
            for key, (one, other) in pairs.items()
        },
    }
