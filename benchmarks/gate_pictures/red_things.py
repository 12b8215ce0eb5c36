"""Drawn red and orange pictures, some with lines like vessels: after the limits had been set."""

from __future__ import annotations

import cv2
import numpy as np

from benchmarks.gate_pictures.canvas import S, clouds, disc, grid, u8


def heat_map(rng: np.random.Generator) -> np.ndarray:
    """A measurement in the colours of heat."""
    level = u8(110 + 45 * clouds(rng, sigmas=(12, 30)))
    return cv2.applyColorMap(level, cv2.COLORMAP_HOT)[..., ::-1].copy()


def red_gradient(rng: np.random.Generator) -> np.ndarray:
    """A background of two reds."""
    x, y = grid()
    along = ((x + rng.uniform(0.2, 2) * y) / (3 * S))[..., None]
    return u8(np.array([225, 120, 60]) * (1 - along) + np.array([120, 30, 20]) * along)


def red_planet(rng: np.random.Generator) -> np.ndarray:
    """A round planet of red sand, with dark plains, a pale pole and a shadow."""
    x, y = grid()
    plains = 1 - 0.35 * (clouds(rng, sigmas=(10, 25)) > 0.6)
    shade = np.clip(1.15 - np.hypot(x - 90, y - 100) / 190, 0.05, 1)
    picture = np.array([205, 120, 75]) * (plains * shade)[..., None]
    picture[np.hypot(x - 128, 2 * (y - 22)) < 40] = (235, 225, 215)
    return disc(u8(cv2.GaussianBlur(picture, (0, 0), 1.5)), rng)


def gas_planet(rng: np.random.Generator) -> np.ndarray:
    """A round planet with bands."""
    _, y = grid()
    bands = np.sin(y / 9 + 0.5 * clouds(rng, sigmas=(8, 30)))[..., None]
    return disc(u8(np.array([200, 160, 120]) * (1 + 0.18 * bands)), rng)


def tomato(rng: np.random.Generator) -> np.ndarray:
    """A slice with chambers and seeds."""
    picture = np.full((S, S, 3), (205, 60, 40), np.uint8)
    for turn in np.arange(0, 360, 60) + rng.uniform(0, 60):
        at = np.deg2rad(turn)
        centre = int(128 + 62 * np.cos(at)), int(128 + 62 * np.sin(at))
        cv2.ellipse(picture, centre, (34, 20), turn, 0, 360, (225, 120, 60), -1, cv2.LINE_AA)
        for _ in range(8):
            seed = tuple(int(c + rng.normal(0, 11)) for c in centre)
            cv2.ellipse(picture, seed, (5, 3), turn, 0, 360, (240, 215, 140), -1, cv2.LINE_AA)
    return disc(cv2.GaussianBlur(picture, (0, 0), 1.2), rng, (255, 255, 255))


def desert(rng: np.random.Generator) -> np.ndarray:
    """Dunes below a blue sky."""
    x, y = grid()
    ridge = 110 + 25 * np.sin(x / 40 + rng.uniform(0, 6))
    ripples = np.sin((y + 6 * clouds(rng, sigmas=(20, 40))) / 3)
    sand = np.array([215, 140, 80]) * (1 + 0.08 * ripples[..., None])
    return u8(np.where((y > ridge)[..., None], sand, np.array([90, 140, 210])))


def leaf(rng: np.random.Generator) -> np.ndarray:
    """A red leaf with pale veins, on white."""
    picture = u8(np.array([170, 50, 35]) * (1 + 0.08 * clouds(rng)[..., None]))
    for step in range(20, 240, 18):
        for side in (-1, 1):
            end = int(128 + side * 110), step - 40 + int(rng.integers(-6, 6))
            cv2.line(picture, (128, step), end, (225, 150, 100), 1, cv2.LINE_AA)
    cv2.line(picture, (128, 5), (128, 250), (225, 150, 100), 3, cv2.LINE_AA)
    shape = np.zeros((S, S), np.uint8)
    cv2.ellipse(shape, (128, 128), (75, 120), 0, 0, 360, 1, -1)
    return np.where(shape[..., None] > 0, picture, np.uint8(255))


def marble(rng: np.random.Generator) -> np.ndarray:
    """Red stone with dark veins."""
    veins = np.exp(-np.abs(clouds(rng, sigmas=(6, 15, 30))) / 0.06)
    stone = 1 + 0.1 * clouds(rng, sigmas=(3, 20))
    return u8(np.array([190, 110, 80]) * (stone * (1 - 0.5 * veins))[..., None])


def fire(rng: np.random.Generator) -> np.ndarray:
    """Flames on black."""
    _, y = grid()
    glow = np.clip(y / S + 0.28 * clouds(rng, sigmas=(6, 20)) - 0.35, 0, 1)[..., None]
    return u8(glow * np.array([420, 200, 40]))
