"""Where decoded photographs are kept: the cache folder of a dataset, and a store inside it for each
preprocessing and decoder."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from pathlib import Path

import cv2

from dr_ovo.files import is_writable, make_folder
from dr_ovo.photographs.preprocessing import Preprocessing

SUFFIX = ".decoded"  # of the cache folder beside a dataset
INSIDE_OUTPUT = "decoded"  # the cache folder where none can be beside the dataset
ROWS, INDEX, ABOUT, LOCK = "rows.bin", "index.sqlite", "about.json", "lock"
# Increase it when the same file and preprocessing would give other pixels for a reason that
# neither Preprocessing.hash nor OpenCV's version tells.
DECODER = 1
PIXELS_NAME = r"\d+px-[0-9a-f]{16}-opencv[\w.+-]+-[0-9a-f]{8}-\d+"
FEATURES_NAME = r"features-[0-9a-f]{16}"
STORE_NAME = re.compile(rf"({PIXELS_NAME}|{FEATURES_NAME})-u\d+")


def cache_dir(dataset: Path, output_root: Path) -> Path:
    """The default cache folder: `<dataset>.decoded` beside it, if that place is writable or has
    rows of this user; else `<output root>/decoded`. Nothing is created."""
    whole = dataset.resolve()
    try:
        beside = whole.with_name(whole.name + SUFFIX)
        if beside.is_dir():
            usable = is_writable(beside) or _has_a_store(beside)
        else:
            usable = not os.path.lexists(beside) and is_writable(beside.parent)
    except (OSError, ValueError):  # a name that is too long; the root of all folders has none
        usable = False
    return beside if usable else output_root / INSIDE_OUTPUT


def _has_a_store(folder: Path) -> bool:
    return any(is_store_name(path.name) for path in folder.iterdir())


def store_folder(cache: Path, preprocessing: Preprocessing) -> Path:
    """The folder inside the cache folder for this preprocessing and today's decoder."""
    return cache / store_name(preprocessing)


def store_name(preprocessing: Preprocessing) -> str:
    """A folder's name with all that the pixels of a photograph depend on, and the user.

    Users have folders of their own, as none can use the rows of another (see dr_ovo/caches).
    """
    return (
        f"{preprocessing.size}px-{preprocessing.hash}-opencv{cv2.__version__}-{opencv_build()}"
        f"-{DECODER}{_user()}"
    )


def features_folder(cache: Path, identity: str) -> Path:
    """The folder inside the cache folder for features of frozen networks that have the `identity`,
    a text with all that they depend on."""
    return cache / f"features-{hashlib.sha256(identity.encode()).hexdigest()[:16]}{_user()}"


def _user() -> str:
    return f"-u{os.geteuid()}"


def is_store_name(name: str) -> bool:
    """Whether a folder's name is one that `store_name` or `features_folder` gives this user."""
    return STORE_NAME.fullmatch(name) is not None and name.endswith(_user())


def opencv_build() -> str:
    """8 hex digits of the OpenCV build: one version is built with several decoders of JPEGs."""
    return hashlib.sha256(cv2.getBuildInformation().encode()).hexdigest()[:8]


def make_store(store: Path) -> None:
    """Makes the folder of a store, and removes links and pipes that lie in place of its files.

    Raises OSError where it can't be made or written, or is a link itself.
    """
    make_folder(store)
    if store.is_symlink():
        raise OSError(errno.ELOOP, "it is a link, which may lead anywhere", str(store))
    if not is_writable(store):
        raise OSError(errno.EROFS, "it is read-only", str(store))
    for name in (ROWS, ABOUT, f"{ABOUT}.part", LOCK):
        path = store / name
        if os.path.lexists(path) and not _is_plain(path):
            path.unlink()


def _is_plain(path: Path) -> bool:
    """Whether there is a regular file, under this name alone."""
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1
