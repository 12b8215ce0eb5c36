"""Drawn round things, on plain ground."""

from __future__ import annotations

import cv2
import numpy as np

from benchmarks.gate_pictures.canvas import S, clouds, disc, grid, u8


def ball(rng, colour=(245, 150, 30), pores=0.02, light=True, ground=(0, 0, 0)):
    x, y = grid()
    r = 0.45 * S
    dx, dy = (x - S / 2) / r, (y - S / 2) / r
    z = np.sqrt(np.clip(1 - dx**2 - dy**2, 0, 1))
    lamp = np.array([-0.4, -0.5, 0.77])
    shade = 0.25 + 0.75 * np.clip(dx * lamp[0] + dy * lamp[1] + z * lamp[2], 0, 1)
    if pores:
        shade = shade * (
            1
            + pores
            * cv2.GaussianBlur(rng.standard_normal((S, S)).astype(np.float32), (0, 0), 1.5)
            * 4
        )
    im = shade[..., None] * np.array(colour)
    if light:
        s = np.exp(-((dx + 0.35) ** 2 + (dy + 0.4) ** 2) / 0.02)
        im = im + 200 * s[..., None]
    return disc(u8(im), rng, ground)


def moon(rng, colour=(225, 222, 210), ground=(0, 0, 0)):
    base = 1 + 0.16 * clouds(rng, sigmas=(14, 30))
    im = base
    for _ in range(60):
        p = tuple(map(int, rng.integers(20, S - 20, 2)))
        r = int(rng.integers(2, 9))
        layer = np.zeros((S, S), np.float32)
        cv2.circle(layer, p, r, 1.0, 1, cv2.LINE_AA)
        cv2.circle(layer, p, r - 1, -0.7, -1, cv2.LINE_AA)
        im = im + 0.25 * layer
    im = cv2.GaussianBlur(im.astype(np.float32), (0, 0), 0.8)
    return disc(u8(im[..., None] * np.array(colour) * 0.8), rng, ground)


def petri(rng, ground=(15, 15, 15)):
    im = np.full((S, S, 3), (196, 178, 120), np.uint8)
    for _ in range(90):
        cv2.circle(
            im,
            tuple(map(int, rng.integers(20, S - 20, 2))),
            int(rng.integers(2, 7)),
            (235, 225, 190),
            -1,
            cv2.LINE_AA,
        )
    cv2.circle(im, (S // 2, S // 2), 112, (225, 225, 225), 3, cv2.LINE_AA)
    return disc(im, rng, ground)


def plate(rng, ground=(90, 60, 40)):
    im = np.full((S, S, 3), 235, np.uint8)
    cv2.circle(im, (128, 128), 80, (220, 220, 220), 2, cv2.LINE_AA)
    for _ in range(10):
        cv2.ellipse(
            im,
            tuple(map(int, rng.integers(75, 180, 2))),
            tuple(map(int, rng.integers(8, 30, 2))),
            float(rng.uniform(0, 180)),
            0,
            360,
            [(200, 50, 30), (60, 140, 40), (150, 90, 40), (240, 200, 70)][rng.integers(4)],
            -1,
            cv2.LINE_AA,
        )
    return disc(im, rng, ground)


def pizza(rng, ground=(0, 0, 0)):
    im = u8(np.array([220, 160, 70]) * (1 + 0.15 * clouds(rng)[..., None]))
    for _ in range(14):
        cv2.circle(
            im,
            tuple(map(int, rng.integers(35, S - 35, 2))),
            int(rng.integers(10, 18)),
            (180, 40, 25),
            -1,
            cv2.LINE_AA,
        )
    cv2.circle(im, (128, 128), 112, (170, 110, 50), 8, cv2.LINE_AA)
    return disc(im, rng, ground)


def sign(rng, ground=(0, 0, 0)):
    im = np.full((S, S, 3), (200, 20, 25), np.uint8)
    if rng.random() < 0.5:
        cv2.rectangle(im, (60, 110), (196, 146), (255,) * 3, -1)
    else:
        cv2.circle(im, (128, 128), 85, (255,) * 3, -1, cv2.LINE_AA)
        cv2.putText(im, "50", (70, 155), cv2.FONT_HERSHEY_SIMPLEX, 2.6, (0, 0, 0), 8, cv2.LINE_AA)
    return disc(im, rng, ground)


def clock(rng, ground=(0, 0, 0)):
    im = np.full((S, S, 3), (235, 225, 205), np.uint8)
    for k in range(12):
        a = k * np.pi / 6
        cv2.putText(
            im,
            str(k or 12),
            (int(120 + 90 * np.sin(a)), int(134 - 90 * np.cos(a))),
            0,
            0.5,
            (0, 0, 0),
            1,
            cv2.LINE_AA,
        )
    for ln in (55, 80):
        a = rng.uniform(0, 6.28)
        cv2.line(
            im,
            (128, 128),
            (int(128 + ln * np.sin(a)), int(128 - ln * np.cos(a))),
            (0, 0, 0),
            3,
            cv2.LINE_AA,
        )
    return disc(im, rng, ground)


def basketball(rng, ground=(0, 0, 0)):
    im = ball(rng, (225, 110, 45), 0.04, ground=ground)
    for a in (0, 90):
        cv2.ellipse(im, (128, 128), (115, 3), a, 0, 360, (30, 20, 15), 2, cv2.LINE_AA)
    for s in (-1, 1):
        cv2.ellipse(im, (128 + s * 110, 128), (60, 90), 0, 0, 360, (30, 20, 15), 2, cv2.LINE_AA)
    return disc(im, rng, ground)


def coin(rng, ground=(0, 0, 0)):
    im = u8(np.array([184, 115, 51]) * (1 + 0.05 * clouds(rng, sigmas=(2, 5))[..., None]))
    cv2.circle(im, (128, 128), 105, (120, 70, 30), 2, cv2.LINE_AA)
    cv2.putText(im, "1 CENT", (50, 140), 0, 1.1, (110, 60, 25), 4, cv2.LINE_AA)
    return disc(im, rng, ground)


def sun(rng, ground=(0, 0, 0)):
    x, y = grid()
    r = np.hypot(x - 128, y - 128) / 115
    return disc(
        u8(
            np.array([255, 150, 40])
            * np.clip(1.05 - 0.35 * r**2, 0, 1)[..., None]
            * (1 + 0.04 * clouds(rng, sigmas=(1.5, 3))[..., None])
        ),
        rng,
        ground,
    )
