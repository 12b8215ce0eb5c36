"""Zip archives (torch files, NumPy's .npz): their parts, where they lie, and their checksums.

Parts must lie one behind the other, and the directory at the end, so that every reader of zip
archives finds the same parts (the format: PKWARE's APPNOTE). Those of a torch file are stored as
they are, with the CRC-32 that torch.save writes and torch.load does not look at.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from dr_ovo.safe_files.problems import ChecksumError, DamagedError

BEGIN = b"PK\x03\x04"  # of every torch file since torch 1.6
MAX_PARTS = 60_000
MAX_DIRECTORY = 2**24  # bytes
MAX_PICKLE = 2**24  # bytes of data.pkl, which holds all but the numbers of tensors
MAX_SMALL = 1024  # bytes of parts such as `version`
SMALL = ("version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id")
PICKLE = "data.pkl"
STORAGE = re.compile(r"data/([0-9]{1,9})")
CHUNK = 2**20
# The directory's end, its place by zip64, its end by zip64, its entries, what stands before a part.
END = struct.Struct("<4s4H2LH")
PLACE_64 = struct.Struct("<4sLQL")
END_64 = struct.Struct("<4sQ2H2L4Q")
ENTRY = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")
STORED, DEFLATED = 0, 8
ENCRYPTED = 0x1 | 0x40 | 0x2000
FULL_16, FULL_32 = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True)
class Part:
    """A part of an archive: its bytes are those from `start` to `end`, and `size` when unpacked."""

    name: str
    header: int
    start: int
    end: int
    size: int
    crc: int
    compressed: bool = False

    def chunks(self, file: BinaryIO) -> Iterator[bytes]:
        """Its bytes, unpacked, in pieces, and no more than it says.

        Raises ChecksumError where they are not those that were written, after the last.
        """
        crc = 0
        for chunk in _unpacked(file, self) if self.compressed else _stored(file, self):
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if crc != self.crc:
            raise ChecksumError(self.name)


@dataclass(frozen=True)
class Archive:
    """The parts of a torch file by name, without the folder in which all of them are."""

    parts: dict[str, Part]

    def storages(self) -> dict[str, int]:
        """The key of each storage -> its bytes."""
        found = ((STORAGE.fullmatch(name), part) for name, part in self.parts.items())
        return {match[1]: part.size for match, part in found if match}

    def check(self, file: BinaryIO) -> None:
        """Raises ChecksumError for a part whose bytes are not those that were written."""
        for part in self.parts.values():
            for _ in part.chunks(file):
                pass


def read_archive(file: BinaryIO) -> Archive:
    """The archive in an open file. Raises DamagedError for what torch.save does not write."""
    found = read_parts(file)
    folders = {part.name.partition("/")[0] for part in found}
    if len(folders) != 1:
        raise DamagedError("its parts are not in one folder")
    parts: dict[str, Part] = {}
    for part in found:
        name = part.name.partition("/")[2]
        if name in parts:
            raise DamagedError(f"it holds {name!r} twice")
        if name not in (PICKLE, *SMALL) and not STORAGE.fullmatch(name):
            raise DamagedError(f"it holds {name[:80]!r}, which is no part of a torch file")
        most = MAX_PICKLE if name == PICKLE else MAX_SMALL if name in SMALL else part.size
        if part.size > most:
            raise DamagedError(f"its {name} has {part.size} bytes, more than {most}")
        parts[name] = part
    if PICKLE not in parts:
        raise DamagedError(f"it has no {PICKLE}")
    return Archive(parts)


def read_parts(file: BinaryIO, *, compressed: bool = False) -> list[Part]:
    """The parts of any archive whose parts lie one behind the other; `compressed`: by deflate, too.

    Raises DamagedError for encrypted and overlapping parts, and for a directory that does not end
    the file.
    """
    directory, count, size = _directory(file)
    _require(count <= MAX_PARTS and size <= MAX_DIRECTORY, f"its directory has {count} entries")
    data = _read(file, directory, size)
    parts, at = [], 0
    for _ in range(count):
        part, at = _part(file, data, at, compressed=compressed)
        parts.append(part)
    _require(at == size, "its directory has bytes that are no entry")
    ordered = sorted(parts, key=lambda part: part.header)
    ends = [part.header for part in ordered] + [directory]
    _require(ends[0] == 0, "it does not begin with its first part")
    for part, end in zip(ordered, ends[1:], strict=True):
        _require(part.end <= end, f"its part {part.name[:80]!r} overlaps what follows")
    return parts


def _directory(file: BinaryIO) -> tuple[int, int, int]:
    """(where the directory begins, its entries, its bytes)."""
    at = file.seek(0, os.SEEK_END) - END.size
    begin, *short, comment = _unpack(END, file, at)
    _require(begin == b"PK\x05\x06" and comment == 0, "the end of its directory is missing")
    end, place, fields = at, at - PLACE_64.size, short
    if place >= 0 and _read(file, place, 4) == b"PK\x06\x07":  # torch writes it always
        _, disk, end, disks = _unpack(PLACE_64, file, place)
        begin, rest, _, _, *fields = _unpack(END_64, file, end)
        whole = begin == b"PK\x06\x06" and rest == END_64.size - 12
        _require(whole and disk == 0 and disks == 1, "its directory is damaged")
        _require(end + END_64.size == place, "its directory is damaged")
    same = zip(short, fields, (FULL_16,) * 4 + (FULL_32,) * 2, strict=True)
    _require(all(s in (long, full) for s, long, full in same), "its directory has two sizes")
    disk, first, here, count, size, start = fields
    _require(disk == first == 0 and here == count, "its directory is damaged")
    _require(start + size == end, "its directory is not where it says")
    return start, count, size


def _part(file: BinaryIO, data: bytes, at: int, *, compressed: bool) -> tuple[Part, int]:
    """The entry at a place of the directory, and the place of the next one."""
    _require(at + ENTRY.size <= len(data), "its directory is cut")
    fields = ENTRY.unpack_from(data, at)
    begin, _, _, flags, method, _, _, crc, packed, size, *lengths, _, _, _, header = fields
    names, extras, comments = lengths
    _require(begin == b"PK\x01\x02", "its directory is damaged")
    at += ENTRY.size
    raw = data[at : at + names]
    name = raw.decode("utf-8", "replace")
    extra = data[at + names : at + names + extras]
    at += names + extras + comments
    _require(at <= len(data), "its directory is cut")
    size, packed, header = _zip64([size, packed, header], extra)
    what = f"its part {name[:80]!r}"
    known = (STORED, DEFLATED) if compressed else (STORED,)
    _require(method in known, f"{what} is compressed, where none should be")
    _require(method != STORED or packed == size, f"{what} has two sizes")
    _require(not flags & ENCRYPTED, f"{what} is encrypted")
    local = _unpack(LOCAL, file, header)
    _require(local[0] == BEGIN, f"{what} is not where its directory says")
    _require(local[2] & ENCRYPTED == 0 and local[3] == method, f"{what} is packed in two ways")
    _require(_read(file, header + LOCAL.size, local[-2]) == raw, f"{what} has two names")
    start = header + LOCAL.size + local[-2] + local[-1]
    return Part(name, header, start, start + packed, size, crc, method == DEFLATED), at


def _zip64(values: list[int], extra: bytes) -> list[int]:
    """Those of the values that are too large for 32 bits, from the zip64 field of an entry."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        field = extra[at + 4 : at + 4 + length]
        at += 4 + length
        if kind == 1:
            wanted = [place for place, value in enumerate(values) if value == FULL_32]
            _require(len(field) >= 8 * len(wanted), "its directory is damaged")
            for number, place in enumerate(wanted):
                values[place] = struct.unpack_from("<Q", field, 8 * number)[0]
            break
    return values


