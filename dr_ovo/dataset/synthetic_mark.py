"""The file that says of a folder that its pictures are drawn."""

from __future__ import annotations

from pathlib import Path

from dr_ovo.dataset.folder_walk import files_below

SYNTHETIC_MARK = "synthetic.json"


def is_synthetic(folder: Path) -> bool:
    """Whether `folder`, one of the two above it, or one below it says that its pictures are drawn.

    Two above: a grade's folder inside a split's.
    """
    above = (folder, *folder.resolve().parents[:2])
    marked = any((place / SYNTHETIC_MARK).is_file() for place in above)
    return marked or any(path.name == SYNTHETIC_MARK for path in files_below(folder))
