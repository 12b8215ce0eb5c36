"""How an option is declared: a dataclass field with parser, help text, choices and limits."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from dr_ovo.errors import UserError

TRUE_WORDS = {"true": True, "1": True, "yes": True, "on": True}
FALSE_WORDS = {"false": False, "0": False, "no": False, "off": False}


class Fixed(IntEnum):
    """From when on an option can't be changed. Each includes those before it."""

    NEVER = 0
    IN_A_RUN = 1  # a resumed training must share it, though it does not change the weights
    IN_WEIGHTS = 2  # it decides which weights a training gives
    IN_A_NETWORK = 3  # all classifiers of one network must share it


def option(
    default: Any,
    parse: Callable[[str], Any],
    help: str,
    *,
    fixed: Fixed = Fixed.NEVER,
    in_recipe: bool = False,
    metavar: str = "",
    checkpoint_key: str = "",
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
) -> Any:
    """A field with its command-line parser, help text and limits.

    `in_recipe`: whether a recipe may set it, since it belongs to the method and not to a machine,
    a dataset or a network. `metavar`: what --help shows for the value, if not the choices.
    `checkpoint_key`: the entry of a checkpoint that holds what follows from it. `low`/`high` are
    inclusive, `above` is exclusive.
    """
    metadata = {
        "parse": parse,
        "help": help,
        "fixed": fixed,
        "in_recipe": in_recipe,
        "metavar": metavar or ("true|false" if parse is boolean else "|".join(choices)),
        "checkpoint_key": checkpoint_key,
        "choices": choices,
        "low": low,
        "high": high,
        "above": above,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Options:
    """A group of options. Raises UserError for values out of range or that exclude each other."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_limits(field, getattr(self, field.name))
        self.check()

    def check(self) -> None:
        """Raises UserError for what the limits of single options can't express."""


def boolean(text: str) -> bool:
    """True or False for the usual words; ValueError otherwise."""
    words = TRUE_WORDS | FALSE_WORDS
    if text.lower() not in words:
        raise ValueError("expected true or false")
    return words[text.lower()]


def positive(text: str) -> float:
    """A finite number above 0, for argparse; its error says what was expected."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}': expected a number above 0")
    return value


def typed(parse: Any) -> Any:
    """`parse` with an error that names the value and the expected type."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not {kind_of(parse)}") from None

    return convert


def kind_of(parse: Any) -> str:
    """What a parser accepts, in words."""
    return {int: "a whole number", float: "a number", boolean: "true or false"}.get(parse, "text")


def check_limits(field: dataclasses.Field[Any], value: Any) -> None:
    """Raises UserError for a value outside the limits of its field, or for empty text."""
    limits = field.metadata
    for number in value if isinstance(value, tuple) else (value,):
        if limits["choices"] and number not in limits["choices"]:
            expected = f"one of: {', '.join(limits['choices'])}"
        elif limits["low"] is not None and not number >= limits["low"]:
            expected = f"at least {limits['low']}"
        elif limits["high"] is not None and not number <= limits["high"]:
            expected = f"at most {limits['high']}"
        elif limits["above"] is not None and not number > limits["above"]:
            expected = f"above {limits['above']}"
        elif isinstance(number, float) and math.isinf(number):
            expected = "a finite number"
        elif number == "" and field.default != "":  # such as an unset shell variable
            number, expected = "''", "text that is not empty"
        else:
            continue
        raise UserError(f"--{field.name} {number}: expected {expected}.")
