"""Marks an unfinished dataset folder, and checks whether a run may resume it or is done."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from dr_ovo.dataset.manifest import MANIFEST, read_manifest
from dr_ovo.errors import UserError
from dr_ovo.files import make_folder, write_json
from dr_ovo.json_files import read_json
from dr_ovo.locks.folders import is_lock
from dr_ovo.writable import check_writable_folder

MARK = ".unfinished.json"
RECORD = ".made_with.json"  # the settings, in a finished folder without a manifest
PICTURES = ".unfinished_pictures"
MADE_WITH = "made_with"  # the manifest's key for the settings


def is_finished(output: Path, settings: dict[str, Any]) -> bool:
    """Whether `output` is the complete result of the same settings; writes nothing.

    False if files of its manifest are missing: the run restores them. Raises UserError unless
    `output` is empty, or the complete or unfinished result of the same settings. Settings may
    still change while an unfinished folder has no pictures.
    """
    if not output.exists() or (output.is_dir() and _is_empty(output)):
        return False
    mark = _read_mark(output)
    # Until pictures are placed, the folder has nothing that other settings can't use as well.
    if mark is not None and mark["placing"]:
        _require_same(output, settings, mark[MADE_WITH], "was started")
        return False
    manifest = read_manifest(output / MANIFEST) if output.is_dir() else None
    made_with = _read(output / RECORD, MADE_WITH) if manifest is None else manifest.get(MADE_WITH)
    if made_with is None and mark is not None:
        return False
    if made_with is None:
        raise UserError(f"--output {output} is not an empty folder: choose a new one.")
    _require_same(output, settings, made_with, "was made")
    listed = manifest["files"] if manifest else []
    return mark is None and all((output / entry["id"]).is_file() for entry in listed)


def _is_empty(output: Path) -> bool:
    """Whether a folder holds nothing but what a preparation leaves that is killed as it begins."""
    return all(is_lock(path.name) or path.name == f"{MARK}.part" for path in output.iterdir())


def file_stamp(path: Path) -> str:
    """Size and time of a file; a missing one (broken link) is reported later, when it is read."""
    try:
        stat = path.stat()
    except OSError:
        return "gone"
    return f"{stat.st_size} {stat.st_mtime_ns}"


def begin(output: Path, settings: dict[str, Any], *, placing: bool) -> None:
    """Marks `output` as unfinished; `placing`: photographs are about to be placed in it, if none
    have been yet.

    Raises UserError where it can't be written.
    """
    check_writable_folder(output, "--output")
    mark = _read_mark(output)
    if mark is not None and mark[MADE_WITH] != settings:
        shutil.rmtree(output / PICTURES, ignore_errors=True)
    finished = any((output / name).is_file() for name in (MANIFEST, RECORD))
    placing = placing or finished or (mark is not None and mark["placing"])
    make_folder(output)
    write_json(output / MARK, {MADE_WITH: settings, "placing": placing})


def end(output: Path) -> None:
    """Removes the marks of unfinished work."""
    shutil.rmtree(output / PICTURES, ignore_errors=True)
    (output / MARK).unlink(missing_ok=True)


def record(output: Path, settings: dict[str, Any]) -> None:
    """Records the settings of a finished folder without a manifest."""
    write_json(output / RECORD, {MADE_WITH: settings})


def _read_mark(output: Path) -> dict[str, Any] | None:
    settings, placing = _read(output / MARK, MADE_WITH), _read(output / MARK, "placing")
    usable = isinstance(settings, dict) and placing is not None
    return {MADE_WITH: settings, "placing": placing} if usable else None


def _read(file: Path, key: str) -> Any:
    """The value under `key` in a JSON file, None where there is none."""
    try:
        return read_json(file, "").get(key)
    except UserError:
        return None


def _require_same(
    output: Path, settings: dict[str, Any], earlier: dict[str, Any], verb: str
) -> None:
    keys = [*settings, *(key for key in earlier if key not in settings)]
    different = [key for key in keys if settings.get(key) != earlier.get(key)]
    if different:
        words = ", ".join(
            "a different state of the source"
            if key == "source_fingerprint"
            else f"{key} {earlier.get(key)} (now {settings.get(key)})"
            for key in different
        )
        raise UserError(
            f"--output {output} {verb} with {words}: choose a new folder, or remove this one."
        )
