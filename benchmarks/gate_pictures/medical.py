"""Drawn pictures of medicine that are no fundus: OCT scans, an iris, cells, an X-ray."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from benchmarks.gate_pictures.canvas import S, clouds, disc, grid, u8


def oct_scan(rng, size=(256, 400), tint=(1, 1, 1), ground=8, invert=False):
    """Grey layered band on black, with speckle and a foveal pit"""
    h, w = size
    x = np.arange(w)
    top = (
        0.42 * h
        + 0.05 * h * np.sin(x / w * rng.uniform(2, 6) + rng.uniform(0, 6))
        + 0.1 * h * np.exp(-(((x - w * rng.uniform(0.3, 0.7)) / (0.07 * w)) ** 2))
    )
    y = np.arange(h)[:, None]
    d = (y - top[None]) / h
    im = np.zeros((h, w))
    depth = [0, 0.04, 0.08, 0.11, 0.16, 0.19, 0.22, 0.27]
    for lo, hi in pairwise(depth):
        im += np.where((d >= lo) & (d < hi), rng.uniform(40, 230), 0)
    im += np.where(d >= 0.27, 110 * np.exp(-(d - 0.27) * 9), 0)
    im = cv2.GaussianBlur(im, (0, 0), 1.2)
    im = ground + im * rng.gamma(4, 0.25, (h, w))
    if invert:
        im = 255 - np.clip(im, 0, 255)
    return u8(im[..., None] * np.array(tint))


def oct_with_face(rng):
    scan = oct_scan(rng, (256, 320))
    face = u8(np.repeat((110 + 30 * clouds(rng))[..., None], 3, 2))
    return np.hstack([face, scan])


def oct_false(rng):
    g = oct_scan(rng)[..., 0]
    return cv2.applyColorMap(g, int(rng.choice([cv2.COLORMAP_JET, cv2.COLORMAP_HOT])))[
        ..., ::-1
    ].copy()


def oct_round(rng):
    """an OCT in a round mask"""
    return disc(oct_scan(rng, (S, S)), rng)


def iris(rng):
    x, y = grid()
    dx, dy = x - 128, y - 128
    r = np.hypot(dx, dy)
    a = np.arctan2(dy, dx)
    im = np.full((S, S, 3), (225, 180, 160), np.float32)
    white = (dx / 120) ** 2 + (dy / 62) ** 2 < 1
    im[white] = (235, 225, 220)
    fib = sum(np.cos(k * a + rng.uniform(0, 6)) / 8 for k in range(20, 60, 5))
    ring = (r < 55) & white
    im[ring] = (np.array([120, 80, 45]) * (1 + 0.25 * fib[..., None]))[ring]
    im[(r < 20)] = 10
    im[(np.hypot(dx - 10, dy + 10) < 6)] = 250
    return u8(cv2.GaussianBlur(im, (0, 0), 1))


def stained(rng):
    """histology-like: purple nuclei on pink"""
    im = np.full((S, S, 3), (228, 170, 200), np.float32) * (
        1 + 0.06 * clouds(rng, sigmas=(2, 8))[..., None]
    )
    im = u8(im)
    for _ in range(250):
        cv2.ellipse(
            im,
            tuple(map(int, rng.integers(0, S, 2))),
            tuple(map(int, rng.integers(2, 6, 2))),
            float(rng.uniform(0, 180)),
            0,
            360,
            (110, 60, 130),
            -1,
            cv2.LINE_AA,
        )
    return im


def cells(rng):
    im = np.zeros((S, S, 3), np.uint8)
    for _ in range(25):
        cv2.ellipse(
            im,
            tuple(map(int, rng.integers(0, S, 2))),
            tuple(map(int, rng.integers(8, 20, 2))),
            float(rng.uniform(0, 180)),
            0,
            360,
            (60, 90, 220),
            -1,
            cv2.LINE_AA,
        )
    return cv2.GaussianBlur(im, (0, 0), 2)


def phantom(rng):
    im = np.zeros((S, S, 3), np.uint8)
    cv2.ellipse(im, (128, 128), (88, 118), 0, 0, 360, (255,) * 3, -1)
    cv2.ellipse(im, (128, 130), (80, 110), 0, 0, 360, (60,) * 3, -1)
    for p, a, g in (
        ((100, 128), (18, 40), 10),
        ((158, 128), (14, 36), 10),
        ((128, 85), (25, 30), 90),
    ):
        cv2.ellipse(im, p, a, float(rng.uniform(-20, 20)), 0, 360, (g,) * 3, -1)
    return im


def xray(rng):
    im = 30 + 120 * np.exp(-(((grid()[0] - 128) / 90) ** 2)) * (1 + 0.1 * clouds(rng))
    for k in range(8):
        layer = np.zeros((S, S), np.float32)
        cv2.ellipse(layer, (128, 40 + 26 * k), (95, 24), 0, 180, 360, 1.0, 5, cv2.LINE_AA)
        im = im + 40 * cv2.GaussianBlur(layer, (0, 0), 2)
    return u8(np.repeat(im[..., None], 3, 2))
