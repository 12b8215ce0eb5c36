"""Warnings on pictures that can't be graded: black, tiny, blurred, overexposed, and others."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dr_ovo.audit.findings import WARNING, Finding, Photograph
from dr_ovo.audit.measurements import QUALITY_FIELDS
from dr_ovo.copies.descriptor_cache import Described
from dr_ovo.photographs.damage import Damage
from dr_ovo.photographs.gradability import MIN_GRADABLE

SMALLEST_SIDE = 100  # pixels
DARKEST = 30.0  # grey levels: of 99 % of a black picture's pixels, in the brightest channel
BRIGHT = 150.0  # grey levels: a picture of bad exposure above it is too bright, not too dark


def tiny_findings(
    photographs: Sequence[Photograph], described: Mapping[Path, Described | Damage]
) -> list[Finding]:
    """A warning on the pictures with a side below SMALLEST_SIDE, one for all of them."""
    small = tuple(
        p
        for p in photographs
        if isinstance(d := described[p.path], Described) and min(d.width, d.height) < SMALLEST_SIDE
    )
    detail = f"fewer than {SMALLEST_SIDE} pixels a side: small lesions can't be seen"
    return [Finding("tiny", WARNING, small, None, detail)] if small else []


def quality_findings(
    photographs: Sequence[Photograph], measured: Mapping[Path, np.ndarray]
) -> list[Finding]:
    """A warning for each kind of ungradable picture, with all of that kind; the worst first.

    `measured` holds QUALITY_FIELDS of each picture; those that are not in it are not judged.
    """
    bad: dict[str, list[tuple[float, Photograph]]] = defaultdict(list)
    for photograph in photographs:
        if photograph.path in measured:
            values = dict(zip(QUALITY_FIELDS, measured[photograph.path].tolist(), strict=True))
            if kind := _kind(values):
                score = values["score"]
                bad[kind].append((0.0 if math.isnan(score) else score, photograph))
    found = []
    for kind, members in bad.items():
        members.sort(key=lambda one: (one[0], one[1].file))
        detail = f"{len(members)} of {len(measured)} pictures; quality from {members[0][0]:.2f}"
        pictures = tuple(p for _, p in members)
        found.append(Finding(kind, WARNING, pictures, members[0][0], detail))
    return found


def _kind(values: Mapping[str, float]) -> str:
    """What is wrong with a picture; "" where nothing is, or it is too small to tell."""
    if values["brightness"] < DARKEST:
        return "black"
    if not values["score"] < MIN_GRADABLE:  # NaN too
        return ""
    worst = min(("focus", "exposure", "field"), key=lambda part: values[part])
    if worst == "focus":
        return "blurred"
    if worst == "exposure" and values["brightness"] >= BRIGHT:
        return "overexposed"
    return "ungradable"
