"""Photograph file -> square uint8 RGB. One code path for training, evaluation and inference.

Steps: decode, crop to the disc of the fundus, pad to a square, resize, CLAHE on L of LAB. None of
them sees a grade or a split. Resizing comes before CLAHE: at 1024 px CLAHE costs 20 times more.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dr_ovo.data.decode import (
    JPEG_START,
    LONGEST_TAIL,
    PNG_START,
    DamagedImage,
    check_complete,
    decode_bytes,
    decode_image,
    full_sides,
    jpeg_segments,
    read_bytes,
)
from dr_ovo.data.disc import crop_to_disc, disc_box, pad_to_square
from dr_ovo.errors import UserError

__all__ = [
    "JPEG_START",
    "LONGEST_TAIL",
    "PNG_START",
    "DamagedImage",
    "Preprocessing",
    "check_complete",
    "crop_to_disc",
    "decode_bytes",
    "decode_image",
    "disc_box",
    "full_sides",
    "jpeg_segments",
    "pad_to_square",
    "read_bytes",
]

VERSION = 1  # raised when the same settings would give other pixels


@dataclass(frozen=True)
class Preprocessing:
    """How a photograph becomes network input, stored with every checkpoint."""

    size: int
    clahe: bool = True
    clahe_clip_limit: float = 3.0
    clahe_tile_grid_size: int = 8
    version: int = VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints and reports; CLAHE's own are left out where it is off."""
        values = asdict(self)
        if not self.clahe:
            del values["clahe_clip_limit"], values["clahe_tile_grid_size"]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        """The settings that `to_dict` gave. Raises UserError for those of another version."""
        if values.get("version") != VERSION:
            raise UserError(
                f"The checkpoint was made with preprocessing version {values.get('version')}, "
                f"this toolkit has {VERSION}: its grades would not be those of its training. "
                "Use the version of dr_ovo that trained it."
            )
        return cls(**values)

    @property
    def hash(self) -> str:
        """16 hex digits that change with every setting."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def apply(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> (size, size, 3) uint8 RGB."""
        square = pad_to_square(crop_to_disc(image))
        shrinking = square.shape[0] > self.size
        interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC
        resized = cv2.resize(square, (self.size, self.size), interpolation=interpolation)
        return self._equalise(resized) if self.clahe else resized

    def load(self, path: Path) -> np.ndarray:
        """The photograph at `path` as (size, size, 3) uint8 RGB. Raises DamagedImage."""
        return self.apply(decode_image(path, self.size))

    def _equalise(self, image: np.ndarray) -> np.ndarray:
        tiles = (self.clahe_tile_grid_size, self.clahe_tile_grid_size)
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
        clahe = cv2.createCLAHE(clipLimit=self.clahe_clip_limit, tileGridSize=tiles)
        lab[..., 0] = clahe.apply(np.ascontiguousarray(lab[..., 0]))
        return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
