"""`--recipe`: loss, head, decoder, averaging and augmentation under one name, from a TOML file.

A recipe holds what belongs to the method. What belongs to a machine, a dataset or a network, such
as size, batch and learning rate, it can't set.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.settings.settings_file import parse, parse_values
from dr_ovo.settings.train_config import FIELDS

KEYS = ("description", "measured", "settings")
SETTABLE = tuple(name for name, field in FIELDS.items() if field.metadata["in_recipe"])
_FOLDER = resources.files("dr_ovo.settings").joinpath("recipes")


@dataclass(frozen=True)
class Recipe:
    """Settings under one name, what they are, and on what they were measured."""

    name: str  # of a recipe of this package, or the path of a file
    sha256: str  # of the file's content
    description: str
    measured: str
    values: dict[str, Any]

    @property
    def source(self) -> str:
        """Where a value came from, in words."""
        return source_of(self.name)

    def in_effect(self, sources: Mapping[str, str]) -> list[str]:
        """The names of its settings that no other source has set; see `Settings.sources`."""
        return [name for name in self.values if sources[name] == self.source]

    def to_dict(self) -> dict[str, str]:
        """Plain values for config.json; its settings are among those there."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "description": self.description,
            "measured": self.measured,
        }


@cache
def source_of(name: str) -> str:
    """Where a value came from that the recipe with this name has set, as a log says it."""
    return f"recipe {name}"


def recipe_names() -> tuple[str, ...]:
    """The names of the recipes in this package."""
    names = (file.name for file in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def read_recipe(text: str) -> Recipe:
    """The recipe with this name, else that in this file.

    Raises UserError for a file that can't be read, that has other keys than `description`,
    `measured` and `settings`, or that sets what a recipe may not.
    """
    where = f"--recipe {text}"
    content = _content(text, where)
    data = parse(content, where)
    description, measured, settings = (data.pop(key, None) for key in KEYS)
    if data or not (_is_text(description) and _is_text(measured) and isinstance(settings, dict)):
        raise UserError(
            f"{where}: expected description, measured (on what, and with what outcome), both as "
            "text, and below [settings] names with values, such as label_smoothing = 0.0; nothing "
            "else."
        )
    values = parse_values(settings, where)
    _require_settable(values, where)
    return Recipe(text, hashlib.sha256(content).hexdigest(), description, measured, values)


def _is_text(word: Any) -> bool:
    return isinstance(word, str) and bool(word.strip())


def _content(text: str, where: str) -> bytes:
    try:
        if text in recipe_names():
            return _FOLDER.joinpath(f"{text}.toml").read_bytes()
        return Path(text).read_bytes()
    except (OSError, ValueError) as error:  # a ValueError for a path with a null character
        raise UserError(
            f"{where}: can't be read ({getattr(error, 'strerror', None) or error}). Expected one "
            f"of {', '.join(recipe_names())}, or a TOML file."
        ) from None


def _require_settable(names: Iterable[str], where: str) -> None:
    refused = [f"--{name}" for name in names if name not in SETTABLE]
    if refused:
        raise UserError(
            f"{where}: a recipe can't set {', '.join(refused)}. Size, batch and learning rate "
            "belong to the machine and the network, paths to a run: give them as flags, or in the "
            f"file of --config. A recipe can set: {', '.join(SETTABLE)}."
        )


@dataclass(frozen=True)
class OfRecipe:
    """A value that a recipe has set, until a later flag replaces it."""

    value: Any
    source: str


class TakeRecipe(argparse.Action):
    """Sets what a recipe holds at once, so that the order of the flags decides."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        recipe = read_recipe(values)
        for name, value in recipe.values.items():
            setattr(namespace, name, OfRecipe(value, recipe.source))
        setattr(namespace, self.dest, [*getattr(namespace, self.dest, []), recipe])


def of_recipes(said: str, recipes: Sequence[Recipe], sources: Mapping[str, str]) -> str:
    """Lines for the end of an error: which of the options that it has `said` a recipe has set."""
    named = set(re.findall(r"--(?:no[_-])?(\w+)", said))
    return "".join(
        f"\nOf these, {recipe.source} sets --{name}."
        for recipe in recipes
        for name in recipe.in_effect(sources)
        if name in named
    )
