"""Fixtures for the tests in this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.trainings import one_thread, small, small_weights, trainer

__all__ = ["one_thread", "small", "small_weights", "trainer"]


@pytest.fixture(scope="session")
def folder(small, trainer, tiny_dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained and evaluated network whose last features have 2 x 2 places."""
    root = tmp_path_factory.mktemp("mapped") / "test_efficientnet_5class_results"
    words = (*small, "--img_size", 64, "--dataset_path", tiny_dataset, "--output_dir", root)
    assert trainer(*words, "--epochs", 2, "--learning_rate", "1e-2").code == 0
    assert trainer("--mode", "evaluate", *words).code == 0
    return root
