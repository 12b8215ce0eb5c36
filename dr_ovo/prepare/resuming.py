"""A dataset folder in the making: who may go on with it, and what stands there meanwhile."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from dr_ovo.dataset.manifest import MANIFEST, read_manifest
from dr_ovo.errors import UserError
from dr_ovo.files import write_json

MARK = ".unfinished.json"
RECORD = ".made_with.json"  # in a finished folder without a manifest
PICTURES = ".unfinished_pictures"
MADE_WITH = "made_with"  # the manifest's key for the settings


def is_finished(output: Path, settings: dict[str, Any]) -> bool:
    """Whether `output` holds the finished work of the same settings, whole; writes nothing.

    Where files that its manifest lists are gone it is not: the work puts them back. Raises
    UserError where it holds anything but that, or the same work half done.
    """
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return False
    mark = _read_mark(output)
    if mark is not None:
        # Before pictures are placed nothing stands there that other settings would not take too.
        if mark["placing"]:
            _require_same(output, settings, mark[MADE_WITH], "was begun")
        return False
    manifest = read_manifest(output / MANIFEST) if output.is_dir() else None
    made_with = _read(output / RECORD, MADE_WITH) if manifest is None else manifest.get(MADE_WITH)
    if made_with is None:
        raise UserError(f"--output {output} is not an empty folder: choose a new one.")
    _require_same(output, settings, made_with, "was made")
    listed = manifest["files"] if manifest else []
    return all((output / entry["id"]).is_file() for entry in listed)


def file_stamp(path: Path) -> str:
    """Size and time of a file; what is gone, such as a link's target, is found unreadable later."""
    try:
        stat = path.stat()
    except OSError:
        return "gone"
    return f"{stat.st_size} {stat.st_mtime_ns}"


def begin(output: Path, settings: dict[str, Any], *, placing: bool) -> None:
    """Marks `output` as in the making; `placing` once photographs are about to stand there."""
    mark = _read_mark(output)
    if mark is not None and mark[MADE_WITH] != settings:
        shutil.rmtree(output / PICTURES, ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / MARK, {MADE_WITH: settings, "placing": placing})


def end(output: Path) -> None:
    """Takes the marks of work in the making away."""
    shutil.rmtree(output / PICTURES, ignore_errors=True)
    (output / MARK).unlink(missing_ok=True)


def record(output: Path, settings: dict[str, Any]) -> None:
    """Writes down what a finished folder without a manifest was made with."""
    write_json(output / RECORD, {MADE_WITH: settings})


def _read_mark(output: Path) -> dict[str, Any] | None:
    settings, placing = _read(output / MARK, MADE_WITH), _read(output / MARK, "placing")
    usable = isinstance(settings, dict) and placing is not None
    return {MADE_WITH: settings, "placing": placing} if usable else None


def _read(file: Path, key: str) -> Any:
    """The value under `key` in a JSON file, None where there is none."""
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return held.get(key) if isinstance(held, dict) else None


def _require_same(
    output: Path, settings: dict[str, Any], standing: dict[str, Any], what: str
) -> None:
    different = [key for key in settings if settings[key] != standing.get(key)]
    if different:
        words = ", ".join(
            "another state of the source"
            if key == "source_fingerprint"
            else f"{key} {standing.get(key)} (now {settings[key]})"
            for key in different
        )
        raise UserError(
            f"--output {output} {what} with {words}: choose a new folder, or remove this one."
        )
