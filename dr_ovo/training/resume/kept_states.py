"""Which of the two states that are kept a training goes on from: the newer, unless it is damaged.

torch.load does not look at the checksums that torch.save writes; they are read here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError, log
from dr_ovo.files import write_json
from dr_ovo.models.torch_files import damage_of
from dr_ovo.results.folder import ResultsFolder, read_json
from dr_ovo.training.resume.state import STEM, reached


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
    """What is wrong with the files that a state names, in words."""
    names = [branch["file"] for branch in content["branches"].values() if branch["file"]]
    if names and (folder.resume / STEM).is_file():
        names.append(STEM)
    for name in names:
        path = folder.resume / name
        if Path(name).name != name:
            yield f"{folder.progress} is damaged: it names {name}, which is not in its folder."
        elif found := damage_of(path):
            yield f"{path} is damaged: {found}."
