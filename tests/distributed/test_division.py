"""Every image and branch belongs to exactly one rank."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dr_ovo.distributed.division import batch_shares, deal_branches, share, window_shares
from dr_ovo.distributed.ranks import Ranks
from dr_ovo.errors import UserError
from dr_ovo.training.build import own_branches

RANKS = st.integers(1, 9)


@given(st.integers(0, 200), st.integers(1, 40), RANKS)
def test_the_shares_of_windows_are_all_images(images, window, ranks):
    shares = [window_shares(images, window, rank, ranks) for rank in range(ranks)]
    assert sorted(np.concatenate(shares).tolist()) == list(range(images))
    for own in shares:
        assert (np.diff(own) > 0).all()


@given(st.integers(0, 200), RANKS)
def test_shares_of_a_window_differ_by_one_at_most(count, ranks):
    sizes = [(rows := share(count, rank, ranks)).stop - rows.start for rank in range(ranks)]
    assert sum(sizes) == count
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(0, 200), st.integers(1, 40), RANKS)
def test_batches_are_whole_and_by_turns(count, size, ranks):
    shares = [batch_shares(count, size, rank, ranks) for rank in range(ranks)]
    alone = batch_shares(count, size, 0, 1)
    dealt = [shares[number % ranks][number // ranks] for number in range(len(alone))]
    assert dealt == alone
    assert sum(rows.stop - rows.start for rows in alone) == count


def test_the_longest_branches_are_dealt_first():
    images = {"0_1": 10, "0_2": 50, "1_2": 40, "2_3": 30}
    assert deal_branches(images, 1) == [[*images]]
    assert deal_branches(images, 2) == [["0_1", "0_2"], ["1_2", "2_3"]]
    assert deal_branches(images, 4) == [["0_2"], ["1_2"], ["2_3"], ["0_1"]]


@pytest.mark.parametrize("ranks", [2, 3, 4, 8])
def test_no_rank_has_much_more_than_its_part(ranks):
    """The branches of EyePACS, whose grade 0 has most images."""
    counts = [25810, 2443, 5292, 873, 708]
    images = {f"{a}_{b}": counts[a] + counts[b] for b in range(5) for a in range(b)}
    loads = [sum(images[name] for name in names) for names in deal_branches(images, ranks)]
    longest = max(images.values())
    assert max(loads) <= max(longest, 1.25 * sum(loads) / ranks)


def test_more_ranks_than_branches_are_refused():
    class Four(Ranks):
        count = 4

    with pytest.raises(UserError, match="4 processes for 3 branches"):
        own_branches({"0_1": 3, "0_2": 3, "1_2": 3}, Four())
