"""Fixtures for the tests in this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.trainings import (
    contents,
    one_thread,
    small,
    small_weights,
    three_grades,
    trainer,
)

__all__ = ["contents", "one_thread", "small", "small_weights", "three_grades", "trainer"]


@pytest.fixture(scope="session")
def words(small, tiny_dataset) -> tuple[object, ...]:
    return (*small, "--dataset_path", tiny_dataset, "--epochs", 2, "--learning_rate", "1e-2")


@pytest.fixture(scope="session")
def models(words, trainer, tiny_dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two architectures under one folder, trained and evaluated."""
    root = tmp_path_factory.mktemp("models") / "both"
    own = root / "test_efficientnet_5class_results"
    assert trainer(*words, "--output_dir", own).code == 0
    other = root / "test_resnet_5class_results"
    flags = ("--base_models", "test_resnet", "--pretrained_path", "", "--no-pretrained")
    plain = [word for word in words if word not in words[2:4]]
    assert trainer(*plain, *flags[:2], flags[-1], "--output_dir", other).code == 0
    here = ("--device", "cpu", "--num_workers", 0)
    evaluation = ("--mode", "evaluate", "--dataset_path", tiny_dataset, *here)
    both = ("--base_models", "test_efficientnet", "test_resnet", "--output_dir", root)
    assert trainer(*evaluation, *both).code == 0
    return root
