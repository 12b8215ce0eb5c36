"""What a checkpoint of this toolkit says of itself, checked: by inference and by reports alike."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dr_ovo.choices import HEADS, VIEWS
from dr_ovo.settings.checks import MIN_SIZE
from dr_ovo.settings.train_config import FIELDS

SCHEMA = 1
TOOLKIT = "dr_ovo"
# Keys that older files lack -> how those networks behave.
ADDED_LATER: dict[str, Any] = {"tta_views": 1, "decoding": None, "prior_shift": None}
STATE = "state_dict"
CLASSES = range(2, FIELDS["num_classes"].metadata["high"] + 1)
SIZES = range(MIN_SIZE, FIELDS["img_size"].metadata["high"] + 1)
TILES = range(1, FIELDS["clahe_tile_grid_size"].metadata["high"] + 1)
MANY = 10**12
NAME = re.compile(r"[A-Za-z0-9_-]{1,100}(\.[\w-]{1,100})?")  # of an architecture, with its tag
BRANCH = re.compile(rf"{'|'.join(HEADS)}|\d{{1,3}}_\d{{1,3}}")
# What preprocessing may say -> whether a value is one.
STEPS: dict[str, Callable[[Any], bool]] = {
    "size": lambda value: _is_in(value, SIZES),
    "version": lambda value: _is_in(value, range(1, 1000)),
    "clahe": lambda value: type(value) is bool,
    "disc_crop": lambda value: type(value) is bool,
    "ben_graham": lambda value: type(value) is bool,
    "clahe_clip_limit": lambda value: _is_number(value) and value > 0,
    "clahe_tile_grid_size": lambda value: _is_in(value, TILES),
}


class MetadataError(Exception):
    """Metadata that no checkpoint of this toolkit has; the text says which, and what was
    expected."""


def is_ours(content: Any) -> bool:
    """Whether a file's content is a checkpoint of this toolkit."""
    return isinstance(content, dict) and content.get("toolkit") == TOOLKIT


def checked_metadata(content: Mapping[str, Any]) -> dict[str, Any]:
    """Everything but the weights in a checkpoint of this toolkit, also of an older one.

    Raises MetadataError for a value out of its range, and for one that contradicts another. A key
    may be missing.
    """
    meta = ADDED_LATER | {key: value for key, value in content.items() if key != STATE}
    for key, (is_right, expected) in KEYS.items():
        if key in meta and not is_right(meta[key]):
            raise MetadataError(f"its {key} is {_shown(meta[key])}; expected {expected}")
    state = content.get(STATE, {})
    if type(state) is not dict or not all(_is_weight(*each) for each in state.items()):
        raise MetadataError(f"its {STATE} is {_shown(state)}; expected tensors by name")
    classes = meta.get("num_classes", 0)
    names, pairs = meta.get("class_names", []), meta.get("pairs", [])
    if classes and names and len(names) != classes:
        raise MetadataError(f"it has {len(names)} class_names; expected {classes}, its num_classes")
    if classes and any(b >= classes for _, b in pairs):
        raise MetadataError(f"its pairs are {_shown(pairs)}; expected those of {classes} classes")
    return meta


def require_outputs(meta: Mapping[str, Any], state: Mapping[str, Any], outputs: int) -> None:
    """Raises MetadataError if the weights `state` don't give the answers that they should."""
    each = f"one for each of the {outputs} answers of its head {meta.get('head')}"
    bias, weight = (state.get(f"head.{name}") for name in ("bias", "weight"))
    if bias is None or tuple(bias.shape) != (outputs,):
        found = "missing" if bias is None else f"of shape {tuple(bias.shape)}"
        raise MetadataError(f"its head.bias is {found}; expected ({outputs},), {each}")
    if weight is None or len(weight.shape) != 2 or weight.shape[0] != outputs:
        found = "missing" if weight is None else f"of shape {tuple(weight.shape)}"
        raise MetadataError(f"its head.weight is {found}; expected rows, {each}")


def _is_weight(name: Any, value: Any) -> bool:
    return type(name) is str and hasattr(value, "shape")


def _is_in(value: Any, numbers: range) -> bool:
    return type(value) is int and value in numbers


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < MANY  # not of NaN


