"""Of which networks an ensemble is made, by the names of its checkpoints."""

from __future__ import annotations

import pytest

from dr_ovo.ensembles.composition import Composition, of_checkpoints

TWO = ("coatnet", "convnext")


@pytest.mark.parametrize(
    ("names", "members", "expected"),
    [
        (
            ["c/best_coatnet_0_rw_224_ovo.pth", "n/best_convnext_tiny_softmax.pth"],
            TWO,
            Composition(2, ("coatnet_0_rw_224", "convnext_tiny"), ("ovo", "softmax"), "mean"),
        ),
        (  # ten files of a network of one folder; another training of that architecture
            ["1/c/best_resnet50_0_1.pth", "1/c/best_resnet50_0_2.pth", "2/c/best_resnet50_1_2.pth"],
            (),
            Composition(2, ("resnet50",), ("ovo",), "mean"),
        ),
        (["a/best_x_regression.pth"], TWO, Composition(2, (), (), "mean")),  # not of both
        ([], TWO, Composition(2, (), (), "mean")),
        ([], (), Composition(None, (), (), "mean")),
        (["a/x.pth", "b/y.pth"], (), Composition(2, (), (), "mean")),
    ],
)
def test_what_the_names_say(names, members, expected):
    assert of_checkpoints(names, members, "mean") == expected
