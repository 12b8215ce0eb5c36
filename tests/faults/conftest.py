"""Fixtures for the tests in this folder."""

from tests.fixtures.trainings import one_thread, small, small_weights, three_grades, trainer

__all__ = ["one_thread", "small", "small_weights", "three_grades", "trainer"]
