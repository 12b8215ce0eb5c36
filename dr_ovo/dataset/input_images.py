"""`--input`: the photographs among the given files and folders, held in little memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from dr_ovo.dataset.image_files import SUFFIXES_SHOWN, folder_content, is_special, not_read
from dr_ovo.errors import UserError


class PathNames(Sequence[Path]):
    """Paths, of which only the names are held: a quarter of their memory. Each is made anew."""

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        self._names = [str(path) for path in paths]

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, place: int) -> Path: ...
    @overload
    def __getitem__(self, place: slice) -> list[Path]: ...
    def __getitem__(self, place: int | slice) -> Path | list[Path]:
        if isinstance(place, slice):
            return [Path(name) for name in self._names[place]]
        return Path(self._names[place])


@dataclass(frozen=True)
class InputImages:
    """The photographs that are to be graded, and the `others` among them, which are not read."""

    images: PathNames
    others: list[Path]


def find_images(inputs: Sequence[str]) -> InputImages:
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
    return InputImages(PathNames(_once(images)), _once(others))


def common_folder(paths: Sequence[Path]) -> Path:
    """The deepest folder with all of them."""
    return Path(os.path.commonpath([str(path.absolute().parent) for path in paths]))


def _once(paths: Iterable[Path]) -> list[Path]:
    """Each file once, by its first path, also where others spell it otherwise."""
    found: dict[str, Path] = {}
    for path in paths:
        found.setdefault(os.path.normpath(path.absolute()), path)
    return list(found.values())
