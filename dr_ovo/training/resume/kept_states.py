"""Which of the states that are kept a training goes on from: the newest, unless it is damaged, or
`--recover` asks for one that has not failed."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError, log
from dr_ovo.files import file_sha256
from dr_ovo.results.folder import TRAIN_AGAIN, ResultsFolder
from dr_ovo.safe_files.torch_loading import damage_of, load_torch
from dr_ovo.sealed_json import write_sealed
from dr_ovo.training.resume.state import STEM, reached_in, state_files

FILE_NAME = re.compile(r"[\w.-]+\.pth")  # of a branch's state, in the folder of progress.json
OF_A_BRANCH = {"best", "best_epoch", "progress", "progress_epoch", "ended", "file"}


def require_whole_state(folder: ResultsFolder) -> None:
    """Goes back to the state before, and says so, if the newest one of a training is damaged.

    Raises UserError, naming the file, if no state is whole.
    """
    if not any(path.is_file() for path in _kept(folder)):
        return
    problems: list[str] = []
    for path in _kept(folder):
        problem = _damage(folder, path)
        if not problem:
            if path != folder.progress:
                content = _content(folder, path)
                log.warning(
                    "%s The training goes on from an older state, %s.",
                    problems[0], reached_in(content).said,
                )  # fmt: skip
                write_sealed(folder.progress, content)
            return
        problems.append(problem)
    raise UserError(
        f"{problems[0]} No other state is whole, so the training can't be resumed; the best "
        f"checkpoints in {folder.models} are untouched. Restore the file, or train from scratch in "
        "another --output_dir."
    )


def last_good_state(folder: ResultsFolder, failed: Collection[str]) -> dict[str, Any]:
    """The newest whole state of whose files none has `failed`, by sha256, and that has no bad
    numbers in its weights; where there is none, the oldest that is whole."""
    found: dict[str, Any] = {}
    for path in _kept(folder):
        if not path.is_file() or _damage(folder, path):
            continue
        found = _content(folder, path)
        has_failed = not {*failed}.isdisjoint(state_contents(folder, found))
        if not has_failed and not _has_bad_numbers(folder, state_files(found)):
            break
    return found


def state_contents(folder: ResultsFolder, content: Mapping[str, Any]) -> list[str]:
    """The sha256 of the files of the branches in a state. Another state may have their names."""
    branches = [branch for branch in content["branches"].values() if branch["file"]]
    return sorted(
        branch.get("sha256") or file_sha256(folder.resume / branch["file"]) for branch in branches
    )


def _kept(folder: ResultsFolder) -> tuple[Path, ...]:
    """Where the states are named, the newest first."""
    return folder.progress, folder.previous, folder.validated


def _content(folder: ResultsFolder, path: Path) -> dict[str, Any]:
    content = folder.read_state(path)
    if "branches" not in content:
        raise UserError(f"{path} is damaged: it has no branches.")
    return content


def _damage(folder: ResultsFolder, path: Path) -> str:
    """What is wrong with a state and the files that it names, in words; "" for nothing."""
    if not path.is_file():
        return f"{path} is missing."
    try:
        content = _content(folder, path)
    except UserError as error:
        return str(error).removesuffix(f" {TRAIN_AGAIN}")
    if wrong := next(_wrong_values(content), ""):
        return f"{path} is damaged: {wrong}."
    branches = [branch for branch in content["branches"].values() if branch["file"]]
    for branch in branches:
        file = folder.resume / branch["file"]
        if file.resolve().parent != folder.resume.resolve():
            return f"{file} is a link that leads out of its folder."
        if found := damage_of(file, branch.get("sha256")):
            return f"{file} is damaged: {found}."
    stem = folder.resume / STEM
    if branches and stem.is_file() and (found := damage_of(stem)):
        return f"{stem} is damaged: {found}."
    return ""


def _wrong_values(content: Mapping[str, Any]) -> Iterator[str]:
    """What progress.json can't have."""
    within = content.get("within")
    if content["epoch"] < 0:
        yield f"its epoch is {content['epoch']}"
    if within is not None and not _is_within(within):
        yield f"its within is {within!r}"
        return
    for name, branch in content["branches"].items():
        if not isinstance(branch, dict) or not branch.keys() >= OF_A_BRANCH:
            yield f"its branch {name} is {branch!r}"
            return
        file = branch["file"]
        expected = reached_in(content).file_name(name)
        if file is None and (branch["ended"] is not None or content["finished"]):
            continue
        if file != expected or not FILE_NAME.fullmatch(file):
            yield f"it names {file!r} as the file of branch {name}, where {expected} was expected"


def _is_within(within: object) -> bool:
    if not isinstance(within, dict):
        return False
    images, seconds = within.get("images"), within.get("seconds")
    counted = type(images) is int and images > 0
    return counted and type(seconds) is float and math.isfinite(seconds) and seconds >= 0


def _has_bad_numbers(folder: ResultsFolder, names: Collection[str]) -> bool:
    """Whether weights of a state are NaN or infinite."""
    states = [load_torch(folder.resume / name, "") for name in names]
    return not all(
        bool(value.isfinite().all()) for state in states for value in state["branch"].values()
    )
