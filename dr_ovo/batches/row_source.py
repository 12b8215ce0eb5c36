"""Where network inputs come from without decoding: the cache, filled first where it may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dr_ovo.choices import CACHE_OFF
from dr_ovo.copies.content_hashes import content_hashes
from dr_ovo.decoded.build import build
from dr_ovo.decoded.decoded_rows import DecodedRows, open_rows
from dr_ovo.decoded.processes.pool import CRASHED
from dr_ovo.decoded.space import plan
from dr_ovo.errors import UserError, log
from dr_ovo.photographs.damage import describe
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


def open_source(
    paths: Sequence[Path], preprocessing: Preprocessing, choice: CacheChoice
) -> RowSource | None:
    """The rows of the files; None without a cache, and where it has none of them.

    Says what the rows take. Raises UserError where --cache is on and there is no room, and for
    files that no process could decode.
    """
    if choice.mode == CACHE_OFF or not paths:
        return None
    contents = content_hashes(paths, choice.descriptors, keep=choice.fill)
    rows = open_rows(choice.folder, preprocessing, used=choice.fill)
    planned = plan(choice.mode, rows, choice.folder, preprocessing, set(contents.values()))
    log.info("%s", planned.text)
    if planned.build and choice.fill:
        rows.close()
        built = build(contents, preprocessing, choice.folder, choice.workers)
        crashed = [damage for damage in built.damaged if damage.reason == CRASHED]
        if crashed:  # other damage is told where the file is read
            raise UserError(
                f"{len(crashed)} files can't be decoded:\n{describe(crashed)}\nRemove or replace "
                "them."
            )
        rows = open_rows(choice.folder, preprocessing)
    if any(sha256 in rows for sha256 in contents.values()):
        return RowSource(rows, tuple(contents[path] for path in paths))
    rows.close()
    return None
