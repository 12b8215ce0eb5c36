"""Where the photographs of a new dataset folder come from: folder and CSV, MedMNIST, or a tree."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dr_ovo.data.labels import read_labels
from dr_ovo.data.medmnist import read_medmnist, write_pictures
from dr_ovo.data.photographs import Dropped, Photograph, is_synthetic
from dr_ovo.data.prepare_options import PrepareOptions
from dr_ovo.data.tree import read_tree
from dr_ovo.errors import UserError


@dataclass(frozen=True)
class Source:
    """The photographs of a source, ordered by name, those it does not grade, and remarks.

    `fingerprint` changes with every file (its size or time) and with all that is said of it.
    `unpack` must run before the photographs are read: they may still be inside one file.
    """

    title: str
    photographs: tuple[Photograph, ...]
    ungraded: tuple[Dropped, ...]
    remarks: tuple[str, ...]
    synthetic: bool
    fingerprint: str
    unpack: Callable[[], None]


def read_source(options: PrepareOptions, pictures: Path) -> Source:
    """What the options name as source; pictures inside a file will stand in the folder `pictures`.

    Raises UserError for a source that can't be understood.
    """
    place = options.images or options.from_tree
    assert place is not None
    unpack: Callable[[], None] = _nothing
    ungraded: list[Dropped] = []
    remarks: list[str] = []
    archives: tuple[Path, ...] = ()
    if options.from_tree:
        found, remarks = read_tree(place, keep_splits=options.split_column != "none")
    elif options.is_medmnist:
        found = read_medmnist(place, pictures)
        unpack, archives = partial(write_pictures, place, pictures), (place,)
    else:
        assert options.labels is not None
        found, ungraded, remarks = read_labels(place, options.labels, options.columns)
    if not found:
        raise UserError(f"{place}: none of its photographs has a grade; nothing can be prepared.")
    found.sort(key=lambda photograph: photograph.name)
    folder = place.parent if options.is_medmnist else place
    return Source(
        title=str(place),
        photographs=tuple(found),
        ungraded=tuple(ungraded),
        remarks=tuple(remarks),
        synthetic=is_synthetic(folder),
        fingerprint=_fingerprint(found, archives),
        unpack=unpack,
    )


def _nothing() -> None:
    """The photographs are files already."""


def _fingerprint(photographs: list[Photograph], archives: tuple[Path, ...]) -> str:
    """Of the photographs' words, and the sizes and times of the files that hold the pictures."""
    digest = hashlib.sha256()
    for one in photographs:
        words = (one.name, one.grade, one.patient, one.eye, one.group, one.split, one.source)
        digest.update(repr(words).encode())
    for path in archives or [one.path for one in photographs]:
        stat = path.stat()
        digest.update(f"{stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
