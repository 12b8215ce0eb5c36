"""The quality score of a file, as prepare_dataset.py records it."""

from __future__ import annotations

import math
from pathlib import Path

from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.photographs.quality import DISC_SIDE, quality_of

DIGITS = 4


def quality_score(path: Path) -> float | None:
    """The quality of a file, 0 to 1, as evaluation measures it.

    None for a picture that is too small, and for a file that can't be decoded any more.
    """
    try:
        score = quality_of(decode_image(path, DISC_SIDE)).score
    except (DamagedImage, MemoryError):
        return None
    return None if math.isnan(score) else round(score, DIGITS)
