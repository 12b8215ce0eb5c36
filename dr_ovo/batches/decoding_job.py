"""A job of the loader: a photograph to network input, in whichever process. Loads no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dr_ovo.decoded.processes.process import errors_are_damage
from dr_ovo.photographs.content_check import judge
from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.photographs.image_decoding import decode_bytes, read_bytes, room_for
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.photographs.quality import decode_with_quality


@dataclass(frozen=True)
class Decoding:
    """What all jobs have in common: files that were not judged before are, under the limit of
    `max_megapixels`."""

    preprocessing: Preprocessing
    with_quality: bool
    max_megapixels: float


@dataclass(frozen=True)
class DecodingJob:
    """A file, and whether its content was `judged` before."""

    path: Path
    judged: bool


@dataclass(frozen=True)
class DecodedInput:
    """The network input (size, size, 3) uint8 and its quality (NaN: not measured), or `damage`."""

    image: np.ndarray | None
    quality: float = math.nan
    damage: str = ""


def decode_input(decoding: Decoding, job: DecodingJob) -> DecodedInput:
    """The network input of a file. Damage is returned, not raised: the main process decides whether
    it ends the run."""
    try:
        data = read_bytes(job.path)
        with errors_are_damage():
            if not job.judged:
                verdict = judge(data, decoding.max_megapixels, probe=False)
                if verdict.damage:
                    raise DamagedImage(verdict.damage)
            return _decoded(decoding, data)
    except DamagedImage as error:
        return DecodedInput(None, damage=str(error))


def _decoded(decoding: Decoding, data: bytes) -> DecodedInput:
    preprocessing = decoding.preprocessing
    with room_for(data, preprocessing.size):
        if decoding.with_quality:
            image, quality = decode_with_quality(data, preprocessing)
            return DecodedInput(image, quality.score)
        return DecodedInput(preprocessing.apply(decode_bytes(data, preprocessing.size)))
