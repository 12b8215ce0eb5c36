"""Command line, settings file and `.env` -> TrainConfig, with the source of every value."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from dotenv import dotenv_values

from dr_ovo.config import TrainConfig, boolean
from dr_ovo.errors import UserError
from dr_ovo.legacy_flags import LEGACY_FLAGS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ENVIRONMENT = {
    "DR_OVO_DATASET_PATH": "dataset_path",
    "DR_OVO_OUTPUT_ROOT": "output_root",
    "DR_OVO_DEVICE": "device",
}
EXTRA_FLAGS = ("config", "use_amp")  # those of the command line that are no fields
FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig)}


@dataclass(frozen=True)
class Settings:
    """A validated configuration and where each value came from."""

    config: TrainConfig
    sources: dict[str, str]

    def given(self) -> dict[str, Any]:
        """The values that somebody chose, by field name."""
        return {
            name: getattr(self.config, name)
            for name, source in self.sources.items()
            if source != "default"
        }


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}. See --help.")


def parse_settings(argv: Sequence[str]) -> Settings:
    """The settings that `argv`, `--config`, `.env` and the defaults give, in that order of rank.

    A variable of the process's environment beats the same one in `.env`.
    Raises UserError for unknown flags and values that can't be used.
    """
    arguments, legacy = _take_legacy(_normalise(argv))
    for flag in dict.fromkeys(legacy):
        print(f"note: {flag} is from an earlier toolkit: {LEGACY_FLAGS[flag]}", file=sys.stderr)
    known, unknown = _build_parser().parse_known_args(arguments)
    if unknown:
        raise UserError(_unknown_flags(unknown, [*FIELDS, *EXTRA_FLAGS]))
    given = vars(known)
    file_values = _read_config_file(given.pop("config", None))
    layers = (
        ("command line", given),
        (f"file {file_values[0]}", file_values[1]),
        ("environment", _from_variables(os.environ)),
        (".env", _from_variables(_read_dotenv())),
    )
    values, sources = {}, {}
    for name in FIELDS:
        sources[name] = "default"
        for source, layer in layers:
            if name in layer:
                values[name], sources[name] = layer[name], source
                break
    _settle_clahe(values, sources)
    return Settings(TrainConfig(**values), sources)


def _settle_clahe(values: dict[str, Any], sources: dict[str, str]) -> None:
    """Has --enable_clahe say what --preprocessing says; raises UserError where both were given and
    contradict each other."""
    steps = values.get("preprocessing")
    if not steps:
        return
    wanted = "clahe" in steps
    if values.get("enable_clahe", wanted) != wanted:
        first, second = ("", "no-") if values["enable_clahe"] else ("no-", "")
        raise UserError(
            f"--preprocessing {' '.join(steps)} ({sources['preprocessing']}) and "
            f"--{first}enable_clahe ({sources['enable_clahe']}) contradict each other: leave one "
            f"of them out, or give --{second}enable_clahe, which is what the steps say."
        )
    values["enable_clahe"] = wanted
    if sources["enable_clahe"] == "default":
        sources["enable_clahe"] = sources["preprocessing"]


def _normalise(argv: Sequence[str]) -> list[str]:
    """Flags with their dashes as underscores: --no-pretrained is --no_pretrained.

    No argument goes without a flag, so a lone `--` separates nothing: it is left out.
    """
    result = []
    for word in argv:
        if word == "--":
            continue
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            word = "--" + name.replace("-", "_") + equals + value
        result.append(word)
    return result


def _is_flag(word: str) -> bool:
    return word.startswith("--")


def _take_legacy(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments without the flags of earlier toolkits and their values; and those flags."""
    kept, taken, skipping = [], [], False
    for word in arguments:
        if _is_flag(word):
            name = word.partition("=")[0]
            skipping = name in LEGACY_FLAGS
            if skipping:
                taken.append(name)
        if not skipping:
            kept.append(word)
    return kept, taken


