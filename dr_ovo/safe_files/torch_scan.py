"""What a torch file claims, checked before torch.load may believe it; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from dr_ovo.safe_files import archive, legacy_format
from dr_ovo.safe_files.archive import MAX_PICKLE, PICKLE, read_archive
from dr_ovo.safe_files.pickle_scan import Rule, Scan
from dr_ovo.safe_files.problems import DamagedError, RefusedFileError
from dr_ovo.safe_files.rules import OURS
from dr_ovo.safe_files.stand_ins import Global, Storage

HEAD = 128  # bytes of a pickle that tell whose it is


def scan_torch(path: Path, rules: Mapping[str, Rule], *, checksums: bool) -> bool:
    """Whether a torch file is a zip archive, as since torch 1.6; where the rules are more than
    `OURS`, it may also be older. `checksums`: those of all its parts are checked.

    Raises RefusedFileError for what is not safe to load, and OSError.
    """
    with path.open("rb") as file:
        if file.read(4) == archive.BEGIN:
            _scan_zip(file, rules, checksums=checksums)
            return True
        if rules is OURS or not legacy_format.is_legacy(file):
            raise DamagedError("it does not begin as a file of torch.save")
        legacy_format.scan_legacy(file, rules)
        return False


def begins_with(path: Path, *texts: bytes) -> bool:
    """Whether a torch file is a zip archive with these texts in the first bytes of its pickle."""
    try:
        with path.open("rb") as file:
            file.seek(read_archive(file).parts[PICKLE].start)
            begin = file.read(HEAD)
    except (RefusedFileError, OSError):
        return False
    return all(text in begin for text in texts)


def pickle_mentions(path: Path, text: bytes) -> bool:
    """Whether the values in a torch file hold a text, without reading its tensors; True if that
    can't be told."""
    try:
        with path.open("rb") as file:
            if legacy_format.is_legacy(file):
                return text in file.read(MAX_PICKLE)
            return text in b"".join(read_archive(file).parts[PICKLE].chunks(file))
    except (RefusedFileError, OSError):
        return True


def _scan_zip(file: BinaryIO, rules: Mapping[str, Rule], *, checksums: bool) -> None:
    found = read_archive(file)
    sizes = found.storages()
    scan = Scan(
        b"".join(found.parts[PICKLE].chunks(file)),
        rules,
        lambda values: _storage(values, sizes),
    )
    scan.run()
    if scan.buffer.read(1):
        raise DamagedError("its pickle has an end before its end")
    if checksums:
        found.check(file)


def _storage(values: Sequence[Any], sizes: dict[str, int]) -> Storage:
    """("storage", its kind, key, device, count of numbers)"""
    kinds = [type(value) for value in values]
    if kinds != [str, Global, str, str, int] or values[0] != "storage" or not values[1].is_storage:
        raise DamagedError("its pickle names a storage that torch.save never writes")
    storage = Storage(values[2], values[4], values[1].width)
    if sizes.get(storage.key) != storage.bytes:
        raise DamagedError(
            f"it holds {sizes.get(storage.key, 0)} bytes of the storage {storage.key[:20]}, and "
            f"says {storage.bytes}"
        )
    return storage