def _unpack(form: struct.Struct, file: BinaryIO, at: int) -> tuple:
    return form.unpack(_read(file, at, form.size))


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    _require(0 <= at < 2**62, "it is cut, or its directory is damaged")
    file.seek(at)
    data = file.read(size)
    _require(len(data) == size, "it is cut, or its directory is damaged")
    return data


def _stored(file: BinaryIO, part: Part) -> Iterator[bytes]:
    file.seek(part.start)
    left = part.end - part.start
    while left:
        chunk = file.read(min(left, CHUNK))
        _require(bool(chunk), f"it is cut in its part {part.name[:80]!r}")
        left -= len(chunk)
        yield chunk


def _unpacked(file: BinaryIO, part: Part) -> Iterator[bytes]:
    unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
    left, packed = part.size, _stored(file, part)
    while left and not unpacking.eof:
        try:
            data = unpacking.unconsumed_tail or next(packed, b"")
            chunk = unpacking.decompress(data, min(left, CHUNK))
        except zlib.error:
            raise ChecksumError(part.name) from None
        _require(bool(chunk or data), f"its part {part.name[:80]!r} is shorter than it says")
        left -= len(chunk)
        yield chunk
    _require(not left, f"its part {part.name[:80]!r} is shorter than it says")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DamagedError(otherwise)
