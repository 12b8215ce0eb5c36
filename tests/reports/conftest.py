"""What the tests here share."""

from tests.fixtures.commands import command
from tests.fixtures.results import independent, results, save, simulated

__all__ = ["command", "independent", "results", "save", "simulated"]
