"""The marker file synthetic.json: whether the pictures of a folder are drawn."""

from __future__ import annotations

from pathlib import Path

from dr_ovo.dataset.folder_walk import files_below

SYNTHETIC_MARK = "synthetic.json"


def is_synthetic(folder: Path) -> bool:
    """Whether the marker is in `folder`, in one of the two folders above it, or anywhere below it.

    Two above, because `folder` may be a grade folder inside a split folder.
    """
    above = (folder, *folder.resolve().parents[:2])
    marked = any((parent / SYNTHETIC_MARK).is_file() for parent in above)
    return marked or any(path.name == SYNTHETIC_MARK for path in files_below(folder))
