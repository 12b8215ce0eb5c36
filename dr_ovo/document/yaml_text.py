"""YAML of plain values, so that no name means anything in it: each text is quoted as in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dr_ovo.tables import visible

_NOT_IN_YAML = re.compile("[\ufeff\ufffe\uffff]")
INDENT = "  "


def yaml_text(values: Mapping[str, Any], notes: Mapping[str, str]) -> str:
    """A mapping of texts, numbers, lists and mappings as lines of YAML; keys are plain words.

    `notes`: top keys with a comment behind their value.
    """
    lines = []
    for key, value in values.items():
        own = _entry(key, value, "")
        if key in notes:
            own[0] += f"  # {visible(notes[key])}"
        lines += own
    return "\n".join(lines)


def _entry(key: str, value: Any, indent: str) -> list[str]:
    if isinstance(value, Mapping) and value:
        inner = [line for name, one in value.items() for line in _entry(name, one, indent + INDENT)]
        return [f"{indent}{key}:", *inner]
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return [f"{indent}{key}:", *(line for one in value for line in _item(one, indent))]
    return [f"{indent}{key}: {_scalar(value)}"]


def _item(value: Any, indent: str) -> list[str]:
    if not isinstance(value, Mapping):
        return [f"{indent}- {_scalar(value)}"]
    lines = [line for key, one in value.items() for line in _entry(key, one, indent + INDENT)]
    return [f"{indent}- {lines[0].removeprefix(indent + INDENT)}", *lines[1:]]


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        text = json.dumps(visible(value), ensure_ascii=False)
        return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if isinstance(value, float):
        # YAML 1.1 takes 1e-07 for a text, 1.0e-07 for a number.
        mantissa, letter, exponent = repr(value).partition("e")
        point = "" if "." in mantissa or not letter else ".0"
        return f"{mantissa}{point}{letter}{exponent}"
    return json.dumps(value)
