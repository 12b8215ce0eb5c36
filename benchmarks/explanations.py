"""How far maps of contributions can be trusted: scored on known lesions, and against controls.

python -m benchmarks.explanations --annotated DATASET MASKS RESULTS --output scores.json
python -m benchmarks.explanations --drawn DATASET RESULTS --output scores.json
python -m benchmarks.explanations --report scores.json ...

RESULTS of annotated photographs is a folder of `--folds`, so that none is scored by a network that
was trained on it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.map_scores.controls import centre_blob, darkness, with_shuffled_heads
from benchmarks.map_scores.measures import deletion_and_insertion, points_at, shares_on, widened
from benchmarks.map_scores.report import report
from benchmarks.map_scores.subjects import Subject, annotated, drawn
from dr_ovo.choices import MAP_STRIDES
from dr_ovo.errors import UserError, run
from dr_ovo.explanations.explained import Explainer, Explanation, rivals_of
from dr_ovo.explanations.questions import questions
from dr_ovo.inference.ensemble import Ensemble
from dr_ovo.inference.trained_model import logits_of
from dr_ovo.models.checkpoints.files import input_of
from dr_ovo.photographs.disc import disc_region
from dr_ovo.photographs.geometry import Box, Geometry
from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.tables import say

CPU = torch.device("cpu")
SHUFFLES = 2
WHOLE = Box(0, 0, 1, 1)
INPUT = Geometry(WHOLE, WHOLE)  # of a network's input as a photograph of its own
# The questions: why the grade, why not the most probable other one, why not grade 0.
ASKED = ("grade", "rival", "not_none")


def main(argv: Sequence[str]) -> int:
    """Scores, or reports; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.explanations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--annotated", nargs=3, type=Path, metavar=("DATASET", "MASKS", "RESULTS"))
    what.add_argument("--drawn", nargs=2, type=Path, metavar=("DATASET", "RESULTS"))
    what.add_argument("--report", nargs="+", type=Path, metavar="JSON")
    parser.add_argument("--output", type=Path, metavar="JSON")
    parser.add_argument("--most", type=int, default=40, help="photographs [40]")
    args = parser.parse_args(argv)
    if args.report:
        say(report([json.loads(path.read_text()) for path in args.report]))
        return 0
    if args.output is None:
        parser.error("--output is needed")
    subjects = annotated(*args.annotated) if args.annotated else drawn(*args.drawn)
    rows, explainers = [], Explainers()
    for subject in list(subjects)[: args.most]:
        rows.append(score(subject, explainers))
        print(f"{len(rows)}: {subject.path.name}", file=sys.stderr, flush=True)
    if not rows:
        raise UserError(
            "There is no photograph whose lesions are known: expected masks named like the "
            "photographs, or drawn photographs of test with lesions."
        )
    scored = {
        "of": "annotated photographs" if args.annotated else "drawn photographs",
        "architecture": rows[0]["architecture"],
        "size": rows[0]["size"],
        "photographs": rows,
    }
    args.output.write_text(json.dumps(scored, indent=1) + "\n")
    return 0


