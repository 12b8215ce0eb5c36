"""Signs the rows of caches, with a random key that only this user of this machine has.

A dataset may come with a cache that somebody else wrote, and a forged measurement would hide a
leak. So a row counts only with its keyed digest (HMAC-SHA256), which nobody makes without the key.
"""

from __future__ import annotations

import hmac
import os
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from dr_ovo.errors import log
from dr_ovo.files import flush

KEY_BYTES = 32


def signing_key() -> bytes:
    """The key of this user of this machine, created at the first call; or, with a warning, one for
    this process alone."""
    return _key_in(key_file())


def signature(key: bytes, fields: Iterable[object]) -> bytes:
    """The keyed digest (32 bytes) of a row and what it is kept for: texts, integers and bytes."""
    return hmac.digest(key, _encoded(fields), "sha256")


def is_signed(key: bytes, fields: Iterable[object], found: object) -> bool:
    """Whether `found` is the signature of the fields."""
    return isinstance(found, bytes) and hmac.compare_digest(found, signature(key, fields))


def _encoded(fields: Iterable[object]) -> bytes:
    """Fields as bytes, with types and lengths, so that no two rows have one encoding."""
    shown: list[object] = []
    parts: list[bytes] = []
    for field in fields:
        if isinstance(field, bytes):
            shown.append([len(field)])
            parts.append(field)
        else:
            shown.append(field)
    # `repr` is fast, tells types apart, and escapes what separates it from the bytes.
    return b"\0".join([repr(shown).encode(), b"".join(parts)])


def key_file() -> Path | None:
    """Where the key is kept: in the user's cache folder; None for a user without a home."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        base = given if given.is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return None
    # A relative home would leave a key wherever a command is started.
    return base / "dr_ovo" / "cache.key" if base.is_absolute() else None


@lru_cache
def _key_in(file: Path | None) -> bytes:
    """The key in the file, which is created where there is none; else one for this process."""
    reason = "there is no home folder"
    if file is not None:
        try:
            return _read(file) or _create(file)
        except OSError as error:
            reason = f"{file}: {error.strerror or error}"
    log.warning(
        "The key of the caches of measurements can't be kept (%s): the next run measures "
        "everything again. XDG_CACHE_HOME names another folder for it.",
        reason,
    )
    return os.urandom(KEY_BYTES)


def _read(file: Path) -> bytes | None:
    """The key in the file; None where there is none that is whole, and this user's alone."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        private = status.st_uid == os.geteuid() and not status.st_mode & 0o077
        if not (stat.S_ISREG(status.st_mode) and private and status.st_size == KEY_BYTES):
            return None
        return opened.read()


def _create(file: Path) -> bytes:
    """A new key in the file, or the one that another process put there meanwhile.

    Raises OSError where it can't be kept.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent)  # readable by its owner alone
    try:
        with os.fdopen(descriptor, "wb") as new:
            new.write(os.urandom(KEY_BYTES))
            new.flush()
            os.fsync(descriptor)
        # A link appears whole, and not where another process was first.
        with suppress(OSError):
            os.link(name, file)
        if _read(file) is None:
            Path(name).replace(file)
        flush(file.parent)
    finally:
        Path(name).unlink(missing_ok=True)
    key = _read(file)
    if key is None:
        raise PermissionError(None, "other users could read it")
    return key
