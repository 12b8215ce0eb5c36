"""A job of the loader: a photograph to network input, in whichever process. Loads no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dr_ovo.decoded.processes.process import errors_are_damage
from dr_ovo.gates.fundus_check import GATE_SIDE, check_fundus
from dr_ovo.photographs.content_check import judge
from dr_ovo.photographs.damage import DamagedImage
from dr_ovo.photographs.image_decoding import decode_bytes, read_bytes, room_for
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.photographs.quality import decode_with_quality


@dataclass(frozen=True)
class Decoding:
    """What all jobs have in common: files that were not judged before are, under the limit of
    `max_megapixels`. `with_gate`: whether each is a fundus photograph is told."""

    preprocessing: Preprocessing
    with_quality: bool
    max_megapixels: float
    with_gate: bool = False


@dataclass(frozen=True)
class DecodingJob:
    """A file, and whether its content was `judged` before."""

    path: Path
    judged: bool


@dataclass(frozen=True)
class DecodedInput:
    """The network input (size, size, 3) uint8, its quality (NaN: not measured) and why it is no
    fundus photograph ("" if it is, or was not asked); or `damage`."""

    image: np.ndarray | None
    quality: float = math.nan
    damage: str = ""
    no_fundus: str = ""


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
    largest = max(preprocessing.size, GATE_SIDE * decoding.with_gate)
    with room_for(data, largest):
        if decoding.with_quality:
            image, quality = decode_with_quality(data, preprocessing)
            no_fundus = _no_fundus(data) if decoding.with_gate else ""
            return DecodedInput(image, quality.score, no_fundus=no_fundus)
        return DecodedInput(preprocessing.apply(decode_bytes(data, preprocessing.size)))


def _no_fundus(data: bytes) -> str:
    """Why a file's picture is no fundus photograph; "" if it is one."""
    return check_fundus(decode_bytes(data, GATE_SIDE)).reason
