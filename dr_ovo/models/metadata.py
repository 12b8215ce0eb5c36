"""What a checkpoint of this toolkit says of itself, checked: by inference and by reports alike."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypedDict

from msgspec import UNSET, Meta, Struct, UnsetType

from dr_ovo.choices import HEADS, OVO_MODES, VIEWS
from dr_ovo.json_files import problem_of
from dr_ovo.settings.checks import MIN_SIZE
from dr_ovo.settings.train_config import FIELDS

SCHEMA = 1
TOOLKIT = "dr_ovo"
# Keys that older files lack -> how those networks behave.
ADDED_LATER: dict[str, Any] = {"tta_views": 1, "decoding": None, "prior_shift": None}
STATE = "state_dict"
PHOTOGRAPHS = ("learned_from", "chosen_on")  # that a network has seen: tensors
CLASSES = range(2, FIELDS["num_classes"].metadata["high"] + 1)
OUTPUTS = CLASSES[-1] * (CLASSES[-1] - 1) // 2  # a network has at most: one for each pair
MANY = 10**12

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-]{1,100}(\.[\w-]{1,100})?\Z",  # with its tag
        description="the name of one of timm's own models, such as convnext_tiny",
    ),
]
Branch = Annotated[
    str,
    Meta(
        pattern=rf"^({'|'.join(HEADS)}|[0-9]{{1,3}}_[0-9]{{1,3}})\Z",
        description=f"{', '.join(HEADS)}, or a pair such as 0_1",
    ),
]
Classes = Annotated[int, Meta(ge=CLASSES[0], le=CLASSES[-1])]
ClassName = Annotated[str, Meta(max_length=999)]
Grade = Annotated[int, Meta(ge=0, lt=CLASSES[-1])]
Pair = tuple[Grade, Grade]
Size = Annotated[int, Meta(ge=MIN_SIZE, le=FIELDS["img_size"].metadata["high"])]
Tiles = Annotated[int, Meta(ge=1, le=FIELDS["clahe_tile_grid_size"].metadata["high"])]
Count = Annotated[int, Meta(ge=0, lt=MANY)]
Number = Annotated[float, Meta(gt=-MANY, lt=MANY)]  # no NaN, which is in no range
Positive = Annotated[float, Meta(gt=0, lt=MANY)]
Fraction = Annotated[float, Meta(ge=0, le=1)]


class Input(Struct, forbid_unknown_fields=True):
    """What a network is given: its size in pixels, and by what the three colours are scaled."""

    size: Size
    mean: tuple[Number, Number, Number]
    std: tuple[Positive, Positive, Positive]


class Steps(Struct, forbid_unknown_fields=True):
    """How a photograph is prepared for it."""

    size: Size
    version: Annotated[int, Meta(ge=1, lt=1000)]
    clahe: bool | UnsetType = UNSET
    disc_crop: bool | UnsetType = UNSET
    ben_graham: bool | UnsetType = UNSET
    clahe_clip_limit: Positive | UnsetType = UNSET
    clahe_tile_grid_size: Tiles | UnsetType = UNSET


class PairMetrics(Struct):
    """What was measured of a pair."""

    pair: Pair
    val_accuracy: Fraction | None


class Metrics(Struct):
    """What was measured, as far as more than a report reads it."""

    pairs: Annotated[list[PairMetrics], Meta(max_length=OUTPUTS)] | UnsetType = UNSET


class Metadata(TypedDict, total=False):
    """Everything but the weights. Keys that a version added later, or that are not read, may be
    missing, and others be there."""

    architecture: Name
    head: Literal[HEADS]  # type: ignore[valid-type]
    ovo_mode: Literal[OVO_MODES]  # type: ignore[valid-type]
    branch: Branch
    num_classes: Classes
    class_names: Annotated[list[ClassName], Meta(max_length=CLASSES[-1])]
    pairs: Annotated[list[Pair], Meta(max_length=OUTPUTS)]
    experiment_name: str
    input: Input
    preprocessing: Steps
    tta_views: Literal[VIEWS]  # type: ignore[valid-type]
    freeze_stages: Annotated[int, Meta(ge=0, le=4)]
    epoch: Annotated[int, Meta(ge=0, lt=10**9)]
    parameters: Count
    trained_parameters: Count
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    leaky: bool
    synthetic: bool
    prior_shift: Annotated[list[Number], Meta(max_length=OUTPUTS)] | None
    metrics: Metrics


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
    if problem := next(_problems(meta, content.get(STATE, {})), ""):
        raise MetadataError(problem)
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


def _problems(meta: Mapping[str, Any], state: object) -> Iterator[str]:
    for key in Metadata.__annotations__:
        if not _is_plain(meta.get(key)):  # a tuple, a tensor: msgspec may take them
            yield f"its {key} holds something else than numbers, text, lists and objects"
    if problem := problem_of(meta, Metadata):
        yield problem
    if type(state) is not dict or not all(_is_weight(*each) for each in state.items()):
        yield f"its {STATE} is wrong; expected tensors by name"
    for key in PHOTOGRAPHS:
        if key in meta and not _are_marks(meta[key]):
            yield f"its {key} is a {type(meta[key]).__name__}; expected a row of 64-bit integers"
    pairs = [tuple(pair) for pair in meta.get("pairs", [])]
    rows = [tuple(row["pair"]) for row in meta.get("metrics", {}).get("pairs", [])]
    for what, found in (("pairs", pairs), ("metrics.pairs", rows)):
        if len(set(found)) < len(found) or any(a >= b for a, b in found):
            yield f"its {what} are {reprlib.repr(found)}; expected each once, the lower first"
    classes, names = meta.get("num_classes", 0), meta.get("class_names", [])
    if classes and names and len(names) != classes:
        yield f"it has {len(names)} class_names; expected {classes}, its num_classes"
    if classes and any(b >= classes for _, b in pairs):
        yield f"its pairs are {reprlib.repr(pairs)}; expected those of {classes} classes"


def _is_plain(value: object) -> bool:
    """Whether a value is of the kinds that JSON has."""
    if type(value) is dict:
        return all(type(key) is str and _is_plain(one) for key, one in value.items())
    if type(value) is list:
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def _is_weight(name: object, value: object) -> bool:
    return type(name) is str and hasattr(value, "shape")


def _are_marks(value: Any) -> bool:
    return str(getattr(value, "dtype", "")) == "torch.int64" and value.ndim == 1
