"""Command line, settings file, environment and `.env` -> TrainConfig and its sources; --help."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from dotenv import dotenv_values

from dr_ovo.errors import UserError
from dr_ovo.settings.earlier_flags import LEGACY_FLAGS
from dr_ovo.settings.option import boolean, typed
from dr_ovo.settings.recipe import (
    OfRecipe,
    Recipe,
    TakeRecipe,
    of_recipes,
    read_recipe,
    recipe_names,
)
from dr_ovo.settings.settings_file import RECIPE, read_settings_file, unknown_flags
from dr_ovo.settings.train_config import FIELDS, GROUPS, TrainConfig

ENVIRONMENT = {
    "DR_OVO_DATASET_PATH": "dataset_path",
    "DR_OVO_OUTPUT_ROOT": "output_root",
    "DR_OVO_DEVICE": "device",
}
DEFAULT = "default"  # the source of a value that none has set
TRAINER = "ensemble_5class_trainer.py"
EXTRA_FLAGS = ("config", RECIPE, "use_amp")  # command-line flags that are not fields of TrainConfig


@dataclass(frozen=True)
class Settings:
    """A validated configuration, where each value came from, and the recipes among its sources."""

    config: TrainConfig
    sources: dict[str, str]
    recipes: tuple[Recipe, ...] = ()

    def given(self) -> dict[str, Any]:
        """The values that are not defaults because a source set them, by field name."""
        return {
            name: getattr(self.config, name)
            for name, source in self.sources.items()
            if source != DEFAULT
        }


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}. See --help.")


def parse_settings(argv: Sequence[str], prog: str = TRAINER) -> Settings:
    """The settings from `argv`, `--config`, `.env` and the defaults, in this order of precedence.

    A `--recipe` in `argv` takes precedence over what stands before it there, and yields to what
    stands after it; one that the settings file names yields to all that the file itself sets.
    A variable in the process's environment takes precedence over the same one in `.env`.
    Raises UserError for unknown flags and invalid values.
    """
    arguments, legacy = _take_legacy(_normalise(argv))
    for flag in dict.fromkeys(legacy):
        print(f"note: {flag} is from an earlier toolkit: {LEGACY_FLAGS[flag]}", file=sys.stderr)
    known, unknown = _build_parser(prog).parse_known_args(arguments)
    if unknown:
        raise UserError(unknown_flags(unknown, [*FIELDS, *EXTRA_FLAGS]))
    given = vars(known)
    training = given.get("mode", FIELDS["mode"].default) == "train"
    file_name, file_values = read_settings_file(given.pop("config", None), training=training)
    of_file = [read_recipe(file_values.pop(RECIPE))] if RECIPE in file_values else []
    recipes = {recipe.source: recipe for recipe in [*of_file, *given.pop(RECIPE, [])]}
    layers = (
        ("command line", given),
        (f"file {file_name}", file_values),
        *((recipe.source, recipe.values) for recipe in of_file),
        ("environment", _from_variables(os.environ)),
        (".env", _from_variables(_read_dotenv())),
    )
    values, sources = {}, {}
    for name in FIELDS:
        sources[name] = DEFAULT
        for source, layer in layers:
            if name in layer:
                values[name], sources[name] = layer[name], source
                break
        if isinstance(values.get(name), OfRecipe):
            values[name], sources[name] = values[name].value, values[name].source
    _reconcile_clahe(values, sources)
    used = tuple(recipe for recipe in recipes.values() if recipe.in_effect(sources))
    try:
        return Settings(TrainConfig(**values), sources, used)
    except UserError as error:
        raise UserError(f"{error}{of_recipes(str(error), used, sources)}") from None


def _reconcile_clahe(values: dict[str, Any], sources: dict[str, str]) -> None:
    """Sets enable_clahe to what --preprocessing says; raises UserError if both are given and
    contradict each other."""
    steps = values.get("preprocessing")
    if not steps:
        return
    has_clahe = "clahe" in steps
    if values.get("enable_clahe", has_clahe) != has_clahe:
        given, needed = ("", "no-") if values["enable_clahe"] else ("no-", "")
        raise UserError(
            f"--preprocessing {' '.join(steps)} ({sources['preprocessing']}) and "
            f"--{given}enable_clahe ({sources['enable_clahe']}) contradict each other: omit one of "
            f"them, or give --{needed}enable_clahe to match the steps."
        )
    values["enable_clahe"] = has_clahe
    if sources["enable_clahe"] == DEFAULT:
        sources["enable_clahe"] = sources["preprocessing"]


def _normalise(argv: Sequence[str]) -> list[str]:
    """Flags with dashes turned into underscores: --no-pretrained becomes --no_pretrained.

    There are no positional arguments, so a lone `--` separates nothing and is dropped.
    """
    normalised = []
    for word in argv:
        if word == "--":
            continue
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            word = "--" + name.replace("-", "_") + equals + value
        normalised.append(word)
    return normalised


def _is_flag(word: str) -> bool:
    return word.startswith("--")


def _take_legacy(arguments: list[str]) -> tuple[list[str], list[str]]:
    """(the arguments without flags of earlier toolkits and their values, those flags)."""
    kept, legacy, skipping = [], [], False
    for word in arguments:
        if _is_flag(word):
            name = word.partition("=")[0]
            skipping = name in LEGACY_FLAGS
            if skipping:
                legacy.append(name)
        if not skipping:
            kept.append(word)
    return kept, legacy


def _build_parser(prog: str) -> _Parser:
    parser = _Parser(
        prog=prog,
        usage="%(prog)s [--config FILE] [--recipe NAME|FILE] [--OPTION VALUE ...]",
        description="Trains, evaluates and applies 5-grade diabetic-retinopathy classifiers. "
        "Research use only; not a medical device.",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    # argparse's own pattern takes -1e-5 and -inf for flags.
    parser._negative_number_matcher = re.compile(r"-(\.?\d|inf|nan)", re.IGNORECASE)
    parser.add_argument("--config", metavar="FILE", help="settings file, TOML or JSON")
    parser.add_argument(
        f"--{RECIPE}",
        metavar=f"{'|'.join(recipe_names())}|FILE",
        action=TakeRecipe,
        help="head, decoder, loss, averaging and augmentation under one name, or from a TOML file; "
        "beats flags before it, yields to flags after it",
    )
    for title, group in GROUPS.items():
        shown = parser.add_argument_group(title)
        for field in dataclasses.fields(group):
            _add_option(shown, field)
    shown.add_argument(
        "--use_amp", dest="amp", action="store_const", const="on", help="the same as --amp on"
    )
    return parser


def _add_option(parser: argparse._ArgumentGroup, field: dataclasses.Field[Any]) -> None:
    limits, flag = field.metadata, f"--{field.name}"
    metavar = limits["metavar"]
    default = _default_of(field)
    text = (f"{limits['help']} [{default}]" if default else limits["help"]).replace("%", "%%")
    if limits["parse"] is boolean:
        parser.add_argument(
            flag, nargs="?", const=True, type=typed(boolean), help=text, metavar=metavar
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
            flag,
            nargs="+",
            action=_StoreTuple,
            type=typed(limits["parse"]),
            help=text,
            metavar=metavar,
        )
    else:
        parser.add_argument(flag, type=typed(limits["parse"]), help=text, metavar=metavar)


def _default_of(field: dataclasses.Field[Any]) -> str:
    """The default as it would be written on the command line."""
    if field.metadata["parse"] is boolean:
        return str(field.default).lower()
    values = field.default if isinstance(field.default, tuple) else (field.default,)
    return " ".join(map(str, values))


class _StoreTuple(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, tuple(values))


def _from_variables(variables: Mapping[str, str | None]) -> dict[str, Any]:
    """Dataset path, output root and device, if a variable sets them."""
    return {field: variables[name] for name, field in ENVIRONMENT.items() if variables.get(name)}


def _read_dotenv() -> dict[str, str | None]:
    """The variables in `./.env`; none if there is no such file."""
    try:
        return dotenv_values(".env")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f".env can't be read: {error}. Fix or remove it.") from None
