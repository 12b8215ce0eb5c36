"""Reads JSON files of this toolkit: checked against a schema, and refused in words."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from dr_ovo.errors import UserError

T = TypeVar("T")
LARGEST = 1 << 26  # bytes of a file
LONGEST_SHOWN = 40  # characters of a wrong value
# What msgspec says of a value: `Expected X`, with conditions, what was there, and the place.
_SAID = re.compile(
    r"Expected `(?P<kind>[^`]+)`(?P<condition>.*?)(?:, got `[^`]+`)?"
    r"(?: - at `\$\.?(?P<place>.*)`)?",
    re.DOTALL,
)
_MISSING = re.compile(
    r"Object missing required field `(?P<key>[^`]+)`(?: - at `\$\.?(?P<place>.*)`)?"
)
_ELSE = re.compile(r"(?P<said>.*?)(?: - at `\$\.?(?P<place>.*)`)?", re.DOTALL)
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list, [...]",
    "object": "an object, {...}",
    "null": "null",
}


def read_json(path: Path, advice: str, largest: int = LARGEST) -> dict[str, Any]:
    """The JSON object in a file.

    Raises UserError, which ends in `advice`, for a file that is missing or damaged, for NaN and
    infinity, for one nested too deeply, and for one of more than `largest` bytes.
    """
    try:
        if path.stat().st_size > largest:
            raise ValueError(f"more than {largest >> 20} MB")
        text = path.read_text(encoding="utf-8-sig")
        data = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} can't be read ({error}). {advice}") from None
    if not isinstance(data, dict):
        raise UserError(f"{path} is damaged: it is no JSON object. {advice}")
    return data


def read_as(path: Path, schema: type[T], advice: str) -> T:
    """The JSON object in a file, as `schema`: a msgspec.Struct, a TypedDict or a dataclass.

    Raises UserError, which names the key, its value and what was expected.
    """
    return as_schema(read_json(path, advice), schema, path, advice)


def as_schema(data: dict[str, Any], schema: type[T], path: Path, advice: str) -> T:
    """What was read from `path`, as `schema`. Raises UserError as `read_as` does."""
    try:
        return msgspec.convert(data, schema)
    except (msgspec.ValidationError, ValueError) as error:
        problem = _in_words(str(error), data)
    raise UserError(f"{path} is damaged: {problem}. {advice}")


def problem_of(data: Mapping[str, Any], schema: Any) -> str:
    """What of the data does not fit a schema, in words; "" for nothing."""
    try:
        msgspec.convert(data, schema)
    except (msgspec.ValidationError, ValueError) as error:
        return _in_words(str(error), data)
    return ""


def check_schema(data: dict[str, Any], schema: Any, path: Path, advice: str) -> dict[str, Any]:
    """What was read from `path`, if it fits `schema`; keys that the schema does not have stay.
    Raises UserError as `read_as` does."""
    as_schema(data, schema, path, advice)
    return data


def _in_words(said: str, data: Mapping[str, Any]) -> str:
    if match := _MISSING.fullmatch(said):
        return f"it has no {'.'.join(filter(None, (match['place'], match['key'])))}"
    if match := _SAID.fullmatch(said):
        kinds = " or ".join(_KINDS.get(kind, kind) for kind in match["kind"].split(" | "))
        return f"its {_place_and_value(match['place'], data)}; expected {kinds}{match['condition']}"
    match = _ELSE.fullmatch(said)
    assert match is not None  # the pattern takes any text
    return f"its {_place_and_value(match['place'], data)} ({match['said']})"


def _place_and_value(place: str | None, data: Mapping[str, Any]) -> str:
    """`branches.0_1.epoch is "x"`; without the value where a part of the place has no name."""
    if not place:
        return "content is of another kind"
    value: Any = data
    for part in re.findall(r"[^.\[\]]+|\[\.\.\.\]", place):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, TypeError, ValueError, IndexError):
            return f"{place} is wrong"
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return f"{place} is {shown[:LONGEST_SHOWN]}{'...' * (len(shown) > LONGEST_SHOWN)}"


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number in JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:LONGEST_SHOWN]} is too large")
    return number
