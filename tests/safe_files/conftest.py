"""Fixtures for the tests in this folder."""

from tests.fixtures.networks import build_small, save_network
from tests.fixtures.trainings import one_thread, trainer

__all__ = ["build_small", "one_thread", "save_network", "trainer"]
