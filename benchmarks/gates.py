#!/usr/bin/env python3
"""Counts what the two gates stop: photographs as they are and altered, other sets, other pictures.

    python -m benchmarks.gates --images ./idrid ./retinamnist.npz --altered
    python -m benchmarks.gates --images ./idrid --results ./results --dataset ./prepared

`--images`: folders of photographs, or .npz files of arrays of pictures, of which the share that is
not taken for a fundus is printed; `--altered`: of those of 64 pixels and more also after each
alteration of benchmarks/gate_pictures/altered.py. `--results` and `--dataset`: a trained network,
and its dataset; the share of its test pictures, and of the others, that is called unlike its
training set. Drawn pictures, and those that scikit-learn, matplotlib and scikit-image bring, are
the ordinary ones; where scikit-image is not installed, it says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.gate_pictures.altered import ALTERED, MIRRORED_AND_TURNED
from benchmarks.gate_pictures.canvas import disc
from benchmarks.gate_pictures.ordinary import LATER, drawn
from dr_ovo.dataset.image_files import IMAGE_SUFFIXES
from dr_ovo.errors import DONE, UserError, run
from dr_ovo.gates.fundus_check import check_fundus
from dr_ovo.gates.nearest_features import NearestFeatures
from dr_ovo.inference.trained_model import TrainedModel, open_network
from dr_ovo.inference.training_gate import open_gate, outputs_with_features
from dr_ovo.models.checkpoints.files import input_of
from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.results.folder import ResultsFolder

DECODED = 512  # pixels, at which photographs are at least decoded
SEEDS = 3  # pictures of each drawn kind
SMALL = 64  # pixels; smaller pictures are not altered
CROPS = 80  # of each of the photographs of scikit-learn and matplotlib
FEW_CROPS = 20  # of each of scikit-image's
SCIKIT_IMAGE = (
    "astronaut", "brick", "camera", "cat", "cell", "checkerboard", "clock", "coffee", "coins",
    "colorwheel", "grass", "gravel", "horse", "hubble_deep_field", "immunohistochemistry", "logo",
    "moon", "page", "rocket", "shepp_logan_phantom", "text",
)  # fmt: skip


def main() -> int:
    """Prints the shares."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", nargs="+", type=Path, default=[], metavar="FOLDER")
    parser.add_argument("--results", type=Path, metavar="FOLDER")
    parser.add_argument("--dataset", type=Path, metavar="FOLDER")
    parser.add_argument("--altered", action="store_true", help="alter photographs, too")
    parser.add_argument(
        "--seeds", type=int, default=SEEDS, help=f"draw so many pictures of each kind [{SEEDS}]"
    )
    parser.add_argument("--every", type=int, default=1, help="use every so many photographs [1]")
    args = parser.parse_args()
    if (args.results is None) != (args.dataset is None) or not (args.images or args.results):
        raise UserError("Expected --images, or --results and --dataset, or all three.")
    sets = {str(path): pictures_of(path)[:: args.every] for path in args.images}
    others = ordinary(args.seeds)
    _fundus_gate(sets, others, altered=args.altered)
    if args.results:
        _training_gate(args.results, args.dataset, sets | others)
    return DONE


def pictures_of(path: Path) -> list[np.ndarray]:
    """The pictures below a folder, or in the arrays of an .npz file whose names end in _images."""
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return [one for name in arrays if name.endswith("_images") for one in arrays[name]]
    files = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise UserError(f"{path} has no photographs.")
    return [decode_image(file, DECODED) for file in files]


def ordinary(seeds: int) -> dict[str, list[np.ndarray]]:
    """Pictures that are no photograph of a fundus, by kind."""
    found = {
        "drawn": [*drawn(seeds).values()],
        "drawn red things": [*drawn(seeds, LATER).values()],
    }
    scenes = [*_of_scikit_learn(), *_of_matplotlib()]
    found["scikit-learn's and matplotlib's"] = scenes
    found |= _parts(scenes, CROPS)
    if shown := [_of_scikit_image(name) for name in SCIKIT_IMAGE if _has_scikit_image()]:
        found["scikit-image's"] = shown
        found["its small faces and textures"] = [*_of_scikit_image("lfw_subset")]
        found |= _parts(shown, FEW_CROPS)
    else:
        print("scikit-image is not installed: its pictures are not counted")
    return found


