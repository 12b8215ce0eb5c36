"""`--input`: the photographs among the given files and folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dr_ovo.dataset.image_files import (
    SUFFIXES_SHOWN,
    FolderContent,
    folder_content,
    is_special,
    not_read,
)
from dr_ovo.errors import UserError


def find_images(inputs: Sequence[str]) -> FolderContent:
    """The given files, and what the given folders contain; raises UserError without any image."""
    if not inputs:
        raise UserError("--mode inference needs --input: images, or folders of images.")
    images: list[Path] = []
    others: list[Path] = []
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            content = folder_content(path)
            images += content.images
            others += content.others
        elif is_special(path):
            raise UserError(f"--input {path} is a pipe or device: expected a file or a folder.")
        elif path.exists():
            images.append(path)
        elif path.is_symlink():
            raise UserError(f"--input {path} is a link that leads nowhere.")
        else:
            raise UserError(f"--input {path}: there is no such file or folder.")
    if not images:
        said = " ".join([f"no images ({SUFFIXES_SHOWN}).", not_read(others)]).strip()
        raise UserError(f"--input {' '.join(inputs)}: {said}")
    return FolderContent(list(dict.fromkeys(images)), list(dict.fromkeys(others)))
