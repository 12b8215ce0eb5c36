"""Image statistics that show how a photograph was processed, but not what it shows.

Colour, levels, sharpness, contrast and noise inside the disc, the level of its surround, and facts
from the file's header. They have no shapes and no positions of lesions: a classifier that grades
well on them grades the processing.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from dr_ovo.photographs.disc import crop_to_disc
from dr_ovo.photographs.image_decoding import JPEG_START, full_sides, jpeg_segments

STATISTICS_SIDE = 512  # pixels; larger JPEGs are decoded at reduced scale, at least 1.5 times this
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
HISTOGRAM_BINS = 8
BANDS = 5  # octaves of a Laplacian pyramid
DISC_SHARE = 0.92  # of the crop's sides: excludes the blurred rim of the disc
JPEG_TABLES = 0xDB
NO_TABLE = -1.0


@cache
def statistics_names() -> tuple[str, ...]:
    """The names of the statistics, in the order in which `image_statistics` gives them."""
    grey = np.full((64, 64, 3), 128, np.uint8)
    grey[16:48, 16:48] = 200
    return tuple(image_statistics(b"\0", grey))


def image_statistics(data: bytes, image: np.ndarray) -> dict[str, float]:
    """The statistics by name: the same names for every picture, all values finite.

    `image` (H, W, 3) uint8 RGB is the file content `data` decoded at STATISTICS_SIDE.
    """
    crop = crop_to_disc(image)
    disc = _disc(crop.shape[0], crop.shape[1])
    green = crop[..., 1].astype(np.float32)
    return {
        **_file(data, image),
        **_background(image),
        **_colour(crop, disc),
        **_levels(crop, disc),
        **_bands(green, disc),
        **_noise(green, disc),
        **_blocks(image),
    }


def _disc(height: int, width: int) -> np.ndarray:
    """(height, width) bool: an ellipse inside the crop."""
    y, x = np.ogrid[:height, :width]
    across = (2 * x + 1 - width) / width
    down = (2 * y + 1 - height) / height
    return np.asarray(across**2 + down**2 < DISC_SHARE**2)


def _file(data: bytes, image: np.ndarray) -> dict[str, float]:
    """Size, aspect ratio, bytes per pixel, sums of a JPEG's first two quantisation tables."""
    height, width = full_sides(data, image)
    tables = jpeg_table_sums(data)
    return {
        "log_height": float(np.log(height)),
        "log_width": float(np.log(width)),
        "aspect": width / height,
        "log_bytes_per_pixel": float(np.log(len(data) / (height * width))),
        "jpeg_luma_table": tables[0],
        "jpeg_chroma_table": tables[1],
    }


def jpeg_table_sums(data: bytes) -> tuple[float, float]:
    """Logarithms of the sums of the luminance and chrominance tables; -1 where there is none."""
    sums: dict[int, float] = {}
    for marker, at in jpeg_segments(data) if data.startswith(JPEG_START) else ():
        if marker != JPEG_TABLES:
            continue
        end = at - 2 + int.from_bytes(data[at - 2 : at], "big")
        while at + 65 <= end:  # a byte with precision and number, then 64 values of 8 or 16 bits
            wide, number = data[at] >> 4, data[at] & 15
            kind = ">u2" if wide else "u1"
            values = np.frombuffer(data, kind, count=64, offset=at + 1)
            sums[number] = float(np.log(max(1, int(values.astype(np.int64).sum()))))
            at += 1 + values.nbytes
    return sums.get(0, NO_TABLE), sums.get(1, NO_TABLE)


