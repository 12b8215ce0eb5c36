"""Finds the photographs that other sets have as well (`--exclude DIR`); they are left out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from dr_ovo.copies.between_sets import shared_pictures
from dr_ovo.copies.descriptor_cache import Described, describe_files
from dr_ovo.dataset.image_files import image_files
from dr_ovo.dataset.photograph import Dropped, Photograph
from dr_ovo.errors import UserError, log
from dr_ovo.photographs.damage import Damage, describe
from dr_ovo.prepare.resuming import file_stamp


def in_excluded_sets(
    photographs: Sequence[Photograph],
    described: Mapping[Path, Described],
    folders: Sequence[Path],
    cache: Path | None,
    max_megapixels: float,
) -> dict[Path, Dropped]:
    """Path -> why it is left out, of those of the `described` photographs that any of the `folders`
    has too: the same file, or a copy altered in a way that `find_pairs` sees through.

    Warns of pictures of theirs that can't be read. Raises UserError for a folder without pictures.
    """
    ours = [photograph.path for photograph in photographs]
    found: dict[Path, Dropped] = {}
    for folder in folders:
        theirs = pictures_of(folder)
        looks = describe_files(theirs, cache, max_megapixels=max_megapixels)
        damaged = [look for look in looks.values() if isinstance(look, Damage)]
        if damaged:
            log.warning(
                "--exclude %s: %d pictures can't be read and were not compared:\n%s",
                folder, len(damaged), describe(damaged),
            )  # fmt: skip
        for picture in shared_pictures(ours, theirs, {**looks, **described}, cache):
            other = theirs[picture.theirs[0]].relative_to(folder).as_posix()
            for position in picture.ours:
                photograph = photographs[position]
                reason = f"is in {folder} as well: {other} ({picture.how})"
                dropped = Dropped(
                    photograph.name, "in_excluded_set", reason, photograph.grade,
                    photograph.split, other,
                )  # fmt: skip
                found.setdefault(photograph.path, dropped)
    return found


def excluded_fingerprint(folders: Sequence[Path]) -> str | None:
    """A hash that changes with every picture of the folders; None without folders."""
    if not folders:
        return None
    stamps = [f"{path} {file_stamp(path)}" for folder in folders for path in pictures_of(folder)]
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()


def pictures_of(folder: Path) -> list[Path]:
    """The pictures below an excluded folder. Raises UserError if there are none."""
    paths = image_files(folder)
    if not paths:
        raise UserError(f"--exclude {folder}: there is no folder with pictures of that name.")
    return paths
