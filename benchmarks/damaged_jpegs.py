#!/usr/bin/env python3
"""Measures how much damage inside JPEGs is found, and what the checks of files cost.

    python benchmarks/damaged_jpegs.py --dataset ./idrid

Prints, for baseline and progressive JPEGs, in how many of the first 200 photographs below FOLDER
zeroed bytes at a random place are found, and how many of all untouched ones are refused. Then the
time to read and decode a file as every epoch does, as a ratio to the same without today's checks,
and the time of the one judgement of each content.
"""

from __future__ import annotations

import argparse
import io
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dr_ovo.choices import MAX_MEGAPIXELS
from dr_ovo.dataset.image_files import image_files
from dr_ovo.photographs.content_check import JUDGE, judge
from dr_ovo.photographs.image_decoding import REDUCTIONS, decode_image, reduction

DAMAGED_FILES = 200
ZEROED = (4000, 500, 100, 1)  # bytes
HEADERS = 700  # bytes at the start of a file that stay whole
SIZE = 224  # pixels of the network's input
ROUNDS = 15
TAIL = 65536


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True, metavar="FOLDER")
    cv2.setNumThreads(1)
    paths = [p for p in image_files(parser.parse_args().dataset) if p.suffix.lower() != ".png"]
    baseline = [path.read_bytes() for path in paths]
    print(
        f"judge: {JUDGE}\n{'':12}" + "".join(f"{n:>8} B" for n in ZEROED) + "   refused untouched"
    )
    for name, files in (("baseline", baseline), ("progressive", map(progressive, baseline))):
        report(name, list(files))
    ratios = decoding_ratios(paths)
    low, high = min(ratios), max(ratios)
    print(
        f"reading and decoding at {SIZE} px, with today's checks to without: "
        f"{statistics.median(ratios):.3f} ({low:.3f} to {high:.3f} in {ROUNDS} rounds)"
    )
    start = time.perf_counter()
    for data in baseline:
        judge(data, MAX_MEGAPIXELS)
    print(f"judging a content once: {(time.perf_counter() - start) / len(baseline) * 1e3:.2f} ms")


def report(name: str, files: Sequence[bytes]) -> None:
    """One line: files found damaged for each number of zeroed bytes, untouched ones refused."""
    chance = random.Random(0)
    cells = []
    for count in ZEROED:
        damaged = [zeroed(data, count, chance) for data in files[:DAMAGED_FILES]]
        found = sum(bool(judge(data, MAX_MEGAPIXELS).damage) for data in damaged)
        cells.append(f"{found:>6}/{len(damaged)}")
    refused = sum(bool(judge(data, MAX_MEGAPIXELS).damage) for data in files)
    print(f"{name:12}{''.join(cells)}   {refused}/{len(files)}", flush=True)


def zeroed(data: bytes, count: int, chance: random.Random) -> bytes:
    """The content with `count` zero bytes somewhere behind its headers."""
    start = chance.randrange(HEADERS, len(data) - count - 10)
    return data[:start] + bytes(count) + data[start + count :]


def progressive(data: bytes) -> bytes:
    """The picture as a progressive JPEG."""
    file = io.BytesIO()
    Image.open(io.BytesIO(data)).save(file, "JPEG", progressive=True, quality=92)
    return file.getvalue()


def decoding_ratios(paths: Sequence[Path]) -> list[float]:
    """For each round over all files: time with the checks to time without them. Both take turns at
    each file, and take turns at being first."""
    ratios = []
    for number in range(ROUNDS):
        spent = {decode_image: 0.0, unchecked: 0.0}
        for position, path in enumerate(paths):
            order = [decode_image, unchecked]
            for decode in order if (number + position) % 2 else reversed(order):
                spent[decode] += seconds(decode, path)
        ratios.append(spent[decode_image] / spent[unchecked])
    return ratios


def unchecked(path: Path, size: int) -> np.ndarray:
    """As `decode_image`, with the search for an end marker as its only check."""
    data = path.read_bytes()
    if b"\xff\xd9" not in data[max(0, len(data) - TAIL) :]:
        raise ValueError(f"{path} is truncated")
    flags = REDUCTIONS[reduction(data, size)]
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), flags), cv2.COLOR_BGR2RGB)


def seconds(decode: Callable[[Path, int], np.ndarray], path: Path) -> float:
    """The time of one call."""
    start = time.perf_counter()
    decode(path, SIZE)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
