"""Which of the two states that are kept a training goes on from: the newer, unless it is damaged.

torch.load does not look at the checksums that torch.save writes; they are read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError, log
from dr_ovo.files import write_json
from dr_ovo.models.torch_files import damage_of, load_torch
from dr_ovo.results.folder import ResultsFolder, read_json
from dr_ovo.training.resume.state import STEM, reached

FILE_NAME = re.compile(r"[\w.-]+\.pth")  # of a branch's state, in the folder of progress.json


def require_whole_state(folder: ResultsFolder) -> None:
    """Goes back to the state before, and says so, if the newest one of a training is damaged.

    Raises UserError, naming the file, if neither is whole.
    """
    if not folder.progress.is_file() and not folder.previous.is_file():
        return
    problems = []
    for path in (folder.progress, folder.previous):
        if not path.is_file():
            continue
        try:
            content = _content(path)
        except UserError as error:
            problems.append(str(error))
            continue
        problem = next(_damage(folder, content), None)
        if problem is None:
            if path == folder.previous:
                log.warning(
                    "%s\nThe training goes on from the state before it, %s.",
                    problems[0], reached(content).said,
                )  # fmt: skip
                write_json(folder.progress, content)
            return
        problems.append(problem)
    raise UserError(
        f"{problems[0]} No other state is whole, so the training can't be resumed; the best "
        f"checkpoints in {folder.models} are untouched. Restore the file, or train from scratch in "
        "another --output_dir."
    )


def _content(path: Path) -> dict[str, Any]:
    return read_json(path, {"epoch": int, "finished": bool, "branches": dict})


def _damage(folder: ResultsFolder, content: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a state and the files that it names, in words."""
    names = []
    for branch in content["branches"].values():
        name = branch.get("file") if isinstance(branch, dict) else branch
        if name is None and branch.get("ended") is not None:
            continue
        if not isinstance(name, str) or not FILE_NAME.fullmatch(name):
            yield f"{folder.progress} is damaged: it names {name!r} as the file of a branch."
            return
        names.append(name)
    if names and (folder.resume / STEM).is_file():
        names.append(STEM)
    for name in names:
        if found := damage_of(folder.resume / name):
            yield f"{folder.resume / name} is damaged: {found}."


def go_back_if_stuck(folder: ResultsFolder, failed: Sequence[str]) -> None:
    """Goes back to the state before the newest one if that has bad numbers in its weights, or if
    training from it has `failed`: these are the names of its files."""
    newest = folder.read_progress()
    stuck = state_files(newest) == list(failed)
    if not folder.previous.is_file() or not (stuck or _has_bad_numbers(folder, newest)):
        return
    before = _content(folder.previous)
    if next(_damage(folder, before), None) is None and state_files(before) != list(failed):
        log.info("going back to the state before, %s", reached(before).said)
        kept = {"rate_scale": newest.get("rate_scale", 1.0)}
        write_json(folder.progress, before | kept)


def state_files(content: Mapping[str, Any]) -> list[str]:
    """The files of the branches in a state."""
    return sorted(branch["file"] for branch in content["branches"].values() if branch["file"])


def _has_bad_numbers(folder: ResultsFolder, content: Mapping[str, Any]) -> bool:
    """Whether weights of a state are NaN or infinite."""
    states = [load_torch(folder.resume / name, "") for name in state_files(content)]
    return not all(
        bool(value.isfinite().all()) for state in states for value in state["branch"].values()
    )
