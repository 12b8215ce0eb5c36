"""Fixtures for the tests in this folder."""

from tests.fixtures.trainings import (
    contents,
    one_thread,
    small,
    small_weights,
    three_grades,
    trainer,
)

__all__ = ["contents", "one_thread", "small", "small_weights", "three_grades", "trainer"]