def _are_numbers(values: Any, count: int = 0) -> bool:
    """Whether they are finite numbers, `count` of them, if that is given."""
    return (
        type(values) is list
        and all(map(_is_number, values))
        and len(values) in ((count,) if count else range(10**6))
    )


def _is_input(value: Any) -> bool:
    return (
        type(value) is dict
        and value.keys() == {"size", "mean", "std"}
        and _is_in(value["size"], SIZES)
        and _are_numbers(value["mean"], 3)
        and _are_numbers(value["std"], 3)
        and min(value["std"]) > 0
    )


def _is_preprocessing(value: Any) -> bool:
    known = type(value) is dict and {"size", "version"} <= value.keys() <= STEPS.keys()
    return known and all(STEPS[key](one) for key, one in value.items())


def _are_pairs(value: Any) -> bool:
    rows = type(value) is list and all(map(_is_pair, value))
    return rows and len({tuple(row) for row in value}) == len(value)


def _is_pair(value: Any) -> bool:
    return (
        type(value) is list
        and len(value) == 2
        and all(_is_in(grade, range(CLASSES.stop)) for grade in value)
        and value[0] < value[1]
    )


def _are_metrics(value: Any) -> bool:
    if type(value) is not dict:
        return False
    rows = value.get("pairs", [])
    return type(rows) is list and all(
        type(row) is dict
        and (row.get("pair") is None or _is_pair(row["pair"]))
        and (row.get("val_accuracy") is None or _is_share(row["val_accuracy"]))
        for row in rows
    )


def _are_marks(value: Any) -> bool:
    return str(getattr(value, "dtype", "")) == "torch.int64" and value.ndim == 1


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _are_names(value: Any) -> bool:
    return type(value) is list and all(type(name) is str and len(name) < 1000 for name in value)


def _one_of(names: Sequence[Any]) -> tuple[Callable[[Any], bool], str]:
    return lambda value: type(value) in (str, int) and value in names, (
        f"one of {', '.join(map(str, names))}"
    )


def _whole(numbers: range) -> tuple[Callable[[Any], bool], str]:
    return lambda value: _is_in(value, numbers), (
        f"a whole number from {numbers.start} to {numbers.stop - 1}"
    )


def _shown(value: Any) -> str:
    """A value in a few words; of others than plain ones their kind."""
    plain = isinstance(value, str | int | float | list | tuple | dict | None)
    return reprlib.repr(value) if plain else f"a {type(value).__name__}"


# Key -> (whether a value can be right, what is expected).
KEYS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "architecture": (
        lambda value: type(value) is str and bool(NAME.fullmatch(value)),
        "the name of one of timm's own models, such as convnext_tiny",
    ),
    "head": _one_of([*HEADS]),
    "ovo_mode": _one_of(["shared", "independent"]),
    "branch": (
        lambda value: type(value) is str and bool(BRANCH.fullmatch(value)),
        f"{', '.join(HEADS)}, or a pair such as 0_1",
    ),
    "num_classes": _whole(CLASSES),
    "class_names": (_are_names, "a list of names"),
    "pairs": (_are_pairs, "a list of pairs of classes, each once, such as [[0, 1], [0, 2]]"),
    "input": (
        _is_input,
        f"size ({SIZES.start} to {SIZES.stop - 1}), and mean and std of three colours",
    ),
    "preprocessing": (_is_preprocessing, f"settings among {', '.join(STEPS)}, each in its range"),
    "tta_views": _one_of(VIEWS),
    "freeze_stages": _whole(range(5)),
    "epoch": _whole(range(10**9)),
    "parameters": _whole(range(MANY)),
    "trained_parameters": _whole(range(MANY)),
    "seed": _whole(range(2**63)),
    "leaky": (lambda value: type(value) is bool, "true or false"),
    "synthetic": (lambda value: type(value) is bool, "true or false"),
    "learned_from": (_are_marks, "a list of whole numbers, in 64 bits each"),
    "chosen_on": (_are_marks, "a list of whole numbers, in 64 bits each"),
    "prior_shift": (lambda value: value is None or _are_numbers(value), "finite numbers, or none"),
    "metrics": (_are_metrics, "figures, and those of `pairs` with val_accuracy from 0 to 1"),
}
