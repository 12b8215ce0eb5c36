"""Which files `model_analyzer.py --model PATH...` reads: folder patterns, what is ignored."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from dr_ovo.errors import UserError

# A models folder, a results folder, a folder of results folders.
FOLDER_PATTERNS = ("*.pth", "models/*.pth", "*/models/*.pth")
# States of unfinished runs, and classifiers that were replaced by newer ones.
IGNORED_FOLDERS = {"resume", "replaced"}
# What `results/*` and `models/*` match besides checkpoints.
COMPANIONS = {".json", ".csv", ".png", ".npz", ".txt", ".log"}


def find_checkpoints(paths: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """The checkpoint files that `paths` mean, each once, and the folders without any.

    A path is a file, a folder (models/, a results folder, a folder of results folders) or a glob
    that the shell did not expand. Raises UserError naming every path that does not exist.
    """
    matched = {text: _matches(text) for text in paths}
    absent = [text for text, found in matched.items() if not found]
    if absent:
        raise UserError(
            f"Nothing exists at: {', '.join(absent)}. "
            "--model takes checkpoint files (.pth), globs, models folders and results folders."
        )
    named = [path for found in matched.values() for path in found]
    files = _unique(file for path in named for file in _files(path))
    # `results/*` also matches resume/, which is not reported as a folder without checkpoints.
    folders = [path for path in named if path.is_dir() and path.name not in IGNORED_FOLDERS]
    return files, [folder for folder in _unique(folders) if not _files(folder)]


def _matches(text: str) -> list[Path]:
    path = Path(text).expanduser()
    # An existing name is taken literally, brackets included, before it is tried as a glob.
    if path.exists():
        return [path]
    found = glob.glob(str(path), recursive=True)  # noqa: PTH207 (Path.glob: no absolute patterns)
    return [Path(match) for match in sorted(found)]


def _files(path: Path) -> list[Path]:
    candidates = [path]
    if path.is_dir():
        candidates = [file for pattern in FOLDER_PATTERNS for file in sorted(path.glob(pattern))]
    return [
        file
        for file in candidates
        if file.is_file()
        and file.suffix.lower() not in COMPANIONS
        and file.resolve().parent.name not in IGNORED_FOLDERS
    ]


def _unique(paths: Iterable[Path]) -> list[Path]:
    return list({path.resolve(): path for path in paths}.values())
