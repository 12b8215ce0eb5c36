"""What the tests here share."""

from tests.fixtures.results import simulated

__all__ = ["simulated"]
