"""Ordinary pictures, drawn from seeds: none is a photograph of a fundus.

Noise, text, diagrams, cartoons, OCT scans, round things and textures, many of them red or round on
purpose. All are (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np

S = 256  # pixels of a side


def _grid(size=S):
    y, x = np.mgrid[:size, :size].astype(np.float32)
    return x, y


def clouds(rng, size=S, sigmas=(4, 12, 30)):
    """(size,size) float, mean 0 sd 1: smoothed noise of several scales"""
    out = np.zeros((size, size), np.float32)
    for s in sigmas:
        n = cv2.GaussianBlur(rng.standard_normal((size, size)).astype(np.float32), (0, 0), s)
        out += n / n.std()
    return out / out.std()


def disc(inner, rng, ground=(0, 0, 0), radius=None, centre=None):
    """What of a picture is inside a circle, on plain ground."""
    h, w = inner.shape[:2]
    r = radius or 0.45 * min(h, w)
    cx, cy = centre or (w / 2, h / 2)
    x, y = np.meshgrid(np.arange(w), np.arange(h))
    inside = (x - cx) ** 2 + (y - cy) ** 2 <= r * r
    out = np.empty_like(inner)
    out[:] = ground
    out[inside] = inner[inside]
    return out


def u8(a):
    """Rounded to 0-255."""
    return np.clip(np.rint(a), 0, 255).astype(np.uint8)


def uniform(colour):
    """One colour."""
    return np.full((S, S, 3), colour, np.uint8)


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


def ball(rng, colour=(245, 150, 30), pores=0.02, light=True, ground=(0, 0, 0)):
    x, y = _grid()
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
    x, y = _grid()
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


def iris(rng):
    x, y = _grid()
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


def wood(rng):
    x, _ = _grid()
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
    x, y = _grid()
    t = (y / S)[..., None]
    im = np.array([90, 40, 70]) * (1 - t) + np.array([250, 140, 50]) * t
    im = im * (1 + 0.05 * clouds(rng, sigmas=(8, 25))[..., None])
    s = np.hypot(x - 128, y - 190) < 22
    im[s] = (255, 230, 160)
    im[y > 215] = (30, 20, 25)
    return u8(im)


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
    im = 30 + 120 * np.exp(-(((_grid()[0] - 128) / 90) ** 2)) * (1 + 0.1 * clouds(rng))
    for k in range(8):
        layer = np.zeros((S, S), np.float32)
        cv2.ellipse(layer, (128, 40 + 26 * k), (95, 24), 0, 180, 360, 1.0, 5, cv2.LINE_AA)
        im = im + 40 * cv2.GaussianBlur(layer, (0, 0), 2)
    return u8(np.repeat(im[..., None], 3, 2))


def checker(rng):
    x, y = _grid()
    return u8(np.repeat((255 * (((x // 32) + (y // 32)) % 2))[..., None], 3, 2))


def wheel(rng, ground=(255,) * 3):
    x, y = _grid()
    hue = ((np.arctan2(y - 128, x - 128) + np.pi) / (2 * np.pi) * 179).astype(np.uint8)
    sat = np.clip(np.hypot(x - 128, y - 128) / 115 * 255, 0, 255).astype(np.uint8)
    return disc(
        cv2.cvtColor(np.stack([hue, sat, np.full_like(hue, 240)], -1), cv2.COLOR_HSV2RGB),
        rng,
        ground,
    )


def _in_disc(draw: Callable[[np.random.Generator], np.ndarray], ground: tuple = (0, 0, 0)):
    """The same in a round field."""
    return lambda rng: disc(draw(rng), rng, ground)


BLACK, WHITE = (0, 0, 0), (255, 255, 255)
PLAIN = {
    f"plain {name}": colour
    for name, colour in {
        "black": BLACK, "white": WHITE, "grey": (128, 128, 128), "orange": (180, 90, 40),
        "red": (200, 30, 30), "nearly black": (20, 20, 20),
    }.items()
}  # fmt: skip
NOISES = (noise_grey, noise_rgb, noise_red, noise_red2, clouds_rgb, clouds_red, clouds_grey)
TEXTURES = (wood, bricks, skin, sunset, stained, checker, cartoon, iris)
THINGS = (ball, moon, petri, plate, pizza, sign, clock, basketball, coin, wheel)
KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    **{name: (lambda rng, own=colour: uniform(own)) for name, colour in PLAIN.items()},
    "plain orange disc": _in_disc(lambda rng: uniform((180, 90, 40))),
    "plain grey disc": _in_disc(lambda rng: uniform((128, 128, 128))),
    **{f"{draw.__name__}": draw for draw in (*NOISES, *TEXTURES)},
    **{f"{draw.__name__} disc": _in_disc(draw) for draw in (*NOISES, *TEXTURES)},
    "text": text,
    "text on paper": lambda rng: text(rng, (70, 40, 30), (240, 215, 170)),
    "text on dark": lambda rng: text(rng, (220, 220, 220), (20, 20, 24)),
    "text disc": _in_disc(lambda rng: text(rng, size=(S, S))),
    "diagram": diagram,
    "diagram on dark": lambda rng: diagram(rng, True),
    "plot": plot,
    "pie": pie,
    "pie on black": lambda rng: pie(rng, 0),
    "oct": oct_scan,
    "oct inverted": lambda rng: oct_scan(rng, invert=True),
    "oct red": lambda rng: oct_scan(rng, tint=(1, 0.5, 0.2)),
    "oct false colour": oct_false,
    "oct with face": oct_with_face,
    "oct disc": oct_round,
    **{f"{draw.__name__} on black": (lambda rng, d=draw: d(rng, ground=BLACK)) for draw in THINGS},
    **{f"{draw.__name__} on white": (lambda rng, d=draw: d(rng, ground=WHITE)) for draw in THINGS},
    "red moon": lambda rng: moon(rng, (200, 95, 45)),
    "apple": lambda rng: ball(rng, (190, 35, 30), 0),
    "smooth orange": lambda rng: ball(rng, (240, 130, 30), 0),
    "brown ball": lambda rng: ball(rng, (150, 80, 40), 0.05, False),
    "grey ball": lambda rng: ball(rng, (180, 180, 180)),
    **{draw.__name__: draw for draw in (stars, cells, phantom, xray, sun)},
}


def drawn(seeds: int) -> dict[str, np.ndarray]:
    """A picture of each kind for each of so many seeds, by name."""
    return {
        f"{name} {seed}": draw(np.random.default_rng([77, seed, number]))
        for number, (name, draw) in enumerate(KINDS.items())
        for seed in range(seeds)
    }
