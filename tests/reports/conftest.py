"""What the tests here share."""

from tests.fixtures.results import independent, results, save, simulated

__all__ = ["independent", "results", "save", "simulated"]
