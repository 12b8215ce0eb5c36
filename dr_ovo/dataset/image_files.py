"""Which file suffixes count as photographs, and the list of such files below a folder."""

from __future__ import annotations

from pathlib import Path

from dr_ovo.dataset.folder_walk import files_below

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}


def image_files(folder: Path) -> list[Path]:
    """The images below `folder`, sorted; hidden files and folders are skipped."""
    return sorted(path for path in files_below(folder) if path.suffix.lower() in IMAGE_SUFFIXES)
