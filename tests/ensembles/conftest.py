"""What the tests here share."""

from tests.fixtures.predictions import build, draw

__all__ = ["build", "draw"]
