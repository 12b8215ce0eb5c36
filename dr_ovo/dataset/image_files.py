"""Which files of a folder are photographs, and which others lie among them."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dr_ovo.dataset.folder_walk import files_below
from dr_ovo.dataset.manifest import MANIFEST
from dr_ovo.dataset.synthetic_mark import SYNTHETIC_MARK

IMAGE_SUFFIXES = {
    ".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp",
}  # fmt: skip
SUFFIXES_SHOWN = " ".join(sorted(IMAGE_SUFFIXES))
OWN_FILES = {MANIFEST, SYNTHETIC_MARK}
MAPS = "maps.json"  # in a folder with the pictures of `python -m dr_ovo explain`


@dataclass(frozen=True)
class FolderContent:
    """The photographs below a folder, and the `others` among them, which are not read; sorted."""

    images: list[Path]
    others: list[Path]


def folder_content(folder: Path) -> FolderContent:
    """What lies below `folder`; hidden files, system files and the toolkit's own are left out, as
    are all in a folder of maps: pictures of photographs are none.

    A pipe, a device, and a link to one are no photographs, whatever their names.
    """
    images, others = [], []
    files = sorted(files_below(folder))
    of_maps = {path.parent for path in files if path.name == MAPS}
    for path in files:
        if path.parent in of_maps:
            continue
        if is_image(path):
            images.append(path)
        elif path.name not in OWN_FILES:
            others.append(path)
    return FolderContent(images, others)


def image_files(folder: Path) -> list[Path]:
    """The photographs below `folder`, sorted."""
    return folder_content(folder).images


def is_image(path: Path) -> bool:
    """Whether a file counts as a photograph by its suffix, and is no pipe or device.

    A link that leads nowhere counts: it is a photograph that can't be read.
    """
    return path.suffix.lower() in IMAGE_SUFFIXES and not is_special(path)


def is_special(path: Path) -> bool:
    """Whether there is something in the place of a file that is none: a pipe, device or socket."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def not_read(others: Sequence[Path]) -> str:
    """A sentence that counts files by suffix, such as "3 other files were not read: 2 .gif, 1
    without suffix."; "" for none."""
    if not others:
        return ""
    kinds = Counter(map(_kind, others))
    shown = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    files = "1 other file was" if len(others) == 1 else f"{len(others)} other files were"
    return f"{files} not read: {shown}. Photographs are read from {SUFFIXES_SHOWN}."


def without_files(others: Iterable[Path], known: Iterable[Path]) -> list[Path]:
    """Those of the `others` that are not among the `known` files, such as a list of labels."""
    resolved = {path.resolve() for path in known}
    return [path for path in others if path.resolve() not in resolved]


def _kind(path: Path) -> str:
    if is_special(path):
        return "pipe or device"
    suffix = path.suffix.lower()
    return "outside the grades" if suffix in IMAGE_SUFFIXES else suffix or "without suffix"
