"""An open cache: rows that are signed when they are added, and count only with their signature."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from dr_ovo.caches.inspection import CACHE_ERRORS, Layout
from dr_ovo.caches.signing import is_signed, signature, signing_key
from dr_ovo.errors import log

MAX_VARIABLES = 500  # in one query, which every build of SQLite accepts
Row = tuple[Any, ...]  # the columns without the signature


class SignedCache:
    """The rows of an open cache; `refusal` is why nothing can be added, "" where it can.

    A cache never stops what needs it: what can't be read is missing, what can't be written is said
    once.
    """

    def __init__(
        self, connection: sqlite3.Connection, layout: Layout, name: str, refusal: str = ""
    ) -> None:
        self._connection = connection
        self._layout = layout
        self._name = name
        self._key = signing_key()
        self.refusal = refusal

    def rows(self, table: str, column: str, values: Sequence[str], **equal: str) -> Iterator[Row]:
        """The signed rows whose `column` is among the values, and which equal `equal`."""
        also = "".join(f" AND {name} = ?" for name in equal)
        for start in range(0, len(values), MAX_VARIABLES):
            some = values[start : start + MAX_VARIABLES]
            query = f"SELECT * FROM {table} WHERE {column} IN ({','.join('?' * len(some))}){also}"
            for *fields, found in self._read(query, (*some, *equal.values())):
                if is_signed(self._key, self._kept_for(table, fields), found):
                    yield tuple(fields)

    def unsigned(self, table: str, column: str) -> frozenset[str]:
        """The texts in a column, whoever wrote them."""
        found = self._read(f"SELECT {column} FROM {table}", ())
        return frozenset(value for (value,) in found if isinstance(value, str))

    def _read(self, query: str, parameters: Sequence[str]) -> Iterator[Row]:
        try:
            yield from self._connection.execute(query, parameters)
        except CACHE_ERRORS as error:
            warn_once(f"{self._name} can't be read ({error}): what is missing is measured again.")

    def add(self, rows: Mapping[str, Iterable[Row]], *then: str) -> None:
        """Adds the rows of each table and runs the statements `then`, all or none."""
        signed = {}
        for table, some in rows.items():
            if found := [(*row, signature(self._key, self._kept_for(table, row))) for row in some]:
                signed[table] = found
        if not signed:
            return
        if not self.refusal:
            try:
                self._write(signed, then)
            except CACHE_ERRORS as error:
                self.refusal = str(error)
        if self.refusal:
            warn_once(
                f"{self._name} can't be written ({self.refusal}): what is missing from it is "
                "measured on every run."
            )

    def _write(self, rows: Mapping[str, Sequence[Row]], then: Iterable[str]) -> None:
        with self._connection:
            for table, some in rows.items():
                marks = ",".join("?" * len(some[0]))
                command = f"INSERT OR REPLACE INTO {table} VALUES ({marks})"
                self._connection.executemany(command, some)
            for statement in then:
                self._connection.execute(statement)

    def _kept_for(self, table: str, fields: Iterable[object]) -> tuple[object, ...]:
        return (self._layout.name, self._layout.version, table, *fields)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()


@lru_cache(maxsize=64)
def warn_once(text: str) -> None:
    """Logs a warning, if this process has not lately logged the same."""
    log.warning("%s", text)
