"""Where pretrained weights come from: a file or a folder, a package with them, or a download."""

from __future__ import annotations

import re
from pathlib import Path

from dr_ovo.errors import UserError, log
from dr_ovo.models.metadata import is_ours
from dr_ovo.models.weights.containers import Found, StateDict, find_weights
from dr_ovo.models.weights.fitting import fits
from dr_ovo.models.weights.published import (
    HUB_FILES,
    download,
    is_classifier,
    with_imagenet_colours,
)
from dr_ovo.models.weights.reading import FLAG, read_content
from dr_ovo.models.weights.wheels import read_wheel, wheel_file
from dr_ovo.safe_files.torch_scan import pickle_mentions

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://|hf-hub:", re.IGNORECASE)
SHARD = re.compile(r"-0*(\d+)-of-0*(\d+)\.(safetensors|bin|pth|pt)$")
SHARDS_INDEX = ".index.json"


def read_weights(timm_name: str, path: str) -> StateDict:
    """ImageNet weights of a timm model: from the file or folder `path`, or timm's own if empty.

    Of several entries of a file, the first that fits is taken. Raises UserError if the file can't
    be read or the download fails.
    """
    if path:
        file = weights_file(timm_name, path)
        content = read_content(file)
        _check_architecture(timm_name, file, content)
        found = _first_that_fits(timm_name, find_weights(content, file))
        found.say(content)
        _say_colours(timm_name, found, content)
        return found.state
    if file_of_wheel := wheel_file(timm_name):
        return read_wheel(timm_name, file_of_wheel)
    return download(timm_name)


def are_marked_leaky(timm_name: str, path: str) -> bool:
    """Whether `path` holds a checkpoint of this toolkit that is marked LEAKY."""
    if not path or not Path(path).expanduser().exists():
        return False
    file = weights_file(timm_name, path)
    if not pickle_mentions(file, b"leaky"):
        return False  # without reading all weights once more
    content = read_content(file)
    return isinstance(content, dict) and content.get("leaky") is True


def weights_file(timm_name: str, name: str) -> Path:
    """The path `name`, or the file of weights in it if it is a folder: a results folder's
    checkpoint of this architecture, or what a hub's folder holds.

    Raises UserError if there is none, if there are several, and for shards and addresses.
    """
    if ADDRESS.match(name):
        raise UserError(
            f"{FLAG} {name}: an address, not a file. Download it first, and name the file; "
            "a model of the hub is named by --base_models."
        )
    path = Path(name).expanduser()
    _check_shards(path)
    if not path.is_dir():
        return path
    found = [path / name for name in HUB_FILES if (path / name).is_file()][:1]
    for folder in (path / "models", path):
        found = found or sorted(folder.glob("best_*.pth"))
    own = [file for file in found if file.name.startswith(f"best_{timm_name}_")] or found
    if len(own) == 1:
        return own[0]
    if not own and (inside := _results_folders(path)):
        raise UserError(
            f"{FLAG} {path}: it holds {len(inside)} results folders, each with a network of its "
            f"own: name one of {', '.join(inside[:10])}."
        )
    if not own:
        raise UserError(
            f"{FLAG} {path}: there is no such file. It is a folder without models/best_*.pth and "
            f"without {HUB_FILES[0]}: name the file of weights."
        )
    names = ", ".join(str(file.relative_to(path)) for file in own[:10])
    raise UserError(f"{FLAG} {path}: the folder holds {len(own)} networks: name one of {names}.")


def _results_folders(path: Path) -> list[str]:
    """The results folders inside a folder, such as fold_1, fold_2 or those of architectures."""
    inside = [f for f in path.iterdir() if f.is_dir() and any(f.glob("models/best_*.pth"))]
    return [str(folder) for folder in sorted(inside, key=lambda f: (len(f.name), f.name))]


def _check_shards(path: Path) -> None:
    """Raises UserError for weights that are spread over several files."""
    whole = path.is_dir() and any((path / name).is_file() for name in HUB_FILES)
    inside = sorted(path.iterdir()) if path.is_dir() and not whole else [path]
    parts = [file for file in inside if (found := SHARD.search(file.name)) and int(found[2]) > 1]
    if parts or any(file.name.endswith(SHARDS_INDEX) for file in inside):
        raise UserError(
            f"{FLAG} {path}: sharded: the weights are spread over several files. Join them: read "
            f"each, update one dict with all, and save that as {HUB_FILES[0]} "
            "(docs/weights.md has the lines)."
        )


def _check_architecture(timm_name: str, file: Path, content: object) -> None:
    """Raises UserError for a checkpoint of this toolkit of another architecture."""
    stored = content.get("architecture") if isinstance(content, dict) else None
    if is_ours(content) and str(stored).split(".")[0] != timm_name.split(".")[0]:
        raise UserError(
            f"{FLAG} {file}: its weights do not fit {timm_name}: it is a network of {stored}. "
            f"Expected --base_models {stored}, or a file of {timm_name}."
        )


def _first_that_fits(timm_name: str, found: list[Found]) -> Found:
    """The first of several entries that fits, else the first of all, whose misfit is told later."""
    if len(found) == 1:
        return found[0]
    for number, entry in enumerate(found):
        if fits(timm_name, entry.state):
            for passed in found[:number]:
                where = " > ".join(passed.trail)
                log.info("weights: the entry '%s' does not fit %s: passed over", where, timm_name)
            return entry
    return found[0]


def _say_colours(timm_name: str, found: Found, content: object) -> None:
    """Says how to normalise the input as MAE and DINO do, where timm's model does it otherwise.

    Files as timm publishes them (weights by name, with a classifier) have timm's colours.
    """
    published = not found.trail and any(is_classifier(timm_name, name) for name in found.state)
    other = "" if is_ours(content) or published else with_imagenet_colours(timm_name)
    if other:
        log.info(
            "weights: the input is normalised with mean 0.5 and deviation 0.5, as timm's own "
            "weights of %s were trained. MAE, RETFound, DINO and DeiT were trained with "
            "ImageNet's: for their weights give --base_models %s",
            timm_name,
            other,
        )
