"""Lists the files below a folder: follows links, skips hidden files and Thumbs.db and the like."""

from __future__ import annotations

import os
from pathlib import Path

from dr_ovo.errors import UserError

SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
# Of archives from a Mac, Synology disks (which hold thumbnails), Windows and Linux disks.
SYSTEM_FOLDERS = {
    "__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found",
}  # fmt: skip


def files_below(folder: Path) -> list[Path]:
    """The files below `folder`; none if it does not exist. Hidden files and those of the system
    are left out.

    Linked folders are entered unless they contain their own link, which would never end. Raises
    UserError for a folder that can't be listed and for a name that is not UTF-8.
    """
    if not folder.is_dir():
        return []
    result = []
    # Folder to be entered -> the real paths of the folders above it and its own.
    entered: dict[Path, tuple[str, ...]] = {folder: (os.path.realpath(folder),)}
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        where = Path(place)
        above = entered.pop(where)
        places = {name: os.path.realpath(where / name) for name in folders}
        folders[:] = [
            name
            for name, real in places.items()
            if not is_hidden_folder(name) and not any(_is_within(parent, real) for parent in above)
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


def is_hidden_folder(name: str) -> bool:
    """Whether a folder of this name is left out, with all that is in it."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


def _is_within(folder: str, other: str) -> bool:
    """Whether the real path `folder` is `other` or lies below it."""
    return folder == other or folder.startswith(other.rstrip(os.sep) + os.sep)


def _refuse(error: OSError) -> None:
    raise UserError(
        f"{error.filename} can't be listed ({error.strerror}): its files would be left out "
        "silently. Make it readable, or move it out of the dataset."
    ) from None


def _require_text(path: Path) -> None:
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        raise UserError(
            f"{shown}: the name is not valid UTF-8. Rename the file or folder (convmv -f latin1 "
            "-t utf8 renames many)."
        ) from None
