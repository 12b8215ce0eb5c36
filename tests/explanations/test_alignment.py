"""Where the places of a map lie in the input, as it is measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dr_ovo.explanations.alignment import grid_of
from dr_ovo.explanations.contributions import contributions
from dr_ovo.models.network import OvoNetwork
from dr_ovo.photographs.geometry import Box, Geometry, Grid
from tests.explanations.test_contributions import network
from tests.fixtures.slow import slow

SIZE = 256
# The centre of the first place in pixels, by hand: from stride, kernel and padding of each layer
# that shrinks the map. Random weights have no reason to be elsewhere.
FIRST = {
    "convnext_tiny": 15.5,
    "swinv2_tiny_window8_256": 15.5,
    "densenet121": 14.0,
    "efficientnet_b2": 0.0,
    "resnet50": 0.0,
    "seresnext50_32x4d": 0.0,
    "resnet50d": 7.0,
}


def measured(found: OvoNetwork, size: int, stride: int = 32) -> Grid:
    asked = torch.eye(10)[None]

    def maps_of(images: torch.Tensor) -> np.ndarray:
        wanted = asked.repeat(len(images), 1, 1)
        return contributions(found, images, wanted, stride=stride).values.double().numpy()

    return grid_of(maps_of, size, -(-size // stride))


def spread_norms(found: OvoNetwork) -> OvoNetwork:
    """Random weights leave some of the last norms of residual blocks at 0: nothing would pass."""
    for module in found.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1)
    return found


QUICKEST = "efficientnet_b2"


@pytest.mark.parametrize("name", [QUICKEST, *slow(*(n for n in FIRST if n != QUICKEST))])
def test_the_first_place_lies_where_the_layers_put_it(name):
    found = spread_norms(network(name, size=SIZE)[0])
    grid = measured(found, SIZE)
    assert grid.step * SIZE == 32
    for share in (grid.x, grid.y):
        assert share * SIZE - 0.5 == pytest.approx(FIRST[name], abs=6)  # of 32 pixels


@pytest.mark.parametrize(
    ("name", "stride"), [(QUICKEST, 32), *slow(("resnet50", 32), ("resnet50", 16))]
)
def test_a_size_that_is_no_multiple_of_the_step(name, stride):
    """200 pixels are 100, 50, 25, 13, 7: the places lie 16 and 32 pixels apart all the same."""
    found = spread_norms(network(name, size=200)[0])
    grid = measured(found, 200, stride)
    assert grid.step == stride / 200
    assert grid.x * 200 - 0.5 == pytest.approx(0, abs=0.2 * stride)


def test_views_that_were_flipped_back_move_the_mean_to_the_middle():
    """A place that lies to the upper left, seen in the mirror, lies to the upper right."""

    def maps_of(images: torch.Tensor) -> np.ndarray:
        blurred = images[:, :1]
        for kernel, padding in (((33, 1), (16, 0)), ((1, 33), (0, 16))):
            blurred = nn.functional.avg_pool2d(blurred, kernel, stride=1, padding=padding)
        return blurred[..., ::32, ::32].numpy()  # each place is centred at the pixel 32 i

    one, two, four = (grid_of(maps_of, 128, 4, views) for views in (1, 2, 4))
    even = Grid.even(4)
    assert one.x < even.x - 0.05
    assert one.y < even.y - 0.05
    assert (two.x, two.y) == (pytest.approx(even.x), one.y)
    assert (four.x, four.y) == pytest.approx((even.x, even.y))


def test_maps_that_tell_no_place_are_taken_as_even():
    def blind(images: torch.Tensor) -> np.ndarray:
        return np.repeat(images.mean((1, 2, 3)).numpy()[:, None], 16, 1).reshape(-1, 1, 4, 4)

    assert grid_of(blind, 128, 4) == pytest.approx(Grid.even(4))
    assert grid_of(lambda images: np.zeros((len(images), 1, 4, 4)), 128, 4) == Grid.even(4)


def test_a_map_is_drawn_by_its_grid():
    whole = Geometry(Box(0, 0, 1, 1), Box(0, 0, 1, 1))
    values = np.zeros((4, 4))
    values[1, 2] = 1
    for first in (0.0, 15.5, 31.0):
        grid = Grid((first + 0.5) / 128, (first + 0.5) / 128, 32 / 128)
        drawn = whole.to_photograph(values, 128, 128, grid)
        row, column = (np.average(np.arange(128), weights=drawn.sum(axis)) for axis in (1, 0))
        assert (row, column) == pytest.approx((first + 32, min(first + 64, 128)), abs=1.5)
