"""Times by turns, ratios with their spread, exponents of growth: worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.timing import Times, growth_exponents, interleaved, spread, torch_threads


def times(**wall: list[float]) -> Times:
    arrays = {name: np.array(values) for name, values in wall.items()}
    return Times(arrays, {name: 2 * values for name, values in arrays.items()})


def test_ways_take_turns_and_change_places():
    done: list[str] = []
    ways = {name: lambda name=name: done.append(name) for name in "ab"}
    found = interleaved(ways, rounds=3)
    assert "".join(done) == "ab" + "ab" + "ba" + "ab"
    for seconds in (found.wall, found.cpu):
        assert {name: values.shape for name, values in seconds.items()} == {"a": (3,), "b": (3,)}
        assert all((values >= 0).all() for values in seconds.values())


def test_without_an_untimed_round():
    done: list[str] = []
    interleaved({"a": lambda: done.append("a")}, rounds=2, untimed=False)
    assert done == ["a", "a"]


def test_a_ratio_is_within_each_round():
    found = times(slow=[2.0, 12.0, 6.0], fast=[1.0, 3.0, 2.0]).ratio("slow", "fast")
    assert (found.median, found.low, found.high) == (3.0, 2.0, 4.0)


def test_a_factor_and_processor_time():
    both = Times({}, {"a": np.array([3.0]), "b": np.array([2.0])})
    assert both.cpu_ratio("a", "b", factor=2).median == 3.0


def test_the_fastest_by_its_median():
    assert times(a=[1.0, 9.0, 9.0], b=[5.0, 5.0, 5.0], c=[0.0, 0.0, 0.0]).fastest("a", "b") == "b"


def test_the_spread_has_the_extremes():
    found = spread(np.array([4.0, 1.0, 2.0]))
    assert (found.median, found.low, found.high) == (2.0, 1.0, 4.0)


@given(st.floats(-2, 3), st.floats(0.01, 100))
def test_the_exponent_of_a_power(exponent, factor):
    sizes = np.array([10.0, 20.0, 40.0, 80.0])
    seconds = factor * sizes**exponent
    found = growth_exponents(sizes, np.stack([seconds, 3 * seconds], axis=1))
    assert found == pytest.approx([exponent, exponent], abs=1e-6)


def test_the_number_of_threads_comes_back():
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
