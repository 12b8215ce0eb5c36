"""Maps drawn over photographs: colours whose range is fixed in logits, and a figure for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from dr_ovo.document.figure_style import figure_name, headline, new_figure, png
from dr_ovo.explanations.explained import Explanation
from dr_ovo.explanations.questions import in_words
from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.photographs.thumbnail import SIDE, Thumbnail, as_jpeg, shrunken

SPEAKS_FOR, SPEAKS_AGAINST = (213, 94, 0), (0, 114, 178)  # Okabe and Ito's; RGB
OPACITY = 0.75  # where the colours end
LARGE_SIDE = 480  # pixels of the longer side in a figure
GAP = 4  # pixels between the pictures of a strip


def overlay(image: np.ndarray, values: np.ndarray, limit: float) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the photograph in grey, under the colour of values (H, W).

    A place without colour contributes nothing; from `limit` on, and from its negative, the colour
    grows no stronger. The range does not depend on the photograph: a map of little is pale.
    """
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    share = (OPACITY * (np.abs(values) / limit).clip(0, 1))[..., None]
    colour = np.where(values[..., None] > 0, np.array(SPEAKS_FOR), np.array(SPEAKS_AGAINST))
    return np.rint(grey * (1 - share) + colour * share).astype(np.uint8)


def pictures(explanation: Explanation, side: int) -> list[np.ndarray] | None:
    """The photograph with `side` pixels on its longer side, and over it the map of each question,
    (H, W, 3) uint8 RGB; None where it can't be read any more."""
    try:
        image = shrunken(decode_image(explanation.path, side), side)
    except DamagedImage:
        return None
    maps = explanation.drawn(*image.shape[:2])
    asked = zip(maps, explanation.questions, strict=True)
    return [image, *(overlay(image, values, question.limit) for values, question in asked)]


def strip(found: Sequence[np.ndarray]) -> Thumbnail:
    """`pictures` side by side as a small JPEG."""
    first, *maps = (shrunken(one, SIDE) for one in found)
    gap = np.full((len(first), GAP, 3), 255, np.uint8)
    return as_jpeg(np.hstack([first, *(part for one in maps for part in (gap, one))]))


def figure(
    explanation: Explanation,
    found: Sequence[np.ndarray],
    names: Sequence[str],
    marks: Sequence[str],
) -> bytes:
    """A PNG of `pictures` side by side, with what the maps add up to and their scales."""
    height, width = found[0].shape[:2]
    drawn = new_figure(4.2 * len(found), 4.2 * min(1.5, height / width) + 1.4)
    panels, scales = drawn.subplots(2, len(found), height_ratios=[1, 0.04])
    for panel, one in zip(panels, found, strict=True):
        panel.imshow(one)
        panel.set_axis_off()
    panels[0].set_title(f"{figure_name(explanation.path.name)}\n", fontsize=10)
    scales[0].set_axis_off()
    answers = zip(explanation.questions, explanation.outputs, explanation.rest, strict=True)
    for panel, scale, (question, output, rest) in zip(panels[1:], scales[1:], answers, strict=True):
        panel.set_title(
            f"{figure_name(question.words)}: {output:+.2f}\n"
            f"{output - rest:+.2f} by the places, {rest:+.2f} the rest",
            fontsize=10,
        )
        _draw_scale(scale, question.limit)
    grade = figure_name(in_words(names[explanation.grade]))
    rival = figure_name(names[explanation.rival])
    headline(drawn, f"{grade[0].upper()}{grade[1:]}; most probable other grade: {rival}", marks)
    return png(drawn)


def _draw_scale(panel: Any, limit: float) -> None:
    """The overlay's colours, on the grey of a photograph's middle."""
    values = np.linspace(-limit, limit, 256)[None]
    grey = np.full((1, values.size, 3), 128, np.uint8)
    panel.imshow(overlay(grey, values, limit), aspect="auto", extent=(-limit, limit, 0, 1))
    panel.set_yticks([])
    panel.tick_params(labelsize=8)
    panel.set_xlabel("the answer, if the whole picture were like this place", fontsize=8)
