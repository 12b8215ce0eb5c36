"""Full memory: batches are computed in parts, and nothing is computed twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from dr_ovo.errors import MachineError
from dr_ovo.full_memory import Halving


def at_most(images: int, seen: list[int]) -> Callable[[slice], torch.Tensor]:
    """Squares rows, if there are no more than `images` of them."""
    x = torch.arange(32)

    def compute(rows: slice) -> torch.Tensor:
        seen.append(rows.stop - rows.start)
        if rows.stop - rows.start > images:
            raise torch.OutOfMemoryError("CUDA out of memory.\nmore")
        return x[rows] ** 2

    return compute


@pytest.mark.parametrize(
    ("images", "sizes"),
    [(32, [32]), (9, [32, 16, 8, 8, 8, 8]), (1, [32, 16, 8, 4, 2, *[1] * 32])],
)
def test_parts_are_the_whole(images, sizes, caplog):
    seen: list[int] = []
    halving = Halving("here")
    parts = halving.parts(32, at_most(images, seen))
    assert torch.equal(torch.cat(parts), torch.arange(32) ** 2)
    assert seen == sizes
    seen.clear()
    halving.parts(3, at_most(images, seen))  # what was learned stays
    assert sum(seen) == 3


def test_not_even_one(caplog):
    with pytest.raises(MachineError, match=r"a single image here \(CUDA out of memory.\)"):
        Halving("here").parts(2, at_most(0, []))
