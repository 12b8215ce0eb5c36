"""Photographs put to the networks of an ensemble: what each place of them contributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from dr_ovo.batches.augmentation import normalise, to_unit_range
from dr_ovo.decoding.decoders import Fitted
from dr_ovo.device import without_tf32
from dr_ovo.errors import UserError
from dr_ovo.explanations.alignment import grid_of
from dr_ovo.explanations.contributions import Contributions, contributions
from dr_ovo.explanations.layers import LAST
from dr_ovo.explanations.questions import Question, questions
from dr_ovo.full_memory import Halving, at_once
from dr_ovo.inference.ensemble import Ensemble
from dr_ovo.inference.trained_model import TrainedModel
from dr_ovo.models.checkpoints.files import input_of
from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.photographs.geometry import Geometry, Grid
from dr_ovo.photographs.image_decoding import decode_image

QUESTIONS = 3  # random ones, by which it is measured where the places of a map lie
BATCH = 8  # photographs; halved where a GPU's memory is full
QUADRANTS = ("upper left", "upper right", "lower left", "lower right")


@dataclass(frozen=True)
class Seen:
    """By one network, of T questions: `values` (T, h, w), what each place of its input contributes,
    `outputs` (T,), its answers, where its input lies in the photograph, and the places in it."""

    values: np.ndarray
    outputs: np.ndarray
    geometry: Geometry
    is_exact: bool
    grid: Grid


@dataclass(frozen=True)
class Explanation:
    """Why an ensemble gives a photograph `grade`, and not `rival`: the T questions, and what each
    of its networks says, with its weight (M,). Numbers are weighted means over the networks."""

    path: Path
    grade: int
    rival: int
    questions: Sequence[Question]
    networks: Sequence[Seen]
    weights: np.ndarray

    @property
    def outputs(self) -> np.ndarray:
        """(T,): the sums of logits that answer the questions."""
        return self._mean([seen.outputs for seen in self.networks])

    @cached_property
    def quadrants(self) -> np.ndarray:
        """(T, 4): what each of QUADRANTS contributes; of a network's input, not of the retina."""
        return self._mean([_quadrants(seen.values, seen.grid) for seen in self.networks])

    @property
    def rest(self) -> np.ndarray:
        """(T,): what no place contributes, such as the head's bias."""
        return self.outputs - self.quadrants.sum(1)

    @property
    def is_exact(self) -> bool:
        """Whether the rest is a constant of the networks."""
        return all(seen.is_exact for seen in self.networks)

    def drawn(self, height: int, width: int) -> np.ndarray:
        """(T, height, width) float32 over a copy of the photograph of that size: what the answer
        would be, but for its rest, if the whole picture were like this place."""
        found = []
        for seen in self.networks:
            places = seen.values[0].size
            maps = [
                seen.geometry.to_photograph(places * one, height, width, seen.grid)
                for one in seen.values
            ]
            found.append(np.stack(maps))
        return self._mean(found).astype(np.float32)

    def _mean(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        return np.average(np.stack(parts), axis=0, weights=self.weights)


class Explainer:
    """Explains grades of photographs by the networks of an ensemble, on maps of which a step is
    `stride` pixels of their input. Raises UserError where the networks have different heads, and
    for an architecture of which there are no such maps."""

    def __init__(self, ensemble: Ensemble, device: torch.device, stride: int = LAST) -> None:
        heads = sorted({str(model.meta["head"]) for model in ensemble.models})
        if len(heads) > 1:
            raise UserError(
                f"The networks have different heads ({', '.join(heads)}), whose logits can't be "
                "added up. Explain them one by one: give the results folder of each."
            )
        self.ensemble, self.head, self.names = ensemble, heads[0], ensemble.class_names
        used = np.flatnonzero(ensemble.weights).tolist()
        self.models = [ensemble.models[place] for place in used]
        self.fitted = [ensemble.fitted[place] for place in used]
        self.weights = ensemble.weights[used] / ensemble.weights[used].sum()
        self.device, self.stride = device, stride
        self._halving = Halving("with maps", at_once(device))
        asked = [one.coefficients for one in questions(self.head, self.names, 1, 0)]
        self.adds_up = True  # whether maps and constants are the answers
        self._grids: list[Grid] = []
        for model, fitted in zip(self.models, self.fitted, strict=True):  # an error comes at once
            size = input_of(model.meta)[1].size
            black = np.zeros((1, size, size, 3), np.uint8)
            values, _, exact = self._answers(model, fitted, black, np.array([asked]))
            self.adds_up = self.adds_up and exact
            self._grids.append(self._grid(model, size, values.shape[-1]))

    def explain(
        self, paths: Sequence[Path], grades: Sequence[int], rivals: Sequence[int]
    ) -> Iterator[Explanation | None]:
        """The explanations of these grades, in order; None of a file that can't be read."""
        for start in range(0, len(paths), BATCH):
            rows = slice(start, start + BATCH)
            yield from self._batch(paths[rows], grades[rows], rivals[rows])

    def _grid(self, model: TrainedModel, size: int, count: int) -> Grid:
        """Where the `count` places a side of a network's maps lie."""
        branches = map(model.network.branch, model.network.branches)
        outputs = sum(branch.head.out_features for branch in branches)
        asked = torch.randn(QUESTIONS, outputs, generator=torch.Generator().manual_seed(0))

        def maps_of(images: torch.Tensor) -> np.ndarray:
            wanted = asked[None].repeat(len(images), 1, 1).to(self.device)
            parts = self._halving.parts(
                len(images),
                lambda rows: contributions(
                    model.network, images[rows].to(self.device), wanted[rows], stride=self.stride
                ),
            )
            return torch.cat([part.values for part in parts]).double().cpu().numpy()

        with without_tf32():
            return grid_of(maps_of, size, count, model.meta["tta_views"])

    def _batch(
        self, paths: Sequence[Path], grades: Sequence[int], rivals: Sequence[int]
    ) -> list[Explanation | None]:
        asked = [
            questions(self.head, self.names, grade, rival)
            for grade, rival in zip(grades, rivals, strict=True)
        ]
        seen: dict[int, list[Seen]] = {row: [] for row in range(len(paths))}
        for model, fitted, grid in zip(self.models, self.fitted, self._grids, strict=True):
            pictures = _read(model, paths)
            rows = [row for row in pictures if row in seen]
            seen = {row: seen[row] for row in rows}  # what one network can't read, none explains
            if not rows:
                break
            coefficients = np.stack([[one.coefficients for one in asked[row]] for row in rows])
            images = np.stack([pictures[row][0] for row in rows])
            values, outputs, exact = self._answers(model, fitted, images, coefficients)
            outputs = outputs - np.array([[one.offset for one in asked[row]] for row in rows])
            for place, row in enumerate(rows):
                own = Seen(values[place], outputs[place], pictures[row][1], exact, grid)
                seen[row].append(own)
        return [
            Explanation(path, grades[row], rivals[row], asked[row], seen[row], self.weights)
            if row in seen
            else None
            for row, path in enumerate(paths)
        ]

    def _answers(
        self, model: TrainedModel, fitted: Fitted, images: np.ndarray, coefficients: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, bool]:
        """Values (B, T, h, w) and outputs (B, T) of images (B, S, S, 3) uint8, and whether they
        add up but for constants."""
        spec, _ = input_of(model.meta)
        wanted = torch.from_numpy(coefficients).float().to(self.device)

        def compute(rows: slice) -> Contributions:
            whole = to_unit_range(torch.from_numpy(images[rows]), self.device)
            return contributions(
                model.network,
                normalise(whole, spec.mean, spec.std),
                wanted[rows],
                views=model.meta["tta_views"],
                stride=self.stride,
            )

        model.network.eval()
        with without_tf32():
            parts = self._halving.parts(len(images), compute)
        values, outputs = (
            torch.cat([getattr(part, name) for part in parts]).double().cpu().numpy()
            for name in ("values", "outputs")
        )
        if fitted.prior_shift is not None:
            outputs = outputs - coefficients @ np.array(fitted.prior_shift)
        return values, outputs, all(part.is_exact for part in parts)


def rivals_of(probabilities: np.ndarray, grades: np.ndarray) -> np.ndarray:
    """(n,): the most probable class, by probabilities (n, C), other than the grade (n,)."""
    others = np.array(probabilities, dtype=np.float64)
    others[np.arange(len(grades)), grades] = -1.0
    return others.argmax(axis=1)


def _read(model: TrainedModel, paths: Sequence[Path]) -> dict[int, tuple[np.ndarray, Geometry]]:
    """A network's inputs (S, S, 3) uint8, and where they lie, by place; without what can't be
    read."""
    _, preprocessing = input_of(model.meta)
    found = {}
    for row, path in enumerate(paths):
        try:
            image = decode_image(path, preprocessing.size)
        except DamagedImage:
            continue
        found[row] = preprocessing.apply(image), preprocessing.geometry(image)
    return found


def _quadrants(values: np.ndarray, grid: Grid) -> np.ndarray:
    """(T, 4): the sums of maps (T, h, w) over QUADRANTS; a place on the border counts for either
    side as much as it lies there."""
    upper = _first_half(values.shape[1], grid.y, grid.step)
    left = _first_half(values.shape[2], grid.x, grid.step)
    down, across = np.stack([upper, 1 - upper]), np.stack([left, 1 - left])
    return np.einsum("qh,thw,rw->tqr", down, values, across).reshape(len(values), 4)


def _first_half(count: int, first: float, step: float) -> np.ndarray:
    """(count,): how much of each place lies in the first half."""
    begins = first + step * (np.arange(count) - 0.5)
    return ((0.5 - begins) / step).clip(0, 1)
