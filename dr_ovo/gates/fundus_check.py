"""Tells photographs of a fundus from other pictures, by field of view, colour and texture alone.

Nothing is trained. A limit is passed by a wide margin of photographs, good and bad: IDRiD's and
RetinaMNIST's, drawn ones, and the same dark, overexposed, blurred, hazy, bleeding, lasered, turned,
cropped, from a phone or a wide-field camera (`benchmarks/gates.py` counts them). What tells most:

- A field of view that is a circle, or cut off one, on dark or plain ground. Without one, a picture
  passes only if all of it looks like retina, which is smooth and nowhere another colour than red.
- The ground: a camera shows nothing around its field, neither colours nor light and dark.
- Red over green over blue, in every part. A cast of the whole picture is the camera's; a part of
  another colour is no retina. Wide-field cameras add red and green pictures, and have no blue.
- The tint: vessels, optic disc and macula differ in colour, not in brightness alone, as the shading
  of a ball or a coin does.
- A picture without colour (red-free) must have a circle, and long dark lines in it: vessels.

Whether a photograph is good enough for grading is another question: see
`dr_ovo/photographs/quality.py`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from dr_ovo.gates.appearance import Appearance, measure
from dr_ovo.gates.field_of_view import BLACK, FRAME, Field, find_field

DERIVED = ("tint", "relief", "edges", "hatching")  # of an appearance
GATE_SIDE = 512  # pixels, at which a photograph is at least decoded for this
SMALL = 80  # pixels of the diameter; in fewer, what is fine is next to what is coarse
OVERFLOW = 0.5  # share of pixels with saturated red, whose colour then says little
CAST = 0.05  # log(green / blue), below which the picture as a whole is bluish or pink
NO_BLUE = 1.9  # log(green / blue) of pictures made of red and green light alone


@dataclass(frozen=True)
class Limit:
    """What a measured value must be within, what is said of one below or above, and what it must be
    within in a small picture, where that is something else."""

    value: str
    low: float
    high: float
    below: str
    above: str
    small: tuple[float, float] | None = None

    def broken(self, measured: Appearance | Field, pixels: float) -> str:
        """What is wrong with what was measured at so many pixels of the diameter; "" if nothing."""
        found = getattr(measured, self.value)
        low, high = self.low, self.high
        if self.small and pixels < SMALL:
            low, high = self.small
        if low <= found <= high:
            return ""
        words, limit = (self.below, low) if found < low else (self.above, high)
        return f"{words} ({self.value} {found:.2f}, limit {limit:.2f})"


BLUE = "blue or green rather than red"
RED = "more purely red than a retina"
ONE_DYE = "one colour in lighter and darker shades, as an object of one material has"
MANY = "several different colours, where a retina has shades of red"
FEATURELESS = "nothing to be seen in it: it is even"
HARSH = "more contrast than a retina has"
GRAINY = "noise or fine texture, where a retina is smooth"
EDGES = "edges all over, as in drawings, text and scenes"
DRAWN = "areas of exactly one colour, as in drawings"
SHADED = "shaded evenly, as a ball is"
NO_LINES = "no vessels to be seen"
HATCHED = "more sharp lines than a retina has vessels"
PATCHES = "parts that are green or blue, where all of a retina is red"
STAINED = "pink or purple with sharp detail, as stained cells"
SKY = "a colour that changes evenly across the picture, as that of a sky"
SPECK = "the field of view is but a speck in the picture"
SCENE = "the ground around the field of view is no plain dark one"
INFINITE = math.inf

GROUND = (  # a camera sees nothing around its field
    Limit("share", 0.03, 1.0, SPECK, ""),
    Limit("ground", 0.0, 0.15, "", SCENE, (0.0, 0.40)),
    Limit("ground_colour", 0.0, 0.14, "", SCENE, (0.0, 0.20)),
)
COLOURED = (
    Limit("green_blue", -0.75, INFINITE, "too much blue", ""),
    Limit("tint", 0.11, INFINITE, ONE_DYE, ""),
    Limit("spread", 0.0, 0.40, "", MANY, (0.0, 0.50)),
    Limit("blue_spread", 0.0, 0.75, "", MANY),
    Limit("shape", 0.008, 0.60, FEATURELESS, HARSH),
    Limit("contrast", 0.012, 1.0, FEATURELESS, HARSH),
    Limit("flat", 0.0, 0.65, "", DRAWN),
    Limit("gradient", 0.0, 0.18, "", EDGES, (0.0, 0.30)),
    Limit("steep", 0.0, 0.52, "", EDGES, (0.0, 0.85)),
    Limit("edges", 0.0, 45.0, "", DRAWN),
    Limit("noise", 0.0, 0.60, "", GRAINY, (0.0, 0.75)),
    Limit("hatching", 0.0, 1.5, "", HATCHED),
)
RED_FIELD = (
    Limit("red_green", 0.03, 1.35, "too little red", RED),
    Limit("warm", 0.4, 1.0, BLUE, ""),
)
RED_OVER_BLUE = (Limit("other", 0.0, 0.05, "", PATCHES, (0.0, 0.25)),)
BLUE_OVER_GREEN = (Limit("steep", 0.0, 0.35, "", STAINED, (0.0, 0.60)),)  # or a camera's cast
NO_FIELD = (  # the whole picture, or a part of it that is not round
    Limit("red_green", 0.30, 1.25, "too little red", RED, (0.15, 1.35)),
    Limit("warm", 0.9, 1.0, BLUE, "", (0.8, 1.0)),
    Limit("green_blue", -0.05, INFINITE, "too much blue", ""),
    Limit("tint", 0.12, INFINITE, ONE_DYE, ""),
    Limit("spread", 0.0, 0.20, "", MANY, (0.0, 0.32)),
    Limit("blue_spread", 0.0, 0.60, "", MANY, (0.0, 0.65)),
    Limit("drift", 0.0, 0.26, "", SKY, (0.0, 0.40)),
    Limit("shape", 0.015, 0.30, FEATURELESS, HARSH),
    Limit("contrast", 0.03, 0.50, FEATURELESS, HARSH),
    Limit("flat", 0.0, 0.10, "", DRAWN),
    Limit("gradient", 0.0, 0.05, "", EDGES, (0.0, 0.17)),
    Limit("steep", 0.0, 0.24, "", EDGES, (0.0, 0.40)),
    Limit("noise", 0.0, 0.35, "", GRAINY, (0.0, 0.92)),
    Limit("length", 0.15, INFINITE, NO_LINES, "", (0.0, INFINITE)),
    Limit("hatching", 0.0, 1.0, "", HATCHED, (0.0, 1.5)),
)
WITHOUT_COLOUR = (
    Limit("pixels", 100, INFINITE, "without colour, too small to show vessels", ""),
    Limit("shape", 0.02, 0.20, FEATURELESS, HARSH),
    Limit("contrast", 0.03, 0.45, FEATURELESS, HARSH),
    Limit("flat", 0.0, 0.20, "", DRAWN),
    Limit("gradient", 0.008, 0.045, FEATURELESS, EDGES),
    Limit("steep", 0.0, 0.26, "", EDGES),
    Limit("relief", 0.28, INFINITE, SHADED, ""),
    Limit("edges", 0.0, 15.0, "", DRAWN),
    Limit("noise", 0.0, 0.30, "", GRAINY),
    Limit("lines", 0.015, 0.18, NO_LINES, EDGES),
    Limit("length", 0.75, INFINITE, NO_LINES, ""),
    Limit("longest", 0.22, INFINITE, NO_LINES, ""),
)


@dataclass(frozen=True)
class FundusCheck:
    """Whether a picture is taken for a photograph of a fundus; why not, in words ("" if it is); and
    what was measured, by name."""

    is_fundus: bool
    reason: str
    field: str  # its shape: "round", "oval", or "frame" for another
    values: dict[str, float]


def check_fundus(image: np.ndarray) -> FundusCheck:
    """The verdict on a picture (H, W, 3), uint8 RGB."""
    field = find_field(image)
    appearance = measure(image, field)
    if appearance is None:
        return FundusCheck(False, "the picture is of one plain colour", field.shape, {})
    derived = {name: getattr(appearance, name) for name in DERIVED}
    of_field = {name: getattr(field, name) for name in ("arc", *(one.value for one in GROUND))}
    values = {**dataclasses.asdict(appearance), **derived, **of_field}
    reason = judge(field, appearance)
    return FundusCheck(not reason, reason, field.shape, values)


def judge(field: Field, appearance: Appearance) -> str:
    """Why a field of view of this appearance is not that of a fundus; "" if it may be."""
    if field.light < BLACK:
        return "the picture is black"
    if appearance.monochrome and field.shape == FRAME:
        return "no colour, and no round field of view"
    where = "no round field of view, and " if field.shape == FRAME else ""
    pixels = appearance.pixels
    broken = [limit.broken(field, pixels) for limit in GROUND]
    broken += [limit.broken(appearance, pixels) for limit in _limits(field, appearance)]
    return next((where + words for words in broken if words), "")


def _limits(field: Field, appearance: Appearance) -> tuple[Limit, ...]:
    if appearance.monochrome:
        return WITHOUT_COLOUR
    if field.shape == FRAME:
        return NO_FIELD
    if appearance.green_blue >= NO_BLUE and appearance.red_green > -0.6:
        return COLOURED
    if appearance.clipped >= OVERFLOW and appearance.green_blue >= 0.16:
        return (*RED_OVER_BLUE, *(limit for limit in COLOURED if limit.value != "shape"))
    hues = RED_OVER_BLUE if appearance.green_blue >= CAST else BLUE_OVER_GREEN
    return (*RED_FIELD, *hues, *COLOURED)
