"""Network inputs without decoding: the rows of the cache, and how they get there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dr_ovo.choices import CACHE_OFF
from dr_ovo.decoded.build import build
from dr_ovo.decoded.decoded_rows import DecodedRows, open_rows
from dr_ovo.decoded.space import Plan, plan
from dr_ovo.errors import log
from dr_ovo.photographs.damage import Damage
from dr_ovo.photographs.preprocessing import Preprocessing


@dataclass(frozen=True)
class CacheChoice:
    """What --cache says, the cache folder, the number of processes that fill it (0: this process
    does), and whether to `fill` it at all."""

    mode: str
    folder: Path
    workers: int
    fill: bool


@dataclass(frozen=True)
class RowSource:
    """The rows of a cache, and the content (sha256) of each of N files."""

    rows: DecodedRows
    contents: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether no file has to be decoded."""
        return all(sha256 in self.rows for sha256 in self.contents)


def require_room(
    contents: Collection[str], preprocessing: Preprocessing, choice: CacheChoice
) -> None:
    """Raises UserError where --cache is on and there is no room for the rows of these contents
    (sha256); writes nothing."""
    _planned(contents, preprocessing, choice)


def fill_rows(
    files: Mapping[Path, str], preprocessing: Preprocessing, choice: CacheChoice
) -> list[Damage]:
    """Says what the rows of the files (path -> sha256) take, and whether they are kept; adds those
    that the cache lacks, where it may be filled. The files that can't be decoded, such as those
    that crash the decoder."""
    planned = _planned(files.values(), preprocessing, choice)
    log.info("%s", planned.text)
    if not (choice.fill and planned.build):
        return []
    return list(build(files, preprocessing, choice.folder, choice.workers).damaged)


def _planned(contents: Collection[str], preprocessing: Preprocessing, choice: CacheChoice) -> Plan:
    """What to do about the rows of these contents; "" is that of a file that can't be read."""
    with open_rows(choice.folder, preprocessing, used=False) as rows:
        wanted = set(contents) - {""}
        return plan(choice.mode, rows, choice.folder, preprocessing, wanted)


def open_source(
    contents: Sequence[str], preprocessing: Preprocessing, choice: CacheChoice
) -> RowSource | None:
    """The rows of files with these contents that are in the cache; None without one, and where it
    has none of them."""
    if choice.mode == CACHE_OFF:
        return None
    rows = open_rows(choice.folder, preprocessing, used=choice.fill)
    if any(sha256 in rows for sha256 in contents):
        return RowSource(rows, tuple(contents))
    rows.close()
    return None
