"""Drawn noise and textures: grey, red, of wood, bricks, skin, and a red sky."""

from __future__ import annotations

import cv2
import numpy as np

from benchmarks.gate_pictures.canvas import S, clouds, grid, u8


def noise_grey(rng):
    return np.repeat(rng.integers(0, 256, (S, S, 1)), 3, 2).astype(np.uint8)


def noise_rgb(rng):
    return rng.integers(0, 256, (S, S, 3)).astype(np.uint8)


def noise_red(rng):
    return u8(rng.uniform(0, 1, (S, S, 1)) * np.array([230, 120, 50]))


def noise_red2(rng):
    return u8(np.array([180, 90, 40]) + 30 * rng.standard_normal((S, S, 3)))


def clouds_rgb(rng):
    return u8(128 + 50 * np.stack([clouds(rng) for _ in range(3)], -1))


def clouds_red(rng):
    return u8((1 + 0.3 * clouds(rng)[..., None]) * np.array([180, 95, 40]))


def clouds_grey(rng):
    return u8(np.repeat(128 + 40 * clouds(rng)[..., None], 3, 2))


def wood(rng):
    x, _ = grid()
    v = np.sin((x + 12 * clouds(rng, sigmas=(20, 40))) / 4)
    return u8(
        np.array([170, 105, 55]) * (1 + 0.18 * v[..., None] + 0.03 * rng.standard_normal((S, S, 1)))
    )


def bricks(rng):
    im = np.full((S, S, 3), (190, 185, 175), np.uint8)
    for r in range(12):
        for c in range(-1, 7):
            x, y = c * 46 + (r % 2) * 23, r * 22
            k = rng.uniform(0.8, 1.2)
            cv2.rectangle(
                im, (x + 2, y + 2), (x + 43, y + 19), tuple(int(v * k) for v in (160, 75, 55)), -1
            )
    return u8(im * (1 + 0.05 * rng.standard_normal((S, S, 1))))


def skin(rng):
    return u8(np.array([220, 165, 140]) * (1 + 0.05 * clouds(rng, sigmas=(1, 20))[..., None]))


def sunset(rng):
    x, y = grid()
    t = (y / S)[..., None]
    im = np.array([90, 40, 70]) * (1 - t) + np.array([250, 140, 50]) * t
    im = im * (1 + 0.05 * clouds(rng, sigmas=(8, 25))[..., None])
    s = np.hypot(x - 128, y - 190) < 22
    im[s] = (255, 230, 160)
    im[y > 215] = (30, 20, 25)
    return u8(im)


def stars(rng):
    im = np.zeros((S, S, 3), np.uint8)
    for _ in range(160):
        cv2.circle(
            im,
            tuple(map(int, rng.integers(0, S, 2))),
            int(rng.integers(0, 4)),
            tuple(map(int, rng.integers(120, 256, 3))),
            -1,
            cv2.LINE_AA,
        )
    return cv2.GaussianBlur(im, (0, 0), 1)
