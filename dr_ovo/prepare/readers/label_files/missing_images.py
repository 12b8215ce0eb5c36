"""Why photographs that labels name are not there: how names are spelled otherwise in the folder."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path, PurePosixPath

from dr_ovo.dataset.image_files import IMAGE_SUFFIXES, SUFFIXES_SHOWN, is_special

SHOWN = 10
_SUFFIX = re.compile(r"(?:\.[a-z][a-z\d]{1,3})+$", re.IGNORECASE)
_ACCENTS = "the form of accented letters (NFC or NFD)"
_FOLDER = "the folder"


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


# How a name is brought to one form -> what differs where two names then agree.
SPELLINGS: dict[str, Callable[[str], str]] = {
    "lost leading zeros": lambda name: re.sub(r"(?<!\d)0+(?=\d)", "", name),
    "a .0 at the end": lambda name: re.sub(r"\.0+$", "", name),
    "letter case": str.lower,
    "the suffix": lambda name: _SUFFIX.sub("", name),
    _ACCENTS: _composed,
}


def missing_remark(
    titles: str,
    missing: Sequence[str],
    images: Path,
    present: Sequence[Path],
    others: Sequence[Path],
) -> str:
    """That label files, by their `titles`, name photographs `missing` (N,) in the folder `images`,
    how they are like those `present` there, and which are among the `others`, which are not read.
    """
    inside = [path.relative_to(images).as_posix() for path in present]
    unread = _not_photographs(missing, images, others)
    absent = [name for name in missing if name not in unread]
    spelled = missing_words(absent, inside, images.resolve().name)
    return (
        f"{titles} names {len(missing)} images that are not in {images}: "
        f"{', '.join(missing[:SHOWN])}{', ...' if len(missing) > SHOWN else ''}."
        + (f" {spelled}." if spelled else "")
        + _unread_words(unread)
    )


def _not_photographs(
    missing: Sequence[str], images: Path, others: Sequence[Path]
) -> dict[str, Path]:
    """Those of the `missing` names that others than photographs have, with or without suffix:
    files of other formats, pipes, and folders."""
    folders = [path for path in images.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    folders = [path for path in folders if path.is_dir()]
    known = {name.lower(): path for path in (*others, *folders) for name in (path.stem, path.name)}
    bare = {name: PurePosixPath(_slashed(name)).name.lower() for name in missing}
    return {name: known[text] for name, text in bare.items() if text in known}


def _unread_words(unread: Mapping[str, Path]) -> str:
    """What is to be said of names -> what is there, counted by its kind."""
    by_kind: dict[str, dict[str, Path]] = defaultdict(dict)
    for name, path in unread.items():
        by_kind[_kind(path)][name] = path
    said = []
    for kind, own in by_kind.items():
        name, path = next(iter(own.items()))
        counted = "1 of them is" if len(own) == 1 else f"{len(own)} of them are"
        said.append(f" {counted} there, but {kind} ({name}: there is {path.name})")
    return f"{';'.join(said)}; photographs are read from {SUFFIXES_SHOWN}." if said else ""


def _kind(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    return "a pipe or device" if is_special(path) else "in a format that is not read"


def missing_words(missing: Sequence[str], present: Sequence[str], root: str) -> str:
    """What is to be said of the names `missing` (N,) beside the photographs `present`: how many
    have their name in another folder, or differ from one by spelling alone, and in what.

    Both may be paths; those in `present` are inside the folder `root`.
    """
    left = {name: _bare(PurePosixPath(_slashed(name)).name) for name in missing}
    # Most sets have none, and trying all combinations on 35,000 names takes seconds.
    alike = _alike(left, present, tuple(SPELLINGS))
    left = {name: bare for name, bare in left.items() if name in alike}
    said = []
    for size in range(len(SPELLINGS) + 1):
        for chosen in combinations(SPELLINGS, size):
            found = _alike(left, present, chosen) if left else {}
            left = {name: bare for name, bare in left.items() if name not in found}
            said += _said(found, chosen, root)
    return "; ".join(said)


def _said(found: Mapping[str, str], chosen: Sequence[str], root: str) -> list[str]:
    """What is said of missing names `found` (-> picture) that differ by the spellings `chosen`."""
    by_difference: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for name, picture in found.items():
        differences = (*chosen, *_folders_differ(name, picture, chosen))
        by_difference[differences][name] = picture
    said = []
    for differences, pictures in by_difference.items():
        name, picture = next(iter(pictures.items()))
        if differences == (_FOLDER,):
            said.append(
                f"{len(pictures)} of them have the name of a picture in another folder ({name}: "
                f"there is {root}/{picture})"
            )
            continue
        shown = PurePosixPath(picture).name if differences == tuple(chosen) else picture
        said.append(
            f"{len(pictures)} of them differ from a picture there only by "
            f"{' and '.join(differences)} ({name} is {shown})"
        )
    return said


def _folders_differ(name: str, picture: str, chosen: Sequence[str]) -> list[str]:
    """In what the folders of a missing name and of a picture contradict each other, from the file
    upwards as far as both go."""
    pairs = list(zip(_folders(name)[::-1], _folders(picture)[::-1], strict=False))
    if all(one == other for one, other in pairs):
        return [] if chosen else [_FOLDER]  # the folder that is searched is that of another split
    if all(_composed(one) == _composed(other) for one, other in pairs):
        return [] if _ACCENTS in chosen else [_ACCENTS]
    return [_FOLDER]


def _alike(
    left: Mapping[str, str], present: Sequence[str], chosen: Sequence[str]
) -> dict[str, str]:
    """Missing name -> picture, where both agree once these spellings are brought to one form."""

    def form(name: str) -> str:
        for kind in chosen:
            name = SPELLINGS[kind](name)
        return name

    known: dict[str, list[str]] = defaultdict(list)
    for path in present:
        known[form(_bare(PurePosixPath(path).name))].append(path)
    return {
        name: min(known[form(bare)], key=lambda path: len(_folders_differ(name, path, chosen)))
        for name, bare in left.items()
        if form(bare) in known
    }


def _slashed(name: str) -> str:
    return name.replace("\\", "/")


def _folders(path: str) -> tuple[str, ...]:
    """The folders of a path in lower case: case is no contradiction."""
    return tuple(part.lower() for part in PurePosixPath(_slashed(path).lstrip("/")).parent.parts)


def _bare(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else name
