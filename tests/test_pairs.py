"""The order of the pairs and the sign convention, on which all files and heads rely."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dr_ovo.errors import UserError
from dr_ovo.pairs import class_pairs, pair_name, pair_signs, parse_pair


def test_order_of_five_classes():
    assert class_pairs(5) == [
        (0, 1),
        (0, 2),
        (0, 3),
        (0, 4),
        (1, 2),
        (1, 3),
        (1, 4),
        (2, 3),
        (2, 4),
        (3, 4),
    ]
    assert class_pairs(2) == [(0, 1)]


def test_positive_logit_means_the_higher_class():
    signs = pair_signs(class_pairs(3), 3)
    np.testing.assert_array_equal(signs, [[-1, -1, 0], [1, 0, -1], [0, 1, 1]])


@given(st.integers(2, 12))
def test_each_class_is_in_all_but_one_of_its_possible_pairs(classes):
    signs = pair_signs(class_pairs(classes), classes)
    assert signs.shape == (classes, classes * (classes - 1) // 2)
    np.testing.assert_array_equal(np.abs(signs).sum(axis=1), classes - 1)
    np.testing.assert_array_equal(signs.sum(axis=0), 0)


@pytest.mark.parametrize("text", ["0-2", "2-0", "0_2"])
def test_a_pair_is_read_in_either_order_and_writing(text):
    assert parse_pair(text, 5) == (0, 2)
    assert pair_name(parse_pair(text, 5)) == "0_2"


@pytest.mark.parametrize("text", ["0-5", "1-1", "0", "a-b", "0-1-2", "-1-2", ""])
def test_what_is_no_pair_is_named_with_the_known_ones(text):
    with pytest.raises(UserError, match="0-1, 0-2") as caught:
        parse_pair(text, 5)
    assert repr(text) in str(caught.value)
