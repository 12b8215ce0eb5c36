"""Finds the image that a CSV cell names: by name or path, with or without suffix."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable
from pathlib import Path, PurePosixPath

from dr_ovo.dataset.image_files import IMAGE_SUFFIXES, image_files
from dr_ovo.dataset.words import split_of
from dr_ovo.errors import UserError


class ImageLookup:
    """The images below a folder, indexed by path and by name."""

    def __init__(self, images: Path) -> None:
        self.images = images
        self.paths = image_files(images)
        # Paths are looked up first: two folders may have the same name (IDRiD_001.jpg in both).
        self._by_path: dict[str, list[Path]] = defaultdict(list)
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            inside = path.relative_to(images)
            for key in {inside.as_posix(), inside.with_suffix("").as_posix()}:
                self._by_path[key].append(path)
            for key in {path.name, path.stem}:
                self._by_name[key].append(path)

    def find(self, text: str, where: str) -> Path | None:
        """The image that a cell names, None where there is none.

        A bare name may be in any folder. A path is used as it is if it exists. Otherwise it may be
        from another machine: its folders may be absent here, but must not contradict those that
        exist. Raises UserError if several images match.
        """
        if not text:
            raise UserError(f"{where}: names no image. Fill in the cell, or remove the row.")
        path = text.replace("\\", "/")
        name = path.removeprefix("./")
        bare = name[: name.rindex(".")] if Path(name).suffix.lower() in IMAGE_SUFFIXES else name
        folders = PurePosixPath(name).parent.parts
        for key in (name, bare) if "/" in path else ():
            if hits := self._by_path.get(key):
                return _only(hits, text, where)
        for key in (Path(name).name, Path(bare).name):
            hits = [hit for hit in self._by_name.get(key, []) if self._may_be(hit, folders)]
            if hits:
                return _only(hits, text, where)
        return None

    def _may_be(self, path: Path, folders: tuple[str, ...]) -> bool:
        """Whether the image `path` is consistent with a cell that names these `folders`."""
        own = path.relative_to(self.images).parent.parts
        nearest = zip(reversed(own), reversed(folders), strict=False)
        if any(one.lower() != other.lower() for one, other in nearest):
            return False
        # `train/1.jpg` does not name 1.jpg in a folder that is itself called test.
        actual = split_of(self.images.resolve().name)
        named = split_of(folders[-1]) if folders and not own else ""
        return not actual or not named or actual == named

    def unnamed(self, used: Container[Path]) -> list[str]:
        """The images that are not in `used`."""
        return [p.relative_to(self.images).as_posix() for p in self.paths if p not in used]


def _only(hits: Iterable[Path], text: str, where: str) -> Path:
    first, *others = hits
    if others:
        raise UserError(
            f"{where}: '{text}' may be {first} or {others[0]}, which have the same name. "
            f"Write the path (./{text} for the folder itself), or rename one."
        )
    return first
