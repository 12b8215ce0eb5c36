"""Reads JSON files of this toolkit: checked against a schema, and refused in words."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

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
_KEY = re.compile(r".* - at `key` in `\$\.?(?P<place>.*)`", re.DOTALL)
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
        problem = _in_words(str(error), data, schema)
    raise UserError(f"{path} is damaged: {problem}. {advice}")


def problem_of(data: Mapping[str, Any], schema: Any) -> str:
    """What of the data does not fit a schema, in words; "" for nothing."""
    try:
        msgspec.convert(data, schema)
    except (msgspec.ValidationError, ValueError) as error:
        return _in_words(str(error), data, schema)
    return ""


def check_schema(data: dict[str, Any], schema: Any, path: Path, advice: str) -> dict[str, Any]:
    """What was read from `path`, if it fits `schema`; keys that the schema does not have stay.
    Raises UserError as `read_as` does."""
    as_schema(data, schema, path, advice)
    return data


def _in_words(said: str, data: Mapping[str, Any], schema: Any) -> str:
    if match := _MISSING.fullmatch(said):
        return f"it has no {'.'.join(filter(None, (match['place'], match['key'])))}"
    if match := _KEY.fullmatch(said):
        return f"a key of its {match['place'] or 'content'} is no text"
    match = _SAID.fullmatch(said)
    other = match or _ELSE.fullmatch(said)
    assert other is not None  # the pattern takes any text
    found = _place_and_value(other["place"], data)
    if expected := _expected(schema, other["place"]):
        return f"its {found}; expected {expected}"
    if match:
        kinds = " or ".join(_KINDS.get(kind, kind) for kind in match["kind"].split(" | "))
        return f"its {found}; expected {kinds}{match['condition']}"
    return f"its {found} ({other['said']})"


def _expected(schema: Any, key: str | None) -> str:
    """The values of a key that is a Literal, or the description of its Meta; "" for neither."""
    hint = get_type_hints(schema, include_extras=True).get(key or "")
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, get_args(hint)))}"
    return next((meta.description or "" for meta in getattr(hint, "__metadata__", ())), "")


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
    try:
        shown = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # a tensor, or a key that is no text
        return f"{place} is a {type(value).__name__}"
    return f"{place} is {shown[:LONGEST_SHOWN]}{'...' * (len(shown) > LONGEST_SHOWN)}"


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number in JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:LONGEST_SHOWN]} is too large")
    return number
