"""about.json: what a store of decoded photographs is, for people, and by which it is recognised."""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2

from dr_ovo.decoded.places import ABOUT, DECODER
from dr_ovo.files import write_json
from dr_ovo.photographs.preprocessing import Preprocessing

SCHEMA = 1
MARK = "photographs decoded by dr_ovo; `python -m dr_ovo cache DIR --clear` deletes them"
MAX_BYTES = 1 << 16


def write_about(
    store: Path, preprocessing: Preprocessing, photographs: int, **more: object
) -> None:
    """Writes about.json into the folder of a store that has rows of so many photographs, with what
    `more` there is to say. Raises MachineError if the disk refuses."""
    about = {
        "schema": SCHEMA,
        "about": MARK,
        "store": store.name,
        "size": preprocessing.size,
        "preprocessing": preprocessing.to_dict(),
        "opencv": cv2.__version__,
        "decoder": DECODER,
        "photographs": photographs,
        **more,
    }
    write_json(store / ABOUT, about)


def read_about(store: Path) -> dict[str, Any] | None:
    """What about.json says; None where it is missing, unreadable, or of another folder."""
    try:
        descriptor = os.open(store / ABOUT, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            about = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    ours = isinstance(about, dict) and about.get("about") == MARK
    return about if ours and about.get("store") == store.name else None


def mark_used(store: Path) -> None:
    """Records that the store was used now, in the date of about.json."""
    with suppress(OSError):
        os.utime(store / ABOUT, follow_symlinks=False)


def last_used(store: Path) -> float:
    """When the store was last used, in seconds since 1970."""
    return (store / ABOUT).lstat().st_mtime
