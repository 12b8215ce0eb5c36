"""Settings in files: `--config`, in TOML or JSON, or a results folder's config.json; recipes."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.settings.option import Fixed, boolean, kind_of, typed
from dr_ovo.settings.train_config import DECODING, FIELDS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


RECIPE = "recipe"  # a settings file may name one


def read_settings_file(
    path_text: str | None, *, training: bool = True
) -> tuple[str, dict[str, Any]]:
    """The file's name and its values by field name, and the recipe that it names, if any; both
    empty for None. A config.json says how networks are decoded only to a training: others have a
    config.json of their own.

    Raises UserError if it can't be read or has an unknown or invalid setting.
    """
    if path_text is None:
        return "", {}
    path, where = Path(path_text), f"--config {path_text}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{where}: can't be read ({error.strerror}).") from None
    data = parse(content, where, is_json=path.suffix.lower() == ".json")
    if "schema" in data and isinstance(data.get("settings"), dict):  # a config.json
        data = {
            name: value
            for name, value in data["settings"].items()
            if name in FIELDS
            and FIELDS[name].metadata["fixed"] > Fixed.NEVER
            and (training or name not in DECODING)
        }
    recipe = {RECIPE: data.pop(RECIPE)} if RECIPE in data else {}
    if not all(isinstance(name, str) for name in recipe.values()):
        raise UserError(f"{where}: {RECIPE} = {recipe[RECIPE]!r}: expected a name or a file.")
    return path.name, parse_values(data, where) | recipe


def parse(content: bytes, where: str, *, is_json: bool = False) -> dict[str, Any]:
    """The names and values in a TOML file, or a JSON file if it is one. Raises UserError, which
    begins with `where`, for any other content."""
    try:
        text = content.decode("utf-8-sig")  # editors of Windows write a byte order mark
        data = json.loads(text) if is_json else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        expected = "JSON" if is_json else "TOML"
        raise UserError(f"{where}: not valid {expected}: {error}.") from None
    if not isinstance(data, dict):
        raise UserError(f"{where}: expected names with values, such as epochs = 50.")
    return data


def parse_values(data: dict[str, Any], where: str) -> dict[str, Any]:
    """The settings in a file's `data`, by field name. Raises UserError, which begins with `where`,
    for an unknown or invalid one, and for one that is there in two spellings."""
    spelled: dict[str, list[str]] = {}
    for key in data:
        spelled.setdefault(key.replace("-", "_"), []).append(key)
    twice = [" and ".join(keys) for keys in spelled.values() if len(keys) > 1]
    if twice:
        raise UserError(f"{where}: the same setting twice: {', '.join(twice)}. Keep one of them.")
    data = {name: data[key] for name, (key,) in spelled.items()}
    unknown = [f"--{name}" for name in data if name not in FIELDS]
    if unknown:
        raise UserError(f"{where}: {unknown_flags(unknown, [*FIELDS])}")
    return {name: _from_file(where, name, value) for name, value in data.items()}


def _from_file(where: str, name: str, value: Any) -> Any:
    """A value from a settings file, parsed like one from the command line."""
    field = FIELDS[name]
    parse, many = field.metadata["parse"], isinstance(field.default, tuple)
    items = value if isinstance(value, list) else [value]
    if len(items) != 1 and not many:
        raise UserError(f"{where}: {name} = {value!r} is not a single value.")
    try:
        parsed = [typed(parse)(_as_text(item, parse)) for item in items]
    except argparse.ArgumentTypeError as error:
        raise UserError(f"{where}: {name}: {error}.") from None
    return tuple(parsed) if many else parsed[0]


def _as_text(item: Any, parse: Any) -> str:
    """A value from a settings file as it would be written on the command line."""
    types: tuple[type, ...] = (str, int, float)
    if not isinstance(item, types) or (isinstance(item, bool) and parse is not boolean):
        raise argparse.ArgumentTypeError(f"{json.dumps(item, default=str)} is not {kind_of(parse)}")
    return str(item)


def unknown_flags(words: list[str], names: list[str]) -> str:
    """The message for `words` that are not among the flags `names`, with the nearest ones."""
    flags = [word.partition("=")[0] for word in words if word.startswith("--")]
    if not flags:
        return f"Not expected here: {' '.join(words)}. Values follow their flag; see --help."
    lines = []
    for flag in flags:
        near = difflib.get_close_matches(flag[2:], names, n=3, cutoff=0.5)
        hint = f" Did you mean {', '.join('--' + name for name in near)}?" if near else ""
        lines.append(f"Unknown flag {flag}.{hint}")
    return "\n".join([*lines, "All flags: --help."])