def _background(image: np.ndarray) -> dict[str, float]:
    """Level and standard deviation of the corners: black unless a filter raised them."""
    side = max(2, min(image.shape[:2]) // 20)
    ends = (slice(None, side), slice(-side, None))
    corners = np.concatenate(
        [image[rows, columns].reshape(-1, 3) for rows in ends for columns in ends]
    )
    levels = corners.astype(np.float32)
    return {
        "corner_level": float(np.log1p(np.median(levels))),
        "corner_mean": float(np.log1p(levels.mean())),
        "corner_spread": float(np.log1p(levels.std())),
        "corner_black": float((corners == 0).mean()),
    }


def _colour(crop: np.ndarray, disc: np.ndarray) -> dict[str, float]:
    """Distribution (see `_distribution`) of red, green, blue, lightness and saturation."""
    pixels = crop[disc]  # (n, 3)
    hsv = cv2.cvtColor(pixels[None], cv2.COLOR_RGB2HSV)[0]
    lab = cv2.cvtColor(pixels[None], cv2.COLOR_RGB2LAB)[0]
    channels = {
        "red": pixels[:, 0], "green": pixels[:, 1], "blue": pixels[:, 2],
        "lightness": lab[:, 0], "saturation": hsv[:, 1],
    }  # fmt: skip
    found: dict[str, float] = {}
    for name, values in channels.items():
        found |= {f"{name}_{what}": value for what, value in _distribution(values).items()}
    found["lab_a_mean"], found["lab_b_mean"] = float(lab[:, 1].mean()), float(lab[:, 2].mean())
    return found


def _distribution(values: np.ndarray) -> dict[str, float]:
    """Mean, standard deviation, percentiles and histogram of (n,) uint8 values."""
    shares = np.bincount(values, minlength=256) / len(values)
    levels = np.arange(256)
    mean = float(shares @ levels)
    below = np.cumsum(shares)
    bins = shares.reshape(HISTOGRAM_BINS, -1).sum(axis=1)
    return {
        "mean": mean,
        "spread": float(np.sqrt(shares @ (levels - mean) ** 2)),
        **{f"p{p}": float(np.searchsorted(below, p / 100 - 1e-9)) for p in PERCENTILES},
        **{f"bin{number}": float(np.sqrt(share)) for number, share in enumerate(bins)},
    }


def _levels(crop: np.ndarray, disc: np.ndarray) -> dict[str, float]:
    """Clipped pixels, and the gaps and peaks of a stretched histogram."""
    found = {}
    for number, name in enumerate(("red", "green", "blue")):
        counts = np.bincount(crop[..., number][disc], minlength=256).astype(np.float64)
        used = np.flatnonzero(counts > 0.0002 * counts.sum())
        span = slice(used[0], used[-1] + 1)
        smooth = np.convolve(counts, np.ones(5) / 5, mode="same")
        comb = np.abs(counts - smooth)[span].sum() / counts[span].sum()
        found[f"{name}_comb"] = float(np.log(comb + 1e-3))
        found[f"{name}_gaps"] = float((counts[span] == 0).mean())
        found[f"{name}_zero"] = float(counts[0] / counts.sum())
        found[f"{name}_full"] = float(counts[255] / counts.sum())
    return found


def _bands(green: np.ndarray, disc: np.ndarray) -> dict[str, float]:
    """Contrast by octave, from fine (sharpness) to coarse, and its steps between octaves."""
    energies, level = [], green
    mask: np.ndarray = disc.astype(np.uint8)
    for _ in range(BANDS):
        coarse = cv2.GaussianBlur(level, (5, 5), 1.0)
        inside = (level - coarse)[mask > 0]
        energies.append(float(np.log(inside.std() + 0.05)) if inside.size else 0.0)
        sides = (max(2, level.shape[1] // 2), max(2, level.shape[0] // 2))
        level = cv2.resize(coarse, sides, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask, sides, interpolation=cv2.INTER_NEAREST)
    steps = np.diff(energies)
    return {f"band{i}": e for i, e in enumerate(energies)} | {
        f"band_step{i}": float(s) for i, s in enumerate(steps)
    }


def _noise(green: np.ndarray, disc: np.ndarray) -> dict[str, float]:
    """Noise (median absolute deviation; Immerkaer 1996's mask), sharpness, and overshoot.

    Overshoot: sharpening makes second differences large relative to first differences.
    """
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    noise = np.abs(cv2.filter2D(green, -1, kernel))[disc]
    laplacian = cv2.Laplacian(green, cv2.CV_32F)[disc]
    gradient = np.hypot(cv2.Sobel(green, cv2.CV_32F, 1, 0), cv2.Sobel(green, cv2.CV_32F, 0, 1))[
        disc
    ]
    sharp, steep = float(np.log(laplacian.std() + 0.05)), float(np.log(gradient.mean() + 0.05))
    return {
        "noise_median": float(np.log(np.median(noise) + 0.5)),
        "noise_mean": float(np.log(noise.mean() + 0.05)),
        "sharpness": sharp,
        "gradient": steep,
        "overshoot": sharp - steep,
        "noise_to_gradient": float(np.log(noise.mean() + 0.05)) - steep,
    }


def _blocks(image: np.ndarray) -> dict[str, float]:
    """Steps across the borders of 8 x 8 blocks relative to other steps: earlier JPEG encoding."""
    green = image[..., 1].astype(np.float32)
    found = {}
    for axis, name in ((0, "rows"), (1, "columns")):
        steps = np.abs(np.diff(green, axis=axis)).mean(axis=1 - axis)
        place = np.arange(1, len(steps) + 1) % 8
        across, beside = steps[place == 0].mean(), steps[place != 0].mean()
        found[f"blocks_{name}"] = float(np.log((across + 0.05) / (beside + 0.05)))
    return found
