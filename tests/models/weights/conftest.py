"""Fixtures for the tests in this folder."""

from pathlib import Path

import huggingface_hub.constants
import pytest

from tests.fixtures.networks import build_small, save_network
from tests.fixtures.trainings import small, small_weights, trainer

__all__ = ["build_small", "save_network", "small", "small_weights", "trainer"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty download cache, and no internet."""
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return cache
