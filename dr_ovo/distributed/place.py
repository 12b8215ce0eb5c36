"""Where torchrun put this process, by its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

from dr_ovo.errors import UserError


@dataclass(frozen=True)
class Place:
    """Where torchrun put this process: its rank among `count`, and its number on its machine, which
    has `here` of them."""

    rank: int
    count: int
    local: int
    here: int


def place_in_environment() -> Place | None:
    """This process's place; None where it was started alone. Raises UserError for variables of
    torchrun that make no sense."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return None
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    texts = [os.environ.get(name, "") for name in names]
    try:
        rank, count = int(texts[0]), int(texts[1])
        place = Place(rank, count, int(texts[2] or rank), int(texts[3] or count))
    except ValueError:
        place = Place(-1, 0, 0, 0)
    if not 0 <= place.rank < place.count:
        said = ", ".join(f"{name}={text!r}" for name, text in zip(names, texts, strict=True))
        raise UserError(
            f"The environment has {said}: expected numbers as torchrun sets them. Start with "
            "torchrun, or unset them to run as one process."
        )
    return place if place.count > 1 else None
