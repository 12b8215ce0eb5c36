"""Quality scores of many files, computed on all cores; prepare_dataset.py records them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from dr_ovo.parallel import in_parallel
from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.photographs.quality import DISC_SIDE, quality_of

DIGITS = 4


def qualities(paths: Sequence[Path]) -> dict[Path, float | None]:
    """The quality score of each file, 0 to 1, as evaluation measures it; None where unknown.

    It is unknown for pictures that are too small and for files that can't be read any more.
    """
    return dict(zip(paths, in_parallel(_score, paths, "measuring quality"), strict=True))


def _score(path: Path) -> float | None:
    try:
        score = quality_of(decode_image(path, DISC_SIDE)).score
    except DamagedImage:
        return None
    return None if math.isnan(score) else round(score, DIGITS)
