"""What the tests here share."""

from tests.fixtures.predictions import build, draw, retina

__all__ = ["build", "draw", "retina"]
