"""Fixtures for the tests in this folder."""

from tests.fixtures.trainings import (
    bench,
    contents,
    lite0,
    one_thread,
    small,
    small_weights,
    three_grades,
    trainer,
)

__all__ = [
    "bench",
    "contents",
    "lite0",
    "one_thread",
    "small",
    "small_weights",
    "three_grades",
    "trainer",
]
