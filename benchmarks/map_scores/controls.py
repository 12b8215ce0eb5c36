"""What a map has to be better than: it asks the network for little or nothing."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
import torch

from dr_ovo.inference.ensemble import Ensemble
from dr_ovo.inference.trained_model import TrainedModel
from dr_ovo.photographs.disc import disc_region

BLOB = 0.5  # width of the Gaussian, in radii of the disc
FINE, AROUND = 0.01, 0.06  # widths of Gaussians, of a side


def centre_blob(image: np.ndarray) -> np.ndarray:
    """(S, S): a Gaussian in the middle of the disc of (S, S, 3) uint8."""
    region = disc_region(image)
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    squared = (columns - region.centre[0]) ** 2 + (rows - region.centre[1]) ** 2
    return np.exp(-squared / (2 * (BLOB * region.radius) ** 2))


def darkness(image: np.ndarray, retina: np.ndarray) -> np.ndarray:
    """(S, S): how much darker the green channel of (S, S, 3) uint8 is than the retina around it."""
    fine, coarse = (_smooth(image[..., 1], retina, width * len(image)) for width in (FINE, AROUND))
    return coarse - fine


def _smooth(plane: np.ndarray, retina: np.ndarray, width: float) -> np.ndarray:
    """A Gaussian mean of (S, S) over the retina alone."""
    weight = retina.astype(np.float32)
    summed = cv2.GaussianBlur(plane * weight, (0, 0), width)
    return summed / np.maximum(cv2.GaussianBlur(weight, (0, 0), width), 1e-3)


def with_shuffled_heads(ensemble: Ensemble, seed: int) -> Ensemble:
    """The ensemble, with the weights of each head in another order of the features: what it then
    shows is where features are large, and not what they mean."""
    models: Sequence[TrainedModel] = [
        dataclasses.replace(model, network=copy.deepcopy(model.network))
        for model in ensemble.models
    ]
    generator = torch.Generator().manual_seed(seed)
    for model in models:
        for branch in map(model.network.branch, model.network.branches):
            order = torch.randperm(branch.head.in_features, generator=generator)
            branch.head.weight.data = branch.head.weight.data[:, order]
    return dataclasses.replace(ensemble, models=models)
