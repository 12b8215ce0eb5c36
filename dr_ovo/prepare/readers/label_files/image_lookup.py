"""Finds the image that a CSV cell names: by name or path, with or without suffix."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Container, Sequence
from pathlib import Path, PurePosixPath

from dr_ovo.dataset.image_files import IMAGE_SUFFIXES, folder_content
from dr_ovo.dataset.words import split_in_name, split_of
from dr_ovo.errors import UserError


class ImageLookup:
    """The images below a folder, or those of `paths`, which are in it; by path and by name.
    `others` are files of other formats."""

    def __init__(self, images: Path, paths: Sequence[Path] | None = None) -> None:
        self.images, self.paths, self.others = images, list(paths or ()), list[Path]()
        if paths is None:
            content = folder_content(images)
            self.paths, self.others = content.images, content.others
        self._root_name = images.resolve().name
        # Paths are looked up first: two folders may have the same name (IDRiD_001.jpg in both).
        self._by_path: dict[str, list[Path]] = defaultdict(list)
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            inside = path.relative_to(images)
            for key in {inside.as_posix(), inside.with_suffix("").as_posix()}:
                self._by_path[key].append(path)
            for key in {path.name, path.stem}:
                self._by_name[key].append(path)
        self._spelled = set(map(_one_spelling, self._by_name))

    def knows(self, text: str) -> bool:
        """Whether the images have one of this name, in any folder, in upper or lower case."""
        name = _one_spelling(text.replace("\\", "/").rpartition("/")[2])
        return bool(name) and (name in self._spelled or _bare(name) in self._spelled)

    def looks_like_one(self, text: str) -> bool:
        """Whether a cell names an image: one that is there, or any by its suffix."""
        return self.knows(text) or Path(text).suffix.lower() in IMAGE_SUFFIXES

    def find(self, text: str, where: str, split: str = "") -> Path | None:
        """The image that a cell names, None where there is none.

        A bare name may be in any folder. A path is used as it is if it exists. Otherwise it may be
        from another machine: its folders may be absent here, but must not contradict those that
        exist. Of several images, the one is meant that is in a folder of the row's `split`. Raises
        UserError if several images match.
        """
        if not text:
            raise UserError(f"{where}: names no image. Fill in the cell, or remove the row.")
        path = text.replace("\\", "/")
        name = path.removeprefix("./")
        bare = _bare(name)
        # DeepDRiD's paths begin with a backslash.
        folders = PurePosixPath(name.lstrip("/")).parent.parts
        for key in (name, bare) if "/" in path else ():
            if hits := self._by_path.get(key):
                return self._only(hits, text, where, split)
        for key in (Path(name).name, Path(bare).name):
            hits = [hit for hit in self._by_name.get(key, []) if self._may_be(hit, folders)]
            if hits:
                return self._only(hits, text, where, split)
        return None

    def split_of(self, path: Path) -> str:
        """The split that the nearest folder of an image says in its name (`a. Training Set`)."""
        folders = [*path.relative_to(self.images).parent.parts[::-1], self._root_name]
        return next(filter(None, map(split_in_name, folders)), "")

    def _only(self, hits: list[Path], text: str, where: str, split: str) -> Path:
        same = [hit for hit in hits if split and self.split_of(hit) == split]
        first, *others = (same or hits) if len(hits) > 1 else hits
        if others:
            raise UserError(
                f"{where}: '{text}' may be {first} or {others[0]}, which have the same name. "
                f"Write the path (./{text} for the folder itself), rename one, or give the labels "
                "of each split in a file of its own."
            )
        return first

    def _may_be(self, path: Path, folders: tuple[str, ...]) -> bool:
        """Whether the image `path` is consistent with a cell that names these `folders`."""
        own = path.relative_to(self.images).parent.parts
        nearest = zip(reversed(own), reversed(folders), strict=False)
        if any(one.lower() != other.lower() for one, other in nearest):
            return False
        # `train/1.jpg` does not name 1.jpg in a folder that is itself called test.
        actual = split_of(self._root_name)
        named = split_of(folders[-1]) if folders and not own else ""
        return not actual or not named or actual == named

    def unnamed(self, used: Container[Path]) -> list[str]:
        """The images that are not in `used`."""
        return [p.relative_to(self.images).as_posix() for p in self.paths if p not in used]


def _bare(name: str) -> str:
    """A name without the suffix of an image; other dots are part of it."""
    return name[: name.rindex(".")] if Path(name).suffix.lower() in IMAGE_SUFFIXES else name


def _one_spelling(name: str) -> str:
    return unicodedata.normalize("NFC", name).lower()
