"""How an option is declared: a dataclass field with parser, help text, choices and limits."""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Callable
from typing import Any

from dr_ovo.errors import UserError

TRUE_WORDS = {"true": True, "1": True, "yes": True, "on": True}
FALSE_WORDS = {"false": False, "0": False, "no": False, "off": False}


def option(
    default: Any,
    parse: Callable[[str], Any],
    help: str,
    *,
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    matters: bool = True,
) -> Any:
    """A field with its command-line parser, help text and limits.

    `low`/`high` are inclusive, `above` is exclusive. `matters`: whether a training can't be resumed
    with another value.
    """
    metadata = {
        "parse": parse,
        "help": help,
        "choices": choices,
        "low": low,
        "high": high,
        "above": above,
        "matters": matters,
    }
    return dataclasses.field(default=default, metadata=metadata)


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
