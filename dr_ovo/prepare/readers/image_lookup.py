"""The images of a folder by what a CSV may call them: a name or a path, with or without suffix."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable
from pathlib import Path, PurePosixPath

from dr_ovo.dataset.image_files import IMAGE_SUFFIXES, image_files
from dr_ovo.dataset.words import split_of
from dr_ovo.errors import UserError


class ImageLookup:
    """The images below a folder, found by names and paths."""

    def __init__(self, images: Path) -> None:
        self.images = images
        self.paths = image_files(images)
        # A path first: two folders may hold one name (IDRiD_001.jpg in training and in testing).
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

        A bare name may be in any folder. A path is what it says where that exists; else it may
        have been written elsewhere, with folders that are not here, but none that contradict
        those that are. Raises UserError for several.
        """
        if not text:
            raise UserError(f"{where}: names no image. Fill it in, or take the row out.")
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
        """Whether a path that ends in `folders` may be that of `path`."""
        own = path.relative_to(self.images).parent.parts
        nearest = zip(reversed(own), reversed(folders), strict=False)
        if any(one.lower() != other.lower() for one, other in nearest):
            return False
        # `train/1.jpg` is not the 1.jpg of a folder that is itself called test.
        above = split_of(self.images.resolve().name)
        said = split_of(folders[-1]) if folders and not own else ""
        return not above or not said or above == said

    def unnamed(self, used: Container[Path]) -> list[str]:
        """The images that are not among those `used`."""
        return [p.relative_to(self.images).as_posix() for p in self.paths if p not in used]


def _only(hits: Iterable[Path], text: str, where: str) -> Path:
    first, *others = hits
    if others:
        raise UserError(
            f"{where}: '{text}' may be {first} or {others[0]}, which have one name: "
            f"write the path (./{text} for the folder itself), or rename one."
        )
    return first
