"""Measures how reliably copies of fundus photographs are found, and how long that takes.

    python benchmarks/near_duplicates.py --images FOLDER [--sample N] [--seed 42]

Plants altered copies of the photographs below FOLDER among all of them, one alteration at a time.
Prints how many were found, the lowest scores of copies, the highest scores of different
photographs, and the pairs among the original photographs that count as copies.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from benchmarks.alterations import ALTERATIONS, HARDER, Alteration, another_exposure
from dr_ovo.copies.candidate_registration import (
    MIN_ALIGNMENT_SCORE,
    CandidatePair,
    align_candidates,
    image_loader,
    register_pairs,
)
from dr_ovo.copies.candidate_search import find_candidates
from dr_ovo.copies.descriptor_cache import Described, describe_files
from dr_ovo.copies.near_duplicates import (
    MAX_RIM,
    MAX_TURN,
    MIN_SCORE,
    Pair,
    find_pairs,
    is_copy,
    too_small,
)
from dr_ovo.copies.registration import Registration
from dr_ovo.dataset.image_files import IMAGE_SUFFIXES
from dr_ovo.parallel import available_cores
from dr_ovo.photographs.damage import Damage
from dr_ovo.photographs.image_decoding import decode_image

SIDES = (28, 48, 64, 80, 96, 112, 128, 192, 256)
EXPOSURES = (
    (0.01, 0.0),
    (0.02, 0.0),
    (0.03, 0.0),
    (0.05, 0.0),
    (0.0, 0.5),
    (0.0, 1.0),
    (0.02, 1.0),
)
Result = TypeVar("Result")
ENTRIES = dict[Path, Described | Damage]


@dataclass(frozen=True)
class Fit:
    """Two files that were registered."""

    first: Path
    second: Path
    pair: CandidatePair
    result: Registration


def main() -> None:
    args = arguments()
    images = photographs(args.images)
    start = time.perf_counter()
    described = describe_files(images, None)
    seconds = time.perf_counter() - start
    images = [path for path in images if isinstance(described[path], Described)]
    print(f"{len(images)} photographs, described in {seconds:.1f} s on {available_cores()} cores")
    start = time.perf_counter()
    own = find_pairs(images, described)
    print(f"searched and compared in {time.perf_counter() - start:.1f} s")
    stages(images, described)
    print_pairs(images, own, args.images)
    if small := too_small(images, described):
        print(f"{len(small)} photographs are too small to be compared except for identity")
    twins = {frozenset((images[pair.first], images[pair.second])) for pair in own}
    rng = np.random.default_rng(args.seed)
    chosen = [images[i] for i in sorted(rng.permutation(len(images))[: args.sample or None])]
    with tempfile.TemporaryDirectory() as folder:
        recalls(images, described, chosen, twins, Path(folder))
        exposures(chosen[:100], Path(folder))
        sides(images, chosen[:100], Path(folder))


def stages(images: Sequence[Path], described: ENTRIES) -> None:
    """Prints the time of each stage after the descriptors are computed."""
    entries = [described[path] for path in images]
    descriptors = np.stack([e.descriptor for e in entries if isinstance(e, Described)])
    candidates, searching = timed(lambda: find_candidates(descriptors))
    pairs, aligning = timed(lambda: align_candidates(descriptors))
    with image_loader(images) as load:
        _, comparing = timed(lambda: register_pairs(pairs, load))
    print(
        f"  search {searching:.1f} s ({len(candidates)} candidates), alignment "
        f"{aligning - searching:.1f} s ({len(pairs)} left), registration {comparing:.1f} s"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--sample", type=int, default=0, help="photographs to alter (0: all)")
    parser.add_argument("--seed", type=int, default=42, help="which photographs are altered")
    args = parser.parse_args()
    if not args.images.is_dir():
        parser.error(f"--images {args.images}: there is no such folder")
    return args


def photographs(folder: Path) -> list[Path]:
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if len(found) < 2:
        raise SystemExit(f"error: {folder} has {len(found)} photographs; at least 2 are needed")
    return found


def print_pairs(paths: Sequence[Path], pairs: Iterable[Pair], root: Path) -> None:
    print("\nPairs among the photographs themselves")
    for pair in pairs:
        names = (str(paths[number].relative_to(root)) for number in (pair.first, pair.second))
        print(f"  {pair.score:.3f}  {'  '.join(names)}  ({pair.how})")


def write_altered(paths: Iterable[Path], folder: Path, alter: Alteration) -> dict[Path, Path]:
    """Writes altered photographs as PNG files: path -> the original photograph."""
    target_folder = Path(tempfile.mkdtemp(dir=folder))
    originals = {}
    for number, path in enumerate(paths):
        image = alter(decode_image(path, 4096))
        target = target_folder / f"{number:06}.png"
        cv2.imwrite(str(target), image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
        originals[target] = path
    return originals


def compare(paths: Sequence[Path], described: Mapping[Path, Described | Damage]) -> list[Fit]:
    """All candidate pairs among the files, registered."""
    entries = [described[path] for path in paths]
    descriptors = np.stack([e.descriptor for e in entries if isinstance(e, Described)])
    pairs = align_candidates(descriptors)
    with image_loader(paths) as load:
        results = register_pairs(pairs, load)
    return [
        Fit(paths[pair.first], paths[pair.second], pair, result)
        for pair, result in zip(pairs, results, strict=True)
    ]


def recalls(
    images: Sequence[Path],
    described: ENTRIES,
    chosen: Sequence[Path],
    twins: set[frozenset[Path]],
    folder: Path,
) -> None:
    """Prints one line per alteration: the worst figures of its copies and of different pictures."""
    print(
        f"\nCopies of {len(chosen)} photographs found among {len(images)} "
        f"(thresholds: alignment {MIN_ALIGNMENT_SCORE}, score {MIN_SCORE}, turn {MAX_TURN}, "
        f"rim {MAX_RIM})\n{'':30} recall  alignment  score                turn   rim    wrong"
    )
    wrong_fits: dict[str, Fit] = {}
    for name, alter in {"identical": None, **ALTERATIONS, **HARDER}.items():
        if alter is None:
            identical(images, described, chosen, folder)
            continue
        source = write_altered(chosen, folder, alter)
        entries = {**described, **describe_files(list(source), None)}
        fits = compare([*images, *source], entries)
        wrong = print_recall(name, fits, source, twins)
        wrong_fits |= {f"{fit.first} {fit.second}": fit for fit in wrong}
    print("\nHighest scores of different photographs")
    for fit in sorted(wrong_fits.values(), key=lambda fit: -fit.result.score)[:8]:
        print(
            f"  {fit.result.score:.3f}  turn {fit.result.turn:5.2f}  rim {fit.result.rim:.3f}  "
            f"alignment {fit.pair.alignment.score:.2f}  {fit.first.name}  {fit.second.name}"
        )


def identical(
    images: Sequence[Path], described: ENTRIES, chosen: Sequence[Path], folder: Path
) -> None:
    """Prints the recall on files that are identical byte for byte."""
    copies = []
    for number, path in enumerate(chosen):
        copies.append(folder / f"copy-{number}{path.suffix}")
        copies[-1].write_bytes(path.read_bytes())
    paths = [*images, *copies]
    pairs = find_pairs(paths, {**described, **describe_files(copies, None)})
    found = {pair.second for pair in pairs if pair.exact}
    recall = np.mean([number in found for number in range(len(images), len(paths))])
    print(f"{'identical file':30} {recall:6.3f}", flush=True)


def print_recall(
    name: str, fits: Iterable[Fit], source: Mapping[Path, Path], twins: set[frozenset[Path]]
) -> list[Fit]:
    """Prints the line of an alteration; returns the fits of different photographs."""
    own, wrong = {}, []
    for fit in fits:
        origins = frozenset(source.get(path, path) for path in (fit.first, fit.second))
        if len(origins) == 1:
            own[fit.second] = fit
        elif origins not in twins:
            wrong.append(fit)
    found = [fit for fit in own.values() if is_copy(fit.result)]
    scores = np.array([fit.result.score for fit in own.values()])
    low = np.quantile(scores, [0, 0.02, 0.5])
    print(
        f"{name:30} {len(found) / len(source):6.3f}  "
        f"{min(fit.pair.alignment.score for fit in own.values()):.2f} min   "
        f"{low[0]:.3f} min {low[1]:.3f} 2 %  {low[2]:.3f} median "
        f"{max(abs(fit.result.turn) for fit in found):5.2f}  "
        f"{max(fit.result.rim for fit in found):.3f}  "
        f"{sum(is_copy(fit.result) for fit in wrong):3}",
        flush=True,
    )
    return wrong


def exposures(chosen: Sequence[Path], folder: Path) -> None:
    """Prints how many second photographs of an eye, simulated by moving the retina behind a smaller
    aperture, count as copies. None should."""
    print(f"\nSecond exposures of {len(chosen)} eyes that count as copies")
    first = write_altered(chosen, folder, lambda image: another_exposure(image, 0, 0))
    copy_of = {path: copy for copy, path in first.items()}
    base = describe_files(list(first), None)
    for shift, turn in EXPOSURES:
        name = f"moved by {shift:.1%} of the disc, turned by {turn} degrees"
        second = write_altered(
            chosen, folder, lambda image, s=shift, t=turn: another_exposure(image, s, t)
        )
        fits = compare([*first, *second], {**base, **describe_files(list(second), None)})
        same = [f for f in fits if f.second in second and f.first == copy_of[second[f.second]]]
        taken = sum(is_copy(fit.result) for fit in same)
        rims = np.array([fit.result.rim for fit in same])
        print(
            f"  {name:52} {taken:3} of {len(chosen)}  ({len(same)} compared, "
            f"rim {rims.min():.3f} to {rims.max():.3f})",
            flush=True,
        )


def sides(images: Sequence[Path], chosen: Sequence[Path], folder: Path) -> None:
    """Prints recall and false pairs among small photographs, by size."""
    print(f"\nSmall photographs ({len(chosen)} altered by CLAHE, by a crop of 5 %, by JPEG 50)")
    trials = ("CLAHE 3.0", "cropped by 5 %", "JPEG quality 50")
    for side in SIDES:
        small = write_altered(images, folder, shrunk(side))
        base = describe_files(list(small), None)
        copies = {}
        for name in trials:
            altered = write_altered(chosen, folder, in_small(side, ALTERATIONS[name]))
            copies |= altered
        entries = {**base, **describe_files(list(copies), None)}
        fits = compare([*small, *copies], entries)
        origin = {**small, **copies}
        same = [fit for fit in fits if origin[fit.first] == origin[fit.second]]
        found = {fit.second for fit in same if is_copy(fit.result)} & copies.keys()
        taken = [
            fit for fit in fits if origin[fit.first] != origin[fit.second] and is_copy(fit.result)
        ]
        print(
            f"  {side:4} px  recall {len(found) / len(copies):.3f}  pairs of other files: "
            f"{len({frozenset((origin[f.first], origin[f.second])) for f in taken})}",
            flush=True,
        )


def shrunk(side: int) -> Alteration:
    """Resized to `side` px on the shorter side."""

    def alter(image: np.ndarray) -> np.ndarray:
        factor = side / min(image.shape[:2])
        return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)

    return alter


def in_small(side: int, alter: Alteration) -> Alteration:
    return lambda image: alter(shrunk(side)(image))


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


if __name__ == "__main__":
    main()
