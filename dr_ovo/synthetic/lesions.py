"""Draws the lesions of the synthetic photographs; has their number and colour per ICDR grade.

The tables below are the only difference between grades, after Wilkinson et al., Ophthalmology 2003,
110(9):1677-1682 (severe: haemorrhages in four quadrants, venous beading, IRMA; proliferative: new
vessels, preretinal haemorrhage).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dr_ovo.synthetic.anatomy import VEIN, Anatomy, Vessel
from dr_ovo.synthetic.canvas import Paint, Shape, blob, stroke, wander

EDGE = 0.93  # lesions stay clear of the dark rim


@dataclass(frozen=True)
class Lesion:
    """One lesion: its shapes, and the circle (centre, radius) around them, in retina units."""

    kind: str
    shapes: list[Shape]
    centre: np.ndarray
    radius: float


# Minimum and maximum number of each kind, inclusive.
COUNTS: dict[int, dict[str, tuple[int, int]]] = {
    0: {},
    1: {"microaneurysm": (4, 10)},
    2: {"microaneurysm": (5, 14), "haemorrhage": (3, 9), "hard_exudate": (6, 28)},
    3: {
        "microaneurysm": (6, 16),
        "haemorrhage": (24, 44),
        "hard_exudate": (0, 20),
        "cotton_wool_spot": (3, 7),
        "venous_beading": (2, 3),
        "irma": (1, 3),
    },
    4: {
        "microaneurysm": (4, 14),
        "haemorrhage": (4, 16),
        "hard_exudate": (0, 16),
        "cotton_wool_spot": (0, 4),
        "new_vessels": (2, 4),
        "preretinal_bleeding": (0, 2),
    },
}
BLOOD = Paint(gain=(0.62, 0.34, 0.40), soft=0.003)
FINE_VESSELS = Paint(gain=(0.76, 0.44, 0.46))
PAINTS = {
    "cotton_wool_spot": Paint(gain=(0.30, 0.30, 0.30), light=(0.62, 0.56, 0.44), soft=0.014),
    "venous_beading": VEIN,
    "irma": FINE_VESSELS,
    "haemorrhage": BLOOD,
    "microaneurysm": BLOOD,
    "hard_exudate": Paint(gain=(0.20, 0.20, 0.20), light=(0.78, 0.66, 0.26)),
    "new_vessels": FINE_VESSELS,
    "preretinal_bleeding": Paint(gain=(0.60, 0.25, 0.28), soft=0.01),
}


def draw_lesions(grade: int, eye: Anatomy, rng: np.random.Generator) -> list[Lesion]:
    """The lesions of an eye of ICDR `grade` 0..4."""
    lesions = []
    for kind, (minimum, maximum) in COUNTS[grade].items():
        count = int(rng.integers(minimum, maximum + 1))
        lesions += [_circled(kind, shapes) for shapes in DRAWN[kind](count, eye, rng)]
    return lesions


def _circled(kind: str, shapes: list[Shape]) -> Lesion:
    points = np.concatenate([shape.outline for shape in shapes])
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    return Lesion(kind, shapes, centre, float(np.hypot(*(points - centre).T).max()))


def _visible(centre: np.ndarray, radius: float, eye: Anatomy) -> bool:
    return bool(np.hypot(*centre) + radius < EDGE and abs(centre[1]) + radius < eye.cut - 0.03)


def _free(centre: np.ndarray, radius: float, eye: Anatomy) -> bool:
    off_disc = np.hypot(*(centre - eye.optic_disc)) > eye.optic_radius + radius
    return bool(off_disc) and _visible(centre, radius, eye)


def _place(radius: float, quadrant: int, eye: Anatomy, rng: np.random.Generator) -> np.ndarray:
    """A point in the quadrant where a lesion of that radius is on the retina, off the disc."""
    while True:
        angle = (quadrant + rng.uniform()) * np.pi / 2
        centre = np.sqrt(rng.uniform()) * np.array([np.cos(angle), np.sin(angle)])
        if _free(centre, radius, eye):
            return centre


def _spots(
    sizes: tuple[float, float], rough: float, opacity: tuple[float, float]
) -> Callable[[int, Anatomy, np.random.Generator], list[list[Shape]]]:
    """Single spots, in each of the four quadrants in turn."""

    def draw(count: int, eye: Anatomy, rng: np.random.Generator) -> list[list[Shape]]:
        first, lesions = int(rng.integers(4)), []
        for number in range(count):
            # Squared: most spots are small.
            radius = sizes[0] + (sizes[1] - sizes[0]) * rng.uniform() ** 2
            centre = _place(radius, first + number, eye, rng)
            lesions.append([Shape(blob(centre, radius, rough, rng), rng.uniform(*opacity))])
        return lesions

    return draw


def _exudates(count: int, eye: Anatomy, rng: np.random.Generator) -> list[list[Shape]]:
    """Sharp yellow specks in one or two clusters near the macula."""
    middles = eye.fovea + rng.normal(0, 0.2, (2, 2))
    lesions: list[list[Shape]] = []
    while len(lesions) < count:
        radius = rng.uniform(0.008, 0.022)
        centre = middles[rng.integers(2)] + rng.normal(0, 0.09, 2)
        if _free(centre, radius, eye):
            lesions.append([Shape(blob(centre, radius, 0.6, rng), rng.uniform(0.6, 1.0))])
    return lesions


def _beading(count: int, eye: Anatomy, rng: np.random.Generator) -> list[list[Shape]]:
    """Segments of the two widest veins, swollen like beads on a string."""
    veins = sorted((v for v in eye.vessels if v.vein), key=lambda v: -v.widths[0])[:2]
    segments = [_beaded(vein, first) for vein in veins for first in (3, 9)]
    lesions = [_circled("venous_beading", [segment]) for segment in segments]
    visible = [one.shapes for one in lesions if _visible(one.centre, one.radius, eye)]
    return [visible[number] for number in rng.permutation(len(visible))[:count]]


def _beaded(vein: Vessel, first: int) -> Shape:
    line, widths = vein.points[first : first + 6], vein.widths[first : first + 6]
    fine, known = np.linspace(0, len(line) - 1, 32), np.arange(len(line))
    points = np.stack([np.interp(fine, known, axis) for axis in line.T], axis=1)
    swell = 1.45 + 0.55 * np.sin(np.linspace(0, 8 * np.pi, len(fine)))
    return Shape(stroke(points, np.interp(fine, known, widths) * swell))


def _tangle(
    centre: np.ndarray, radius: float, fronds: int, rng: np.random.Generator
) -> list[Shape]:
    """Fine curling vessels that leave `centre` and stay within about `radius`."""
    shapes = []
    for heading in rng.uniform(0, 2 * np.pi, fronds):
        curl = rng.choice([-1, 1]) * rng.uniform(2.5, 5.5)
        path = wander(centre, heading, curl, radius * rng.uniform(1.0, 1.8), rng, wiggle=0.5)
        widths = np.linspace(0.012, 0.007, len(path))
        shapes.append(Shape(stroke(path, widths), rng.uniform(0.7, 1.0)))
    return shapes


def _irma(count: int, eye: Anatomy, rng: np.random.Generator) -> list[list[Shape]]:
    first = int(rng.integers(4))
    return [_tangle(_place(0.1, first + number, eye, rng), 0.07, 3, rng) for number in range(count)]


def _new_vessels(count: int, eye: Anatomy, rng: np.random.Generator) -> list[list[Shape]]:
    """Tangles of loops; in half of the eyes the first is at the optic disc."""
    first, lesions = int(rng.integers(4)), []
    for number in range(count):
        radius = rng.uniform(0.11, 0.19)
        at_disc = number == 0 and rng.uniform() < 0.5
        elsewhere = _place(radius * 1.4, first + number, eye, rng)
        lesions.append(
            _tangle(eye.optic_disc if at_disc else elsewhere, radius, int(rng.integers(9, 15)), rng)
        )
    return lesions


def _preretinal(count: int, eye: Anatomy, rng: np.random.Generator) -> list[list[Shape]]:
    """Boat-shaped: blood that has settled below a level surface."""
    first, lesions = int(rng.integers(4)), []
    for number in range(count):
        width = rng.uniform(0.1, 0.2)
        depth = width * rng.uniform(0.5, 0.8)
        middle = _place(width, first + number, eye, rng)
        hull = np.linspace(0, np.pi, 24)
        lesions.append(
            [Shape(middle + np.stack([width * np.cos(hull), depth * np.sin(hull) ** 0.7], axis=1))]
        )
    return lesions


DRAWN: dict[str, Callable[[int, Anatomy, np.random.Generator], list[list[Shape]]]] = {
    "microaneurysm": _spots((0.009, 0.015), 0.15, (0.65, 1.0)),
    "haemorrhage": _spots((0.016, 0.048), 0.45, (0.7, 1.0)),
    "hard_exudate": _exudates,
    "cotton_wool_spot": _spots((0.035, 0.07), 0.6, (0.6, 0.9)),
    "venous_beading": _beading,
    "irma": _irma,
    "new_vessels": _new_vessels,
    "preretinal_bleeding": _preretinal,
}
