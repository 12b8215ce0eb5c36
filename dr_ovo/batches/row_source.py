"""Network inputs without decoding: the rows of the cache, and how they get there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dr_ovo.choices import CACHE_OFF
from dr_ovo.copies.content_hashes import content_hashes
from dr_ovo.decoded.build import build
from dr_ovo.decoded.decoded_rows import DecodedRows, open_rows
from dr_ovo.decoded.space import Plan, plan
from dr_ovo.errors import log
from dr_ovo.photographs.damage import Damage
from dr_ovo.photographs.preprocessing import Preprocessing


@dataclass(frozen=True)
class CacheChoice:
    """What --cache says, the cache folder, the number of processes that fill it (0: this process
    does), and whether to `fill` it at all. `descriptors` knows the contents of files (None: they
    are all read)."""

    mode: str
    folder: Path
    workers: int
    fill: bool
    descriptors: Path | None


@dataclass(frozen=True)
class RowSource:
    """The rows of a cache, and the content (sha256) of each of N files."""

    rows: DecodedRows
    contents: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether no file has to be decoded."""
        return all(sha256 in self.rows for sha256 in self.contents)


def plan_rows(paths: Sequence[Path], preprocessing: Preprocessing, choice: CacheChoice) -> None:
    """Says what the rows of the files take, and whether they are kept; writes nothing.

    Raises UserError where --cache is on and there is no room.
    """
    _planned(paths, preprocessing, choice, say=True)


def fill_rows(
    paths: Sequence[Path], preprocessing: Preprocessing, choice: CacheChoice
) -> list[Damage]:
    """Adds the rows that the cache lacks, where it may be filled; the files that can't be decoded,
    such as those that crash the decoder."""
    if not choice.fill:
        return []
    contents, planned = _planned(paths, preprocessing, choice, say=False)
    if not planned.build:
        return []
    return list(build(contents, preprocessing, choice.folder, choice.workers).damaged)


def _planned(
    paths: Sequence[Path], preprocessing: Preprocessing, choice: CacheChoice, *, say: bool
) -> tuple[dict[Path, str], Plan]:
    """The content of each file, and what to do about their rows."""
    contents: dict[Path, str] = {}
    if choice.mode != CACHE_OFF:
        contents = content_hashes(paths, choice.descriptors, keep=choice.fill)
    with open_rows(choice.folder, preprocessing, used=False) as rows:
        wanted = set(contents.values())
        planned = plan(choice.mode, rows, choice.folder, preprocessing, wanted)
    if say:
        log.info("%s", planned.text)
    return contents, planned


def open_source(
    paths: Sequence[Path], preprocessing: Preprocessing, choice: CacheChoice
) -> RowSource | None:
    """The rows of the files that are in the cache; None without one, and where it has none of
    them."""
    if choice.mode == CACHE_OFF or not paths:
        return None
    contents = content_hashes(paths, choice.descriptors, keep=choice.fill)
    rows = open_rows(choice.folder, preprocessing, used=choice.fill)
    if any(sha256 in rows for sha256 in contents.values()):
        return RowSource(rows, tuple(contents[path] for path in paths))
    rows.close()
    return None
