"""Draws one synthetic fundus photograph: retina, vessels, lesions, and camera effects.

Colour, light, blur and noise come from random streams that do not depend on the grade: two pictures
with the same seeds and different grades are equal away from their lesions.
"""

from __future__ import annotations

import cv2
import numpy as np

from dr_ovo.errors import UserError
from dr_ovo.synthetic.anatomy import ARTERY, VEIN, Anatomy, draw_anatomy
from dr_ovo.synthetic.canvas import Paint, View, blend, paint
from dr_ovo.synthetic.lesions import COUNTS, PAINTS, draw_lesions

EYES = ("left", "right")
SIZES = (64, 1024)  # minimum and maximum pixels per side

# Retinas from pale to strongly pigmented; a patient's retina is a mixture of them.
TONES = ((0.80, 0.50, 0.14), (0.66, 0.31, 0.10), (0.66, 0.40, 0.30), (0.60, 0.22, 0.05))
OPTIC_DISC = Paint(gain=(0, 0, 0), light=(1.0, 0.70, 0.32))
CUP = Paint(gain=(0, 0, 0), light=(1.0, 0.88, 0.56))
MACULAR = Paint(gain=(0.2, 0, 0.1))
HAZE = Paint(gain=(1, 1, 1), light=(0.6, 0.9, 0.8))
CLOUDS = ((4, 0.08), (12, 0.03), (60, 0.025))  # cells per side, depth
MACULA = ((0.09, (0.15, 0.35)), (0.006, (0.1, 0.3)))  # squared width, range of depth
BLACK = 0.01  # sensor reading without light


def draw_fundus(
    grade: int, eye: str, size: int, seed: int, patient_seed: int
) -> tuple[np.ndarray, list[dict]]:
    """A drawn photograph (size, size, 3), uint8 RGB, and its lesions.

    `grade` is the ICDR grade 0..4, `eye` "left" or "right" (the optic disc is on that side),
    `size` 64..1024 pixels. `patient_seed` determines what both eyes of a patient share, `seed` the
    rest; a left eye is the mirror image of the right eye with the same seeds. A lesion is
    `{"kind", "x", "y", "radius"}`: the circle around it in pixels, (0, 0) at the centre of the top
    left pixel. Raises UserError for an argument out of range.
    """
    _check(grade, eye, size, min(seed, patient_seed))
    patient, own, healing, camera = (
        np.random.default_rng(key)
        for key in ([patient_seed], [patient_seed, seed, 1], [patient_seed, seed, 2], [seed, 3])
    )
    radius = size * patient.uniform(0.455, 0.49)
    x, y = (size - 1) / 2 + size * patient.uniform(-0.008, 0.008, 2)
    view = View(size, (float(x), float(y)), float(radius))
    anatomy = draw_anatomy(patient, own)
    lesions = draw_lesions(grade, anatomy, healing)
    picture = _retina(view, anatomy, patient, own)
    for vein, how in ((True, VEIN), (False, ARTERY)):
        paint(picture, view, [v.shape() for v in anatomy.vessels if v.vein == vein], how)
    for kind, how in PAINTS.items():
        shapes = [shape for lesion in lesions if lesion.kind == kind for shape in lesion.shapes]
        if shapes:
            paint(picture, view, shapes, how)
    taken = _photographed(picture, view, anatomy.cut, camera)
    found = [_record(lesion.kind, view, lesion.centre, lesion.radius, eye) for lesion in lesions]
    return (np.ascontiguousarray(taken[:, ::-1]) if eye == "left" else taken), found


def _check(grade: int, eye: str, size: int, lowest_seed: int) -> None:
    if grade not in COUNTS:
        raise UserError(f"grade {grade}: expected one of {', '.join(map(str, COUNTS))}.")
    if eye not in EYES:
        raise UserError(f"eye '{eye}': expected {' or '.join(EYES)}.")
    check_size_and_seed(size, lowest_seed)


def check_size_and_seed(size: int, seed: int) -> None:
    """Raises UserError for a size or seed out of range."""
    if not SIZES[0] <= size <= SIZES[1]:
        raise UserError(f"size {size}: expected {SIZES[0]} to {SIZES[1]} pixels.")
    if seed < 0:
        raise UserError(f"seed {seed}: expected 0 or more.")


