"""Whether all ranks see the same files: several machines need a shared folder."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from dr_ovo.distributed.ranks import Ranks
from dr_ovo.errors import UserError

WAIT_SECONDS = 10.0  # until a network disk shows a new file
LOOKED_AT = 16  # photographs


def require_shared(ranks: Ranks, folder: Path, photographs: Sequence[Path]) -> None:
    """Raises UserError where a rank does not see what the first one writes into `folder`, which it
    makes, or some of the `photographs`."""
    if ranks.is_alone:
        return
    if not ranks.is_first:
        mark = ranks.broadcast(folder)
        missing = [mark] if not _appears(mark) else []
        _require_nothing_missing(ranks, [*missing, *_missing(photographs)])
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".dr_ovo_ranks_") as file:
        ranks.broadcast(Path(file.name))
        _require_nothing_missing(ranks, _missing(photographs))


def _missing(photographs: Sequence[Path]) -> list[Path]:
    every = max(1, len(photographs) // LOOKED_AT)
    return [path for path in photographs[::every] if not path.is_file()]


def _appears(mark: Path) -> bool:
    end = time.monotonic() + WAIT_SECONDS
    while not mark.is_file():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _require_nothing_missing(ranks: Ranks, missing: Sequence[Path]) -> None:
    said = [f"rank {ranks.index} on {socket.gethostname()} does not see {path}" for path in missing]
    problems = [text for each in ranks.gather(said[:1]) for text in each]
    if problems:
        raise UserError(
            f"{problems[0]}. All processes of a run need the same folders of photographs and of "
            "results, under the same paths: put both on a disk that all machines share."
        )
