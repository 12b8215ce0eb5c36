"""Names are drawn into figures as they are written, whatever is in them."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
import pytest

from dr_ovo.document.figure_style import LONGEST_NAME, figure_name, headline, new_figure, png

NAMES = [
    "$", "$x$", "a $\\frac{1$", "$\\undefined$", "100 %_{^}\\", "\u4e2d\u6587", "\u05d0\u05d1",
    "_hidden", "a\nb\x1b[2J\x00", "\udce9", "n" * 255,
]  # fmt: skip


def drawn(name: str) -> np.ndarray:
    figure = new_figure(8, 4)
    panel = figure.subplots()
    panel.set_yticks([0, 1], [figure_name(name), "b"])
    panel.set_title(figure_name(name))
    headline(figure, f"Title {figure_name(name)}", ["SYNTHETIC"])
    picture = png(figure)
    return cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_can_be_drawn(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # letters without a glyph, a layout that collapses
        assert drawn(name).shape == (440, 880, 3)


def test_a_dollar_starts_no_formula():
    pictures = []
    for settings in ({}, {"parse_math": False}, {"parse_math": True}):
        figure = new_figure(2, 1)
        figure.text(0.5, 0.5, "$x$", **settings)
        pictures.append(png(figure))
    as_is, plain, formula = pictures
    assert as_is == plain != formula


def test_long_names_lose_their_middle():
    name = "beginning" + "n" * 200 + "end"
    assert figure_name("n" * LONGEST_NAME) == "n" * LONGEST_NAME
    shown = figure_name(name)
    assert len(shown) <= LONGEST_NAME
    assert shown.startswith("beginning")
    assert shown.endswith("end")
    assert "\u2026" in shown
    assert figure_name("a\nb") == "a\\nb"
