"""Draws the anatomy of a synthetic eye: optic disc, fovea and vessel tree, with their sizes.

Positions belong to the patient and are alike in both eyes; the finer branches differ between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dr_ovo.synthetic.canvas import Paint, Shape, stroke, wander

ARTERY = Paint(gain=(0.90, 0.62, 0.58))
VEIN = Paint(gain=(0.76, 0.52, 0.56))

# Heading at the optic disc and turn along the way (degrees, upwards and temporally), length and
# width: the arcades around the macula and the nasal vessels.
ARCADES = ((105, 85, 1.65, 1.0), (45, -25, 0.8, 0.62), (72, -15, 0.8, 0.45))
WIDTHS = {True: 0.038, False: 0.026}  # of veins, of arteries
BRANCHES = (4, 1)  # number per main vessel, and per branch of it
FOVEAL_ZONE = 0.15  # radius around the fovea without vessels


@dataclass(frozen=True)
class Vessel:
    """A vessel: its centre line `points` (N, 2) and full `widths` (N,), in retina units."""

    points: np.ndarray
    widths: np.ndarray
    vein: bool

    def shape(self) -> Shape:
        """The shape to paint; fine vessels are partly transparent."""
        return Shape(stroke(self.points, self.widths), min(1.0, 0.35 + 20 * self.widths[0]))


@dataclass(frozen=True)
class Anatomy:
    """Landmarks of one right eye in retina units; the camera cuts the field at |y| = `cut`."""

    cut: float
    optic_disc: np.ndarray
    optic_radius: float
    fovea: np.ndarray
    vessels: list[Vessel]


def draw_anatomy(patient: np.random.Generator, own: np.random.Generator) -> Anatomy:
    """An eye: landmarks and main vessels from the patient's generator, branches from its own."""
    cut = patient.choice([1.0, patient.uniform(0.8, 0.9)])
    disc = np.array([patient.uniform(0.52, 0.68), patient.uniform(-0.1, 0.08)])
    fovea = disc + np.array([-patient.uniform(0.6, 0.7), patient.uniform(0.03, 0.1)])
    optic_radius = patient.uniform(0.125, 0.155)
    trunks = _main_vessels(disc, fovea, patient)
    branches = [b for trunk in trunks for b in _branches(trunk, fovea, 0, own)]
    return Anatomy(cut, disc, optic_radius, fovea, trunks + branches)


def _main_vessels(disc: np.ndarray, fovea: np.ndarray, rng: np.random.Generator) -> list[Vessel]:
    vessels = []
    for side in (-1, 1):  # above, below
        for heading, turn, length, width in ARCADES:
            for vein, full in WIDTHS.items():
                start = disc + rng.uniform(-0.02, 0.02, 2)
                first = side * np.radians(heading + rng.uniform(-12, 12) + (6 if vein else -6))
                bend = side * np.radians(turn + rng.uniform(-10, 10))
                path = wander(start, first, bend, length * rng.uniform(0.9, 1.1), rng)
                vessels.append(_tapering(path, full * width, vein, fovea))
    return vessels


def _branches(
    parent: Vessel, fovea: np.ndarray, depth: int, rng: np.random.Generator
) -> list[Vessel]:
    """The branches of a vessel, recursively, alternating between its sides."""
    grown: list[Vessel] = []
    last = len(parent.points) - 2
    if depth == len(BRANCHES) or last < 6:
        return grown
    reach = float(np.hypot(*np.diff(parent.points, axis=0).T).sum())
    for number in range(BRANCHES[depth]):
        at = int(rng.integers(2, last))
        ahead = parent.points[at + 1] - parent.points[at]
        side = 1 if number % 2 else -1
        heading = np.arctan2(ahead[1], ahead[0]) + side * rng.uniform(0.45, 0.9)
        length = reach * (1 - at / last) * rng.uniform(0.4, 0.7) + 0.1
        path = wander(parent.points[at], heading, side * rng.uniform(-0.9, 0.2), length, rng)
        width = parent.widths[at] * rng.uniform(0.5, 0.75)
        branch = _tapering(path, width, parent.vein, fovea)
        grown += [branch, *_branches(branch, fovea, depth + 1, rng)]
    return grown


def _tapering(path: np.ndarray, width: float, vein: bool, fovea: np.ndarray) -> Vessel:
    """A vessel along `path` that ends where it would enter the foveal zone."""
    near = np.hypot(*(path - fovea).T) < FOVEAL_ZONE
    end = max(3, int(near.argmax())) if near.any() else len(path)
    widths = width * np.linspace(1, 0.25, len(path))
    return Vessel(path[:end], widths[:end], vein)
