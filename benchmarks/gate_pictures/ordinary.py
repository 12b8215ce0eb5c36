"""Ordinary pictures, drawn from seeds: none is a photograph of a fundus.

Noise, text, diagrams, cartoons, OCT scans, round things and textures, many of them red or round on
purpose. All are (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.gate_pictures.canvas import S, disc, uniform
from benchmarks.gate_pictures.drawings import cartoon, checker, diagram, pie, plot, text, wheel
from benchmarks.gate_pictures.medical import (
    cells,
    iris,
    oct_false,
    oct_round,
    oct_scan,
    oct_with_face,
    phantom,
    stained,
    xray,
)
from benchmarks.gate_pictures.noises import (
    bricks,
    clouds_grey,
    clouds_red,
    clouds_rgb,
    noise_grey,
    noise_red,
    noise_red2,
    noise_rgb,
    skin,
    stars,
    sunset,
    wood,
)
from benchmarks.gate_pictures.red_things import (
    desert,
    fire,
    gas_planet,
    heat_map,
    leaf,
    marble,
    red_gradient,
    red_planet,
    tomato,
)
from benchmarks.gate_pictures.things import (
    ball,
    basketball,
    clock,
    coin,
    moon,
    petri,
    pizza,
    plate,
    sign,
    sun,
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
RED = (heat_map, red_gradient, red_planet, gas_planet, tomato, desert, leaf, marble, fire)
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
# Drawn after the limits had been set.
LATER: dict[str, Callable[[np.random.Generator], np.ndarray]] = {d.__name__: d for d in RED}


def drawn(
    seeds: int, kinds: Mapping[str, Callable[[np.random.Generator], np.ndarray]] = KINDS
) -> dict[str, np.ndarray]:
    """A picture of each kind for each of so many seeds, by name."""
    return {
        f"{name} {seed}": draw(np.random.default_rng([77, seed, number]))
        for number, (name, draw) in enumerate(kinds.items())
        for seed in range(seeds)
    }
