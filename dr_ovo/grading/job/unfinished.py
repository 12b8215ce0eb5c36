"""What is graded so far, by groups of photographs: files beside the output until that is written.

Each rank appends to a file of its own. A run that was stopped goes on with what they hold, if it
grades the same photographs with the same models.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from dr_ovo.errors import MachineError, disk_advice
from dr_ovo.files import atomic_path, flush
from dr_ovo.locks.lock_file import Words, locked

SCHEMA = 1
PART = ".part"  # of a rank's file while it is written anew


def output_lock(output: Path) -> AbstractContextManager[None]:
    """Holds the lock on an output. Raises UserError where another run has it."""
    words = Words(str(output), "writes it", "give another --output")
    return locked(output.with_name(f"{output.name}.lock"), words)


class Unfinished:
    """The files `<output>.unfinished-<rank>` of one job, which `job` describes by plain values, and
    by iterators of them."""

    def __init__(self, output: Path, job: Mapping[str, Any]) -> None:
        self.output = output
        self.header = {"schema": SCHEMA, "job": _sha256(job)}
        self._ends: dict[Path, int] = {}  # of what this process has written

    def path(self, rank: int) -> Path:
        """The file of a rank."""
        return self.output.with_name(f"{self.output.name}.unfinished-{rank}")

    def begin(self) -> set[int]:
        """The numbers of the groups that are done; removes the files of other jobs, and the groups
        with photographs that could not be read, which may be readable now."""
        done: set[int] = set()
        self._ends.clear()
        for left in self._files(PART):  # by a process that was killed here
            left.unlink()
        for path in self._files():
            places = [*self._groups(path)]
            whole = [place for place in places if not self._read(path, place[1]).get("damaged")]
            if not whole:
                path.unlink()
            elif len(whole) < len(places):
                self._keep(path, [offset for _, offset in whole])
            done.update(number for number, _ in whole)
        return done

    def _keep(self, path: Path, offsets: Iterable[int]) -> None:
        """Writes a file anew with its groups at these places alone. Wherever that is stopped, the
        file is whole: as it was, or as it is to be. Raises MachineError if the disk refuses."""
        with atomic_path(path) as part, part.open("wb") as new, path.open("rb") as old:
            new.write(old.readline())
            for offset in offsets:
                old.seek(offset)
                new.write(old.readline())

    def add(self, rank: int, number: int, group: Mapping[str, Any]) -> None:
        """Appends a group. Raises MachineError if the disk refuses."""
        path = self.path(rank)
        try:
            end = self._ends.get(path) or self._end_of_whole_lines(path)
            lines = [] if end else [self.header]
            text = "".join(
                json.dumps(line) + "\n" for line in [*lines, {"number": number, **group}]
            )
            with path.open("r+b" if end else "wb") as file:
                file.truncate(end)
                file.seek(end)
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
                self._ends[path] = file.tell()
            if not end:
                flush(path.parent)
        except OSError as error:
            raise MachineError(
                f"{path} could not be written: {error.strerror or error}. "
                f"{disk_advice(error.errno, 'run the same command again: it goes on from there')}"
            ) from error

    def groups(self) -> Iterator[dict[str, Any]]:
        """What was added, in the order of its numbers; holds one group in memory."""
        places = self.places()
        for number in sorted(places):
            yield self._read(*places[number])

    def places(self) -> dict[int, tuple[Path, int]]:
        """Where each group is: its file, and where its line begins."""
        return {
            number: (path, offset)
            for path in self._files()
            for number, offset in self._groups(path)
        }

    def group(self, place: tuple[Path, int]) -> dict[str, Any]:
        """The group at one of the `places`."""
        return self._read(*place)

    @staticmethod
    def _read(path: Path, offset: int) -> dict[str, Any]:
        with path.open("rb") as file:
            file.seek(offset)
            return dict(json.loads(file.readline()))

    def remove(self) -> None:
        """Removes the files."""
        for path in self._files():
            path.unlink()

    def _files(self, suffix: str = "") -> list[Path]:
        prefix = f"{self.output.name}.unfinished-"
        return sorted(
            path
            for path in self.output.parent.iterdir()
            if path.name.startswith(prefix)
            and path.name.endswith(suffix)
            and path.name[len(prefix) :].removesuffix(suffix).isdecimal()
            and path.is_file()
        )

    def _groups(self, path: Path) -> Iterator[tuple[int, int]]:
        """The number of each whole group in a file, and where its line begins; none of another
        job."""
        with path.open("rb") as file:
            if _parsed(file.readline()) != self.header:
                return
            while True:
                offset = file.tell()
                group = _parsed(file.readline())
                if group is None:
                    return
                yield int(group["number"]), offset

    def _end_of_whole_lines(self, path: Path) -> int:
        """Where the whole lines of a file end: a process may have been killed while it wrote."""
        if not path.is_file():
            return 0
        with path.open("rb") as file:
            if _parsed(file.readline()) != self.header:
                return 0
            end = file.tell()
            while _parsed(file.readline()) is not None:
                end = file.tell()
        return end


def _sha256(job: Mapping[str, Any]) -> str:
    """Of a job's JSON text, with the names in their order, and an iterator as a list of its values,
    of which one is held in memory."""
    digest = hashlib.sha256()
    for number, name in enumerate(sorted(job)):
        digest.update(f"{', ' if number else '{'}{json.dumps(name)}: ".encode())
        value = job[name]
        if not isinstance(value, Iterator):
            digest.update(json.dumps(value, sort_keys=True).encode())
            continue
        digest.update(b"[")
        for place, one in enumerate(value):
            digest.update(f"{', ' if place else ''}{json.dumps(one, sort_keys=True)}".encode())
        digest.update(b"]")
    digest.update(b"}")
    return digest.hexdigest()


def _parsed(line: bytes) -> dict[str, Any] | None:
    """A line's content; None for one that is not whole."""
    if not line.endswith(b"\n"):
        return None
    try:
        content = json.loads(line)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
