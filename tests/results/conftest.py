"""What the tests here share."""

from tests.fixtures.predictions import build, draw, retina
from tests.fixtures.results import results, simulated

__all__ = ["build", "draw", "results", "retina", "simulated"]
