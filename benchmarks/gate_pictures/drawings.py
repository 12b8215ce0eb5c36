"""Drawn text, cartoons, diagrams and test patterns."""

from __future__ import annotations

import cv2
import numpy as np

from benchmarks.gate_pictures.canvas import S, disc, grid, u8

WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "patients", "wait", "for", "results")


def text(rng, ink=(20, 20, 20), paper=(250, 250, 245), size=(420, 320)):
    im = np.full((*size, 3), paper, np.uint8)
    y = 24
    while y < size[0] - 10:
        line = " ".join(rng.choice(WORDS, 7))
        cv2.putText(im, line, (14, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, ink, 1, cv2.LINE_AA)
        y += 18
    return im


def cartoon(rng):
    im = np.full((S, S, 3), rng.integers(60, 256, 3), np.uint8)
    for _ in range(9):
        c = tuple(map(int, rng.integers(0, 256, 3)))
        p = tuple(map(int, rng.integers(20, S - 20, 2)))
        if rng.random() < 0.5:
            cv2.circle(im, p, int(rng.integers(12, 60)), c, -1, cv2.LINE_AA)
        else:
            cv2.ellipse(
                im,
                p,
                tuple(map(int, rng.integers(12, 70, 2))),
                float(rng.uniform(0, 180)),
                0,
                360,
                c,
                -1,
                cv2.LINE_AA,
            )
        cv2.circle(im, p, int(rng.integers(12, 60)), (0, 0, 0), 2, cv2.LINE_AA)
    return im


def diagram(rng, dark=False):
    im = np.full((S, 340, 3), 15 if dark else 255, np.uint8)
    ink = (230,) * 3 if dark else (0, 0, 0)
    last = None
    for _ in range(6):
        x, y = map(int, rng.integers([10, 10], [250, 210]))
        c = tuple(map(int, rng.integers(100, 255, 3)))
        cv2.rectangle(im, (x, y), (x + 70, y + 32), c, -1)
        cv2.rectangle(im, (x, y), (x + 70, y + 32), ink, 1)
        cv2.putText(
            im,
            str(rng.choice(WORDS)),
            (x + 4, y + 20),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.4,
            (0, 0, 0),
            1,
            cv2.LINE_AA,
        )
        if last:
            cv2.arrowedLine(im, last, (x + 35, y + 16), ink, 1, cv2.LINE_AA)
        last = (x + 35, y + 16)
    return im


def plot(rng):
    im = np.full((S, 340, 3), 255, np.uint8)
    cv2.rectangle(im, (30, 10), (330, 230), (0, 0, 0), 1)
    for _ in range(3):
        v = np.cumsum(rng.standard_normal(60))
        v = 20 + 200 * (v - v.min()) / np.ptp(v)
        pts = np.stack([np.linspace(31, 329, 60), v], 1).astype(np.int32)
        cv2.polylines(im, [pts], False, tuple(map(int, rng.integers(0, 220, 3))), 2, cv2.LINE_AA)
    return im


def pie(rng, ground=255):
    im = np.full((S, S, 3), ground, np.uint8)
    a = 0.0
    for share in rng.dirichlet(np.ones(5) * 3) * 360:
        cv2.ellipse(
            im,
            (S // 2, S // 2),
            (110, 110),
            0,
            a,
            a + share,
            tuple(map(int, rng.integers(30, 256, 3))),
            -1,
            cv2.LINE_AA,
        )
        a += share
    return im


def checker(rng):
    x, y = grid()
    return u8(np.repeat((255 * (((x // 32) + (y // 32)) % 2))[..., None], 3, 2))


def wheel(rng, ground=(255,) * 3):
    x, y = grid()
    hue = ((np.arctan2(y - 128, x - 128) + np.pi) / (2 * np.pi) * 179).astype(np.uint8)
    sat = np.clip(np.hypot(x - 128, y - 128) / 115 * 255, 0, 255).astype(np.uint8)
    return disc(
        cv2.cvtColor(np.stack([hue, sat, np.full_like(hue, 240)], -1), cv2.COLOR_HSV2RGB),
        rng,
        ground,
    )