def _build_parser() -> _Parser:
    parser = _Parser(
        prog="ensemble_5class_trainer.py",
        description="Trains, evaluates and applies 5-grade diabetic-retinopathy classifiers. "
        "Research use only; not a medical device.",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    # argparse's own takes -1e-5 and -inf for flags.
    parser._negative_number_matcher = re.compile(r"-(\.?\d|inf|nan)", re.IGNORECASE)
    parser.add_argument("--config", metavar="FILE", help="settings file, TOML or JSON")
    for field in FIELDS.values():
        _add_option(parser, field)
    parser.add_argument(
        "--use_amp", dest="amp", action="store_const", const="on", help="the same as --amp on"
    )
    return parser


def _add_option(parser: _Parser, field: dataclasses.Field[Any]) -> None:
    limits, flag = field.metadata, f"--{field.name}"
    default = (
        " ".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
    )
    text = f"{limits['help']} [{default}]".replace("%", "%%")
    if limits["parse"] is boolean:
        parser.add_argument(
            flag, nargs="?", const=True, type=_typed(boolean), help=text, metavar="true|false"
        )
        parser.add_argument(
            f"--no_{field.name}",
            dest=field.name,
            action="store_const",
            const=False,
            help=argparse.SUPPRESS,
        )
    elif isinstance(field.default, tuple):
        parser.add_argument(
            flag, nargs="+", action=_Many, type=_typed(limits["parse"]), help=text, metavar="X"
        )
    else:
        metavar = "|".join(limits["choices"]) or "X"
        parser.add_argument(flag, type=_typed(limits["parse"]), help=text, metavar=metavar)


class _Many(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, tuple(values))


def _typed(parse: Any) -> Any:
    """`parse` with an error that names the value and the expected kind."""

    def convert(text: str) -> Any:
        try:
            return parse(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not {_kind(parse)}") from None

    return convert


def _kind(parse: Any) -> str:
    return {int: "a whole number", float: "a number", boolean: "true or false"}.get(parse, "text")


def _unknown_flags(words: list[str], names: list[str]) -> str:
    flags = [word.partition("=")[0] for word in words if _is_flag(word)]
    if not flags:
        return f"Not expected here: {' '.join(words)}. Values follow their flag; see --help."
    lines = []
    for flag in flags:
        near = difflib.get_close_matches(flag[2:], names, n=3, cutoff=0.5)
        hint = f" Did you mean {', '.join('--' + name for name in near)}?" if near else ""
        lines.append(f"Unknown flag {flag}.{hint}")
    return "\n".join([*lines, "All flags: --help."])


def _read_config_file(path_text: str | None) -> tuple[str, dict[str, Any]]:
    if path_text is None:
        return "", {}
    path = Path(path_text)
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UserError(f"--config {path}: can't be read ({error.strerror}).") from None
    except ValueError as error:
        raise UserError(f"--config {path}: not valid TOML or JSON: {error}.") from None
    if not isinstance(data, dict):
        raise UserError(f"--config {path}: expected names with values, such as epochs = 50.")
    if "schema" in data and isinstance(data.get("settings"), dict):  # that of a results folder
        data = {
            name: value
            for name, value in data["settings"].items()
            if name in FIELDS and FIELDS[name].metadata["matters"]
        }
    data = {name.replace("-", "_"): value for name, value in data.items()}
    unknown = [f"--{name}" for name in data if name not in FIELDS]
    if unknown:
        raise UserError(f"--config {path}: {_unknown_flags(unknown, [*FIELDS])}")
    return path.name, {name: _from_file(path, name, value) for name, value in data.items()}


def _from_file(path: Path, name: str, value: Any) -> Any:
    """The value of a settings file, parsed as one of the command line would be."""
    field = FIELDS[name]
    parse, many = field.metadata["parse"], isinstance(field.default, tuple)
    items = value if isinstance(value, list) else [value]
    if len(items) != 1 and not many:
        raise UserError(f"--config {path}: {name} = {value!r} is not a single value.")
    try:
        parsed = [_typed(parse)(_as_text(item, parse)) for item in items]
    except argparse.ArgumentTypeError as error:
        raise UserError(f"--config {path}: {name}: {error}.") from None
    return tuple(parsed) if many else parsed[0]


def _as_text(item: Any, parse: Any) -> str:
    """A value of a settings file as it would stand on the command line."""
    kinds: tuple[type, ...] = (str, int, float)
    if not isinstance(item, kinds) or (isinstance(item, bool) and parse is not boolean):
        raise argparse.ArgumentTypeError(f"{json.dumps(item, default=str)} is not {_kind(parse)}")
    return str(item)


def _from_variables(variables: Mapping[str, str | None]) -> dict[str, Any]:
    """Dataset path, output root and device, where a variable sets them."""
    return {field: variables[name] for name, field in ENVIRONMENT.items() if variables.get(name)}


def _read_dotenv() -> dict[str, str | None]:
    """The variables of `./.env`; none where there is no such file."""
    try:
        return dotenv_values(".env")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f".env can't be read: {error}. Mend it, or remove it.") from None
