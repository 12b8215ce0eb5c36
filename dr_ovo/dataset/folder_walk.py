"""The files below a folder: links are followed, nothing that can't be read is passed over."""

from __future__ import annotations

import os
from pathlib import Path

from dr_ovo.errors import UserError

SYSTEM_FILES = {"thumbs.db", "desktop.ini"}


def files_below(folder: Path) -> list[Path]:
    """Files below `folder`, without hidden ones and those that systems leave behind.

    Linked folders are entered, but none that holds the folder in which its link lies: that would
    have no end. Nothing is below a folder that is not there. Raises UserError for a folder that
    can't be listed and for a name that is no text in UTF-8.
    """
    if not folder.is_dir():
        return []
    result = []
    # The real folder of each one that is to be entered, after those above it.
    entered: dict[Path, tuple[str, ...]] = {folder: (os.path.realpath(folder),)}
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        where = Path(place)
        above = entered.pop(where)
        places = {name: os.path.realpath(where / name) for name in folders}
        folders[:] = [
            name
            for name, real in places.items()
            if not name.startswith(".") and not any(_is_within(one, real) for one in above)
        ]
        entered |= {where / name: (*above, places[name]) for name in folders}
        result += [
            where / name
            for name in names
            if not name.startswith(".") and name.lower() not in SYSTEM_FILES
        ]
    for path in result:
        _require_text(path)
    return result


def _is_within(folder: str, other: str) -> bool:
    """Whether a real path is that of `other` or lies below it."""
    return folder == other or folder.startswith(other.rstrip(os.sep) + os.sep)


def _refuse(error: OSError) -> None:
    raise UserError(
        f"{error.filename} can't be listed ({error.strerror}): what it holds would be left out "
        "without a word. Give yourself the right to read it, or move it out."
    ) from None


def _require_text(path: Path) -> None:
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise UserError(
            f"{shown}: the name is not text in UTF-8. Rename the file or folder (convmv -f latin1 "
            "-t utf8 renames many)."
        ) from None
