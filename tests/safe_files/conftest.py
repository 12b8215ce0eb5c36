"""Fixtures for the tests in this folder."""

from tests.fixtures.commands import command
from tests.fixtures.networks import build_small, save_network
from tests.fixtures.trainings import one_thread, trainer

__all__ = ["build_small", "command", "one_thread", "save_network", "trainer"]
