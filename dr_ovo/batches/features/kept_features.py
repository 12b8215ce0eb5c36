"""The features that a cache folder keeps: rows that are read, room for more, and their writing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dr_ovo.batches.features.identity import as_text
from dr_ovo.batches.row_source import CacheChoice
from dr_ovo.choices import CACHE_OFF
from dr_ovo.decoded.about import write_about
from dr_ovo.decoded.decoded_rows import open_store
from dr_ovo.decoded.filling import Filling, open_filling
from dr_ovo.decoded.places import features_folder
from dr_ovo.decoded.row_decoding import Job
from dr_ovo.decoded.row_file import RowKind
from dr_ovo.decoded.space import why_not
from dr_ovo.errors import MachineError, UserError, log
from dr_ovo.photographs.preprocessing import Preprocessing

Rows = Mapping[str, Sequence[np.ndarray]]  # the name of a row -> the arrays (F,) that need it


@dataclass(frozen=True)
class KeptFeatures:
    """The features of `width` numbers each that were computed as `identity` says (see identity.py),
    kept in the cache folder that was chosen."""

    choice: CacheChoice
    identity: Mapping[str, Any]
    width: int
    preprocessing: Preprocessing

    @property
    def store(self) -> Path:
        """The folder of the rows."""
        return features_folder(self.choice.folder, as_text(dict(self.identity)))

    @property
    def kind(self) -> RowKind:
        """What a row is."""
        return RowKind((self.width,), "float32")

    def read(self, rows: Rows) -> list[str]:
        """Reads rows into their arrays; the names of those that are not there, or not whole."""
        if self.choice.mode == CACHE_OFF:
            return list(rows)
        with open_store(self.store, self.kind, used=self.choice.fill) as kept:
            missing = []
            for name, (first, *others) in rows.items():
                if not kept.read_into(name, first):
                    missing.append(name)
                    continue
                for other in others:
                    other[:] = first
        return missing

    def count_missing(self, names: Sequence[str]) -> int:
        """How many of the rows are not there; nothing is read of those that are."""
        if self.choice.mode == CACHE_OFF:
            return len(names)
        with open_store(self.store, self.kind, used=False) as kept:
            return sum(name not in kept for name in names)

    def refusal(self, missing: int) -> str:
        """Why so many more rows are not kept, "" where they are. Raises UserError where --cache is
        on and they have no room."""
        needed = missing * self.kind.bytes
        return why_not(self.choice.mode, self.choice.folder, self.store, needed) if missing else ""

    @contextmanager
    def writer(self) -> Iterator[FeatureWriter | None]:
        """What adds rows, once no other process fills the store; None, with a warning, where it
        can't be written."""
        with ExitStack() as opened:
            writer = None
            try:
                filling = opened.enter_context(open_filling(self.store, self.kind))
                self._describe(filling)
                writer = FeatureWriter(filling)
            except (OSError, MachineError, UserError) as error:
                self._warn(str(getattr(error, "strerror", None) or error))
            try:
                yield writer
            finally:
                if writer is not None:
                    self._finish(writer.filling)

    def _finish(self, filling: Filling) -> None:
        """Saves what was written, whatever ended the writing."""
        filling.finish()
        with suppress(MachineError):
            self._describe(filling)
        if filling.refusal:
            self._warn(filling.refusal)

    def _warn(self, reason: str) -> None:
        log.warning(
            "%s can't take more features: %s. Those that are not in it are computed again by the "
            "next run.",
            self.store, reason,
        )  # fmt: skip

    def _describe(self, filling: Filling) -> None:
        write_about(self.store, self.preprocessing, len(filling), features=dict(self.identity))


class FeatureWriter:
    """Adds rows to a store that is open to be filled, as long as it has room."""

    def __init__(self, filling: Filling) -> None:
        self.filling = filling
        self._jobs: Iterator[Job] = iter(())

    def expect(self, names: Sequence[str]) -> None:
        """Says which rows will be written, in this order."""
        self._jobs = self.filling.jobs(dict.fromkeys(names, Path()))

    def write(self, name: str, features: np.ndarray | None) -> None:
        """Adds the next row (F,) float32, if there is room for it; None passes it over."""
        job = next(self._jobs, None)
        if job is not None and features is not None:
            assert job.sha256 == name
            self.filling.write(job, features)
