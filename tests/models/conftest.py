"""What the tests here share."""

from tests.fixtures.networks import build_small, save_network

__all__ = ["build_small", "save_network"]
