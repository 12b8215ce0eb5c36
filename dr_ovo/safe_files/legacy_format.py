"""The format of torch before 1.6: pickles one behind the other, then the bytes of each storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from dr_ovo.safe_files.archive import MAX_PICKLE
from dr_ovo.safe_files.pickle_scan import Rule, Scan
from dr_ovo.safe_files.problems import DamagedError
from dr_ovo.safe_files.stand_ins import Global, Node, Storage

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
BEGIN = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickle of MAGIC
CUT = "it is cut"


def is_legacy(file: BinaryIO) -> bool:
    """Whether an open file is of that format."""
    file.seek(0)
    return file.read(len(BEGIN)) == BEGIN


def scan_legacy(file: BinaryIO, rules: Mapping[str, Rule]) -> None:
    """Raises DamagedError, ObjectsError or ExcessError for what is not safe to load, in words."""
    length = file.seek(0, 2)
    file.seek(0)
    storages: dict[Any, Storage] = {}
    scan = Scan(file.read(MAX_PICKLE), rules, lambda values: _storage(values, storages))
    if scan.run() != MAGIC or scan.run() != PROTOCOL:
        raise DamagedError("it does not begin as a file of torch.save")
    scan.run()  # about the machine
    scan.run()
    keys = scan.run()
    listed = type(keys) is Node and all(type(key) is str for key in keys.items)
    if not listed or sorted(keys.items) != sorted(storages):
        raise DamagedError("it does not list its storages")
    at = scan.buffer.tell()
    for key in keys.items:
        file.seek(at)
        count = int.from_bytes(file.read(8), "little")
        if count != storages[key].count:
            raise DamagedError(CUT if file.tell() >= length else "a storage has another size")
        at += 8 + storages[key].bytes
    if at > length:
        raise DamagedError(CUT)


def _storage(values: Sequence[Any], known: dict[Any, Storage]) -> Storage:
    """("storage", its kind, key, device, count of numbers, None)"""
    if len(values) != 6 or values[0] != "storage" or values[5] is not None:
        raise DamagedError("its pickle names a storage that torch.save never writes")
    _, kind, key, device, count, _ = values
    kinds = type(key) is str and type(device) is str and type(count) is int and count >= 0
    if not kinds or type(kind) is not Global or not kind.is_storage:
        raise DamagedError("its pickle names a storage that torch.save never writes")
    storage = Storage(key, count, kind.width)
    if known.setdefault(key, storage) != storage:
        raise DamagedError("its pickle names a storage twice, with different sizes")
    return storage