def _record(kind: str, view: View, centre: np.ndarray, radius: float, eye: str) -> dict:
    x, y = view.pixels(centre)
    across = view.size - 1 - x if eye == "left" else x
    return {
        "kind": kind,
        "x": round(float(across), 1),
        "y": round(float(y), 1),
        "radius": round(radius * view.radius, 1),
    }


def _retina(
    view: View, eye: Anatomy, patient: np.random.Generator, own: np.random.Generator
) -> np.ndarray:
    """The retina without vessels, (3, size, size) float32: colour, light, macula, optic disc."""
    x, y = view.grid()
    lit_x, lit_y = own.uniform(-0.25, 0.25, 2)
    falloff = own.uniform(0.15, 0.4)
    light = (1 - falloff * (x - lit_x) ** 2) - falloff * (y - lit_y) ** 2
    for cells, depth in CLOUDS:
        light += _cloud(view.size, cells, depth, own)
    tone = patient.dirichlet(np.full(len(TONES), 0.6)) @ TONES
    hue = [1 + _cloud(view.size, 5, 0.03, own) for _ in tone]
    picture = np.stack([t * light * h for t, h in zip(tone, hue, strict=True)])
    across, down = x - eye.fovea[0], y - eye.fovea[1]
    for width, depths in MACULA:
        dark = patient.uniform(*depths) * np.exp(-(across**2) / width) * np.exp(-(down**2) / width)
        blend(picture, dark, MACULAR)
    rim = np.hypot(x, y) ** 6 * patient.uniform(0, 0.12)
    blend(picture, rim, HAZE)
    _optic_disc(picture, view, eye, patient)
    return picture


def _cloud(size: int, cells: int, depth: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth random variation (size, size), float32, with standard deviation `depth`."""
    coarse = depth * rng.standard_normal((cells, cells), dtype=np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def _optic_disc(picture: np.ndarray, view: View, eye: Anatomy, rng: np.random.Generator) -> None:
    """Paints the bright optic disc with its paler cup and the glow around it, in place."""
    x, y = view.grid()
    across = (x - eye.optic_disc[0]) / (eye.optic_radius * rng.uniform(0.85, 0.97))
    reach = np.hypot(across, (y - eye.optic_disc[1]) / eye.optic_radius)
    cup, strength = rng.uniform(0.3, 0.6), rng.uniform(0.6, 0.85)
    blend(picture, 0.12 * np.exp(-0.3 * reach**2), OPTIC_DISC)
    blend(picture, strength * _step(1 - reach, 0.1), OPTIC_DISC)
    blend(picture, strength * _step(cup - reach, 0.15), CUP)


def _step(inside: np.ndarray, edge: float) -> np.ndarray:
    """1 where `inside` is positive, else 0, with a linear ramp of `edge` on either side of 0."""
    return np.clip(inside / (2 * edge) + 0.5, 0, 1)


def _photographed(
    picture: np.ndarray, view: View, cut: float, rng: np.random.Generator
) -> np.ndarray:
    """(size, size, 3) uint8 with exposure, white balance, blur, circular field and sensor noise."""
    x, y = view.grid()
    edge = 1 / view.radius
    field = _step(1 - np.hypot(x, y), edge) * _step(cut - np.abs(y), edge)
    gains = rng.uniform(0.75, 1.15) * rng.uniform(0.94, 1.06, 3)
    softness = view.size / 320 * rng.uniform(0.35, 0.85)
    grain = rng.uniform(0.006, 0.02) * (0.25 + 0.75 * field)  # noisier where there is light
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    planes = []
    for plane, gain, own_noise in zip(picture, gains, noise, strict=True):
        light = np.clip(float(gain) * cv2.GaussianBlur(plane, (0, 0), softness), 0, 1)
        seen = light * field + grain * own_noise + BLACK
        planes.append(np.rint(np.clip(seen, 0, 1) * 255).astype(np.uint8))
    return cv2.merge(planes)
