"""Predictions to evaluate: drawn at random, and of a simple model on real images."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from dr_ovo.decoding.decode import decode
from dr_ovo.evaluation.predictions import Predictions
from dr_ovo.pairs import class_pairs, pair_signs

RETINA = Path("../shared/data/retinamnist28/retinamnist.npz")


def predictions_of(targets, logits, eyes_per_patient=1, head="ovo", classes=5, **changes):
    """Predictions of `logits` with names made up; `changes` replace fields."""
    count = len(targets)
    predicted, probabilities = decode(head, logits, classes)
    patients = [f"p{index // eyes_per_patient}" for index in range(count)]
    held = {
        "head": head,
        "decoder": "coupling",
        "class_names": [str(grade) for grade in range(classes)],
        "sample_ids": [f"{index}.jpg" for index in range(count)],
        "patient_ids": patients,
        "eyes": [""] * count,
        "quality": [np.nan] * count,
        "calibration": [False] * count,
        "targets": targets,
        "predicted": predicted,
        "pairs": class_pairs(classes) if head == "ovo" else [],
        "logits": logits,
        "probabilities": probabilities,
    }
    return Predictions(**{**held, **changes})


def drawn(count=120, eyes_per_patient=1, classes=5, seed=0, strength=1.0, **changes):
    """Predictions of a noisy one-vs-one network that is right more often than not."""
    random = np.random.default_rng(seed)
    targets = random.permutation(np.arange(count) % classes)
    signs = pair_signs(class_pairs(classes), classes)
    logits = random.normal(size=(count, signs.shape[1])) + strength * signs[targets]
    return predictions_of(targets, logits, eyes_per_patient, classes=classes, **changes)


@pytest.fixture
def draw():
    """The function that draws predictions."""
    return drawn


@pytest.fixture
def build():
    """The function that makes predictions of targets and logits."""
    return predictions_of


@pytest.fixture(scope="session")
def retina():
    """Predictions of logistic regression on RetinaMNIST's test images at 7x7 pixels."""
    if not RETINA.is_file():
        pytest.skip(f"{RETINA} is not here")
    with np.load(RETINA) as held:
        images = {split: held[f"{split}_images"] for split in ("train", "test")}
        labels = {split: held[f"{split}_labels"].ravel() for split in ("train", "test")}
    small = {
        split: array.reshape(len(array), 7, 4, 7, 4, 3).mean(axis=(2, 4)).reshape(len(array), -1)
        for split, array in images.items()
    }
    model = LogisticRegression(C=0.1, max_iter=300, class_weight="balanced").fit(
        small["train"] / 255, labels["train"]
    )
    logits = model.decision_function(small["test"] / 255)
    return predictions_of(labels["test"].astype(int), logits, head="softmax")
