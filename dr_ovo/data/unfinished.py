"""A dataset folder in the making: who may go on with it, and what stands there meanwhile."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from dr_ovo.atomic import write_json
from dr_ovo.data.manifest import MANIFEST, read_manifest
from dr_ovo.errors import UserError

MARK = ".unfinished.json"
PICTURES = ".unfinished_pictures"
MADE_WITH = "made_with"  # the manifest's key for the settings


def is_finished(output: Path, settings: dict[str, Any]) -> bool:
    """Whether `output` holds the finished work of the same settings; writes nothing.

    Raises UserError where it holds anything but that, or the same work half done.
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
    if manifest is None or MADE_WITH not in manifest:
        raise UserError(f"--output {output} is not an empty folder: choose a new one.")
    _require_same(output, settings, manifest[MADE_WITH], "was made")
    return True


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


def _read_mark(output: Path) -> dict[str, Any] | None:
    try:
        mark = json.loads((output / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    usable = isinstance(mark, dict) and isinstance(mark.get(MADE_WITH), dict) and "placing" in mark
    return mark if usable else None


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
