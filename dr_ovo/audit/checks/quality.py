"""Checks for pictures that can't be graded: black, tiny, blurred, overexposed, and others."""

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
DARKEST = 30.0  # grey levels; 99 % of a black picture's pixels are below, in the brightest channel
BRIGHT = 150.0  # grey levels; a badly exposed picture above this is too bright, not too dark


def tiny_findings(
    photographs: Sequence[Photograph], described: Mapping[Path, Described | Damage]
) -> list[Finding]:
    """One warning on all pictures with a side below SMALLEST_SIDE."""
    small = tuple(
        p
        for p in photographs
        if isinstance(d := described[p.path], Described) and min(d.width, d.height) < SMALLEST_SIDE
    )
    detail = f"fewer than {SMALLEST_SIDE} pixels per side: small lesions can't be seen"
    return [Finding("tiny", WARNING, small, None, detail)] if small else []


def quality_findings(
    photographs: Sequence[Photograph], measured: Mapping[Path, np.ndarray]
) -> list[Finding]:
    """One warning per kind of ungradable picture, with all pictures of that kind, worst first.

    `measured` has the QUALITY_FIELDS of each picture; pictures missing from it are not judged.
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
        detail = f"{len(members)} of {len(measured)} pictures; lowest quality {members[0][0]:.2f}"
        pictures = tuple(p for _, p in members)
        found.append(Finding(kind, WARNING, pictures, members[0][0], detail))
    return found


def _kind(values: Mapping[str, float]) -> str:
    """The kind of finding for a picture; "" if it is gradable or too small to tell."""
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