class Explainers:
    """The explainers of each ensemble, which measures once where the places of its maps lie."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int, int], tuple[Ensemble, Explainer]] = {}

    def of(self, ensemble: Ensemble, stride: int, shuffle: int = -1) -> Explainer:
        """That of maps of a stride; of heads that are shuffled by a seed from 0 on."""
        key = id(ensemble), stride, shuffle
        if key not in self._made:
            asked = ensemble if shuffle < 0 else with_shuffled_heads(ensemble, shuffle)
            self._made[key] = ensemble, Explainer(asked, CPU, stride)  # which keeps its id
        return self._made[key][1]


def score(subject: Subject, explainers: Explainers) -> dict[str, Any]:
    """The scores of all maps and controls of a photograph."""
    ensemble = subject.ensemble
    spec, preprocessing = input_of(ensemble.models[0].meta)
    decoded = decode_image(subject.path, preprocessing.size)
    geometry, image = preprocessing.geometry(decoded), preprocessing.apply(decoded)
    inside = disc_region(decoded).inside.astype(np.uint8)
    retina = geometry.to_input(inside, spec.size) > 0
    lesions = {
        kind: geometry.to_input(mask.astype(np.uint8), spec.size) > 0
        for kind, mask in subject.lesions.items()
    }
    every = np.logical_or.reduce(list(lesions.values()))
    grade, rival, graded = graded_as(ensemble, image, subject.grade)
    rivals = (rival, rival, 0)
    asked = coefficients(ensemble, grade, rivals)

    known: dict[bytes, np.ndarray] = {}  # the photograph itself is asked about with every map

    def answers(images: np.ndarray) -> np.ndarray:
        names = [sha256(one.tobytes()).digest() for one in images]
        new = [place for place, name in enumerate(names) if name not in known]
        if new:
            found = answered(ensemble, images[new]) @ asked.T
            known.update(zip((names[place] for place in new), found, strict=True))
        return np.stack([known[name] for name in names])

    maps: dict[str, np.ndarray] = {}  # of each name (3, S, S)
    for stride in MAP_STRIDES:
        own = explainers.of(ensemble, stride)
        maps[f"stride {stride}"] = drawn_maps(own, subject.path, grade, rivals)
    shuffled = [
        drawn_maps(explainers.of(ensemble, MAP_STRIDES[0], seed), subject.path, grade, rivals)
        for seed in range(SHUFFLES)
    ]
    maps |= {f"shuffled {number}": own for number, own in enumerate(shuffled)}
    maps["centre blob"] = np.stack([centre_blob(image)] * len(ASKED))
    maps["green darkness"] = np.stack([darkness(image, retina)] * len(ASKED))
    near = widened(every) & retina
    return {
        "file": subject.path.name,
        "architecture": ensemble.models[0].meta["architecture"],
        "size": spec.size,
        "grade": subject.grade,
        "predicted": graded,
        "area": float((every & retina).sum() / retina.sum()),
        "area_near": float(near.sum() / retina.sum()),
        "maps": {
            name: scores_of(own, every, lesions, retina, image, answers)
            for name, own in maps.items()
        },
    }


def scores_of(
    maps: np.ndarray,
    every: np.ndarray,
    lesions: dict[str, np.ndarray],
    retina: np.ndarray,
    image: np.ndarray,
    answers: Any,
) -> dict[str, Any]:
    """Of the maps (3, S, S) of ASKED."""
    found: dict[str, Any] = {}
    changed: dict[bytes, tuple[np.ndarray, np.ndarray]] = {}  # a control is the same for all
    for number, (question, values) in enumerate(zip(ASKED, maps, strict=True)):
        key = values.tobytes()
        if key not in changed:
            changed[key] = deletion_and_insertion(image, values, retina, answers)
        taken, given = changed[key]
        found[question] = {
            "points": points_at(values, every, retina),
            "any": shares_on(values, every, retina),
            **{kind: shares_on(values, mask, retina) for kind, mask in lesions.items()},
            "deletion": float(taken[number]),
            "insertion": float(given[number]),
        }
    return found


def graded_as(ensemble: Ensemble, image: np.ndarray, true: int) -> tuple[int, int, int]:
    """The grade that is explained, the most probable other one, and the one predicted. Where grade
    0 is predicted, the true grade is explained."""
    logits = [logits_of(model, [batch_of(image[None])], CPU) for model in ensemble.models]
    found = ensemble.grade([own[1] for own in logits if own is not None])
    grades, probabilities, _ = found
    graded = int(grades[0])
    grade = graded or true
    return grade, int(rivals_of(probabilities, np.array([grade]))[0]), graded


def coefficients(ensemble: Ensemble, grade: int, rivals: Sequence[int]) -> np.ndarray:
    """(3, K): those of ASKED."""
    head, names = ensemble.models[0].meta["head"], ensemble.class_names
    rows = [questions(head, names, grade, rival) for rival in rivals]
    return np.stack([rows[0][0].coefficients, rows[1][1].coefficients, rows[2][1].coefficients])


def drawn_maps(explainer: Explainer, path: Path, grade: int, rivals: Sequence[int]) -> np.ndarray:
    """(3, S, S): the maps of ASKED over the network's input."""
    found = list(explainer.explain([path] * 2, [grade] * 2, [rivals[1], rivals[2]]))
    size = input_of(explainer.models[0].meta)[0].size
    first, second = (over_input(one, size) for one in found if one is not None)
    return np.stack([*first, second[1]])


def over_input(explanation: Explanation, size: int) -> np.ndarray:
    """(2, S, S): the mean of the networks' maps, between the centres of their places."""
    parts = [
        np.stack([INPUT.to_photograph(one, size, size, seen.grid) for one in seen.values])
        for seen in explanation.networks
    ]
    return np.average(np.stack(parts), axis=0, weights=explanation.weights)


def answered(ensemble: Ensemble, images: np.ndarray) -> np.ndarray:
    """(n, K): the mean of the networks' logits on inputs (n, S, S, 3) uint8."""
    found = [logits_of(model, [batch_of(images)], CPU) for model in ensemble.models]
    logits = np.stack([own[1] for own in found if own is not None])
    return np.average(logits, axis=0, weights=ensemble.weights)


def batch_of(images: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
    """Inputs as a batch of those that networks take."""
    return np.arange(len(images)), torch.from_numpy(images)


if __name__ == "__main__":
    sys.exit(run(lambda: main(sys.argv[1:])))
