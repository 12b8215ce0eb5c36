"""YAML that a parser reads as what was written."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dr_ovo.document.yaml_text import yaml_text
from dr_ovo.tables import visible

ODD = ["", "---", "a: b # c", "'\"\\", "yes", "null", "1e-7", "- a", "\u4e2d\U0001f441", "\ufeff"]
SCALARS = st.one_of(
    st.text(),
    st.integers(-(1 << 53), 1 << 53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)
KEYS = st.text("abcdefgh", min_size=1).map(lambda text: f"k_{text}")
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(st.one_of(SCALARS, st.dictionaries(KEYS, inner, min_size=1))),
        st.dictionaries(KEYS, inner),
    ),
    max_leaves=10,
)


def seen(value):
    """The value with control characters of its texts as a person sees them."""
    if isinstance(value, dict):
        return {key: seen(one) for key, one in value.items()}
    if isinstance(value, list):
        return [seen(one) for one in value]
    return visible(value) if isinstance(value, str) else value


@settings(max_examples=30)
@given(st.dictionaries(KEYS, VALUES, min_size=1))
def test_a_parser_reads_what_was_written(values):
    assert yaml.safe_load(yaml_text(values, {})) == seen(values)


@pytest.mark.parametrize("text", ODD)
def test_odd_texts(text):
    assert yaml.safe_load(yaml_text({"a": [{"b": text}]}, {})) == {"a": [{"b": text}]}


def test_small_numbers_are_numbers():
    found = yaml.safe_load(yaml_text({"a": 1e-7, "b": 1e22, "c": 0.5}, {}))
    assert [*map(type, found.values())] == [float] * 3
    assert math.isclose(found["a"], 1e-7)


def test_a_note_is_a_comment():
    assert yaml_text({"a": "x", "b": 1}, {"a": "why\nb: 2"}) == 'a: "x"  # why\\nb: 2\nb: 1'
