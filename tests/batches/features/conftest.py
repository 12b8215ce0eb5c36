"""Fixtures for the tests in this folder."""

from tests.fixtures.networks import build_small

__all__ = ["build_small"]