def _parts(scenes: Sequence[np.ndarray], count: int) -> dict[str, list[np.ndarray]]:
    """So many square parts of each, and the same in a round frame."""
    parts = [part for scene in scenes for part in _crops(scene, count)]
    return {
        f"{count} parts of each": parts,
        f"the same {count} in a round frame": [disc(part, None) for part in parts],
    }


def _of_scikit_learn() -> list[np.ndarray]:
    from sklearn.datasets import load_sample_images

    return list(load_sample_images().images)


def _of_matplotlib() -> list[np.ndarray]:
    from matplotlib import cbook

    with cbook.get_sample_data("grace_hopper.jpg") as file:
        data = np.frombuffer(file.read(), np.uint8)
    return [cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)]


def _has_scikit_image() -> bool:
    return importlib.util.find_spec("skimage") is not None


def _of_scikit_image(name: str) -> np.ndarray:
    """One of the pictures that it brings, or many (n, h, w, 3); nothing is downloaded."""
    from skimage import data, img_as_ubyte

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of precision that is lost
        found = img_as_ubyte(getattr(data, name)())
    if found.shape[-1] not in (3, 4):
        found = np.repeat(found[..., None], 3, axis=-1)
    return np.ascontiguousarray(found[..., :3])


def _crops(picture: np.ndarray, count: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    for _ in range(count):
        side = int(rng.integers(60, min(picture.shape[:2])))
        top, left = (int(rng.integers(0, full - side + 1)) for full in picture.shape[:2])
        yield np.ascontiguousarray(picture[top : top + side, left : left + side])


def _fundus_gate(
    sets: dict[str, list[np.ndarray]], others: dict[str, list[np.ndarray]], *, altered: bool
) -> None:
    print("stopped as no photograph of a fundus")
    for name, pictures in sets.items():
        small = min(min(picture.shape[:2]) for picture in pictures) < SMALL
        kinds = ALTERED if altered and not small else {"untouched": ALTERED["untouched"]}
        for alteration, alter in kinds.items():
            _say(f"{name}: {alteration}", (_stopped(alter(picture)) for picture in pictures))
    for name, pictures in others.items():
        _say(name, (_stopped(picture) for picture in pictures))
    if _has_scikit_image():
        _say("scikit-image's retina, a fundus", [_stopped(_of_scikit_image("retina"))])


def _stopped(picture: np.ndarray) -> bool:
    return not check_fundus(picture).is_fundus


def _say(name: str, stopped: Iterable[bool]) -> None:
    found = np.fromiter(stopped, bool)
    print(f"  {name:60} {found.sum():5} of {len(found):5}  {found.mean():6.1%}", flush=True)


def _training_gate(results: Path, dataset: Path, sets: dict[str, list[np.ndarray]]) -> None:
    folder = ResultsFolder(results)
    network, meta, seals = open_network(folder, None)
    gate = open_gate(folder, seals)
    if gate.nearest is None:
        raise UserError(f"{results}: the gate is {gate.why_not}.")
    model = TrainedModel(network, meta, folder, seals)
    nearest = gate.nearest
    print(
        f"called unlike the training set, at p <= {nearest.level:.3f}: {len(nearest.features)} "
        f"train pictures, calibrated on {len(nearest.distances)} of {nearest.calibrated_on}"
    )
    test = pictures_of(dataset / "test")
    own = {"its own test": lambda image: image, **MIRRORED_AND_TURNED}
    for name, alter in own.items():
        _say(f"test: {name}", _unlike(model, nearest, [alter(picture) for picture in test]))
    for name, pictures in sets.items():
        _say(name, _unlike(model, nearest, pictures))


def _unlike(
    model: TrainedModel, nearest: NearestFeatures, pictures: list[np.ndarray]
) -> np.ndarray:
    """(N,) bool: which pictures are called unlike the training set."""
    _, preprocessing = input_of(model.meta)
    inputs = [preprocessing.apply(picture) for picture in pictures]
    batches = (
        (np.arange(start, start + len(part)), torch.from_numpy(np.stack(part)))
        for start in range(0, len(inputs), 32)
        if (part := inputs[start : start + 32])
    )
    outputs = outputs_with_features(model, batches, torch.device("cpu"))
    assert outputs is not None
    return nearest.p_values(outputs.features) <= nearest.level


if __name__ == "__main__":
    sys.exit(run(main))
