from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dr_ovo.pairs import class_pairs, pair_name
from dr_ovo.reports.checkpoints import learning_curves as figure_module
from dr_ovo.reports.checkpoints.learning_curves import LOSSES, SCORES, learning_curves
from dr_ovo.results.history import COLUMNS, History
from tests.fixtures.slow import slow


def history_of(branches: list[str], epochs: int, absent: tuple[str, ...] = ()) -> History:
    rising = [0.5 + 0.4 * epoch / epochs for epoch in range(epochs)]
    curves = dict.fromkeys(COLUMNS, rising) | dict.fromkeys(absent, [math.nan] * epochs)
    return {b: {**curves, "epoch": [e + 1.0 for e in range(epochs)]} for b in branches}


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def has_colour(image: np.ndarray, colour: str) -> bool:
    rgb = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return bool((image == rgb).all(axis=-1).any())


SHARED, THREE, TEN = ["ovo"], *([pair_name(p) for p in class_pairs(n)] for n in (3, 5))


@pytest.mark.parametrize(
    ("branches", "epochs"),
    [
        (SHARED, 1),
        (THREE, 1),
        *slow((SHARED, 2), (SHARED, 30), (TEN, 2), (THREE, 30), (TEN, 1), (TEN, 30)),
    ],
)
def test_every_known_curve_is_drawn(branches: list[str], epochs: int) -> None:
    image = pixels(learning_curves(history_of(branches, epochs), "title", {}))
    for _, _, colour, *_ in (*SCORES, *LOSSES):
        assert has_colour(image, colour)


def test_the_line_is_at_the_epoch_that_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(figure_module, "png", lambda figure: drawn.append(figure) or b"")
    learning_curves(history_of(["ovo"], 3), "title", {"ovo": 2})
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()][-1] == "kept epoch"


def test_unknown_curves_are_left_out_and_the_losses_keep_their_legend() -> None:
    accuracies = ("train_accuracy", "val_accuracy")
    known = pixels(learning_curves(history_of(["ovo"], 3), "title", {}))
    image = pixels(learning_curves(history_of(["ovo"], 3, ("val_kappa",)), "title", {}))
    assert has_colour(known, SCORES[3][2])
    assert not has_colour(image, SCORES[3][2])
    # Without any score the legend (the strip at the foot) still names the losses.
    bare = history_of(["ovo"], 3, (*accuracies, "val_auc", "val_kappa"))
    strip = pixels(learning_curves(bare, "title", {}))[-60:]
    assert has_colour(strip, LOSSES[0][2])
    assert has_colour(strip, LOSSES[1][2])


def test_the_chosen_epoch_is_marked() -> None:
    history = history_of(["softmax"], 5)
    assert learning_curves(history, "title", {"softmax": 3}) != learning_curves(
        history, "title", {"another": 3}
    )
