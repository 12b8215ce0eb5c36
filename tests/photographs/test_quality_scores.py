"""Quality scores of files."""

from __future__ import annotations

import cv2
import pytest

from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.photographs.quality import DISC_SIDE, quality_of
from dr_ovo.photographs.quality_scores import quality_score


def test_scores_of_files(idrid_small, tmp_path):
    good = min((idrid_small / "test" / "2").iterdir())
    small, gone = tmp_path / "small.png", tmp_path / "gone.png"
    cv2.imwrite(str(small), cv2.resize(cv2.imread(str(good)), (64, 48)))
    score = quality_of(decode_image(good, DISC_SIDE)).score
    assert quality_score(good) == pytest.approx(score, abs=1e-4)
    assert (quality_score(small), quality_score(gone)) == (None, None)
