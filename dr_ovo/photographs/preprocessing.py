"""Preprocessing settings, their version and hash, and the pipeline from file to network input.

One code path for training, evaluation and inference: decode, the steps before resizing (the crop to
the disc), pad to a square, resize, the steps after resizing. The steps are in
dr_ovo/photographs/preprocessing_steps.py; none sees a grade or a split.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from dr_ovo.errors import UserError
from dr_ovo.photographs.disc import pad_to_square
from dr_ovo.photographs.geometry import Geometry
from dr_ovo.photographs.preprocessing_steps import (
    AFTER_RESIZING,
    CROPS,
    STEPS,
    Clahe,
)

# Increase VERSION when the same settings would give other pixels. The first version had only the
# disc crop and CLAHE; settings that it could express keep its form, so that their hashes stay.
VERSION, FIRST_VERSION = 2, 1


@dataclass(frozen=True)
class Preprocessing:
    """How a photograph becomes network input, stored with every checkpoint.

    Each step in STEPS is switched by the field of the same name.
    """

    size: int
    clahe: bool = True
    clahe_clip_limit: float = 3.0
    clahe_tile_grid_size: int = 8
    disc_crop: bool = True
    ben_graham: bool = False

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of the steps, in the order in which they run."""
        return tuple(name for name in STEPS if getattr(self, name))

    @property
    def version(self) -> int:
        """The earliest version of the toolkit's preprocessing that can express the settings."""
        return FIRST_VERSION if self.disc_crop and not self.ben_graham else VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain values for checkpoints and reports; the parameters of CLAHE only where it is on."""
        values: dict[str, Any] = {"size": self.size, "clahe": self.clahe, "version": self.version}
        if self.clahe:
            values["clahe_clip_limit"] = self.clahe_clip_limit
            values["clahe_tile_grid_size"] = self.clahe_tile_grid_size
        if self.version != FIRST_VERSION:
            values |= {"disc_crop": self.disc_crop, "ben_graham": self.ben_graham}
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        """The inverse of `to_dict`. Raises UserError for settings of another version."""
        if values.get("version") not in (FIRST_VERSION, VERSION):
            raise UserError(
                f"The checkpoint was made with preprocessing version {values.get('version')}, "
                f"this toolkit has {VERSION}: its grades would not be those of its training. "
                "Use the version of dr_ovo that trained it."
            )
        return cls(**{name: value for name, value in values.items() if name != "version"})

    @property
    def hash(self) -> str:
        """16 hex digits that change with every setting."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def apply(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (size, size, 3) uint8 RGB."""
        top, bottom, left, right = self._crop(image)
        square = pad_to_square(image[top:bottom, left:right])
        shrinking = square.shape[0] > self.size
        interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
        result = cv2.resize(square, (self.size, self.size), interpolation=interpolation)
        settings = Clahe(self.clahe_clip_limit, self.clahe_tile_grid_size)
        for name, step in AFTER_RESIZING.items():
            if getattr(self, name):
                result = step(result, settings)
        return result

    def geometry(self, image: np.ndarray) -> Geometry:
        """Which part of (H, W, 3) uint8 RGB `apply` takes."""
        return Geometry.of_crop(self._crop(image), image.shape)

    def _crop(self, image: np.ndarray) -> tuple[int, int, int, int]:
        """Top, bottom, left and right of what is kept, in pixels, ends excluded."""
        top, bottom, left, right = 0, image.shape[0], 0, image.shape[1]
        for name, crop in CROPS.items():
            if getattr(self, name):
                above, below, before, after = crop(image[top:bottom, left:right])
                top, bottom = top + above, top + below
                left, right = left + before, left + after
        return top, bottom, left, right
