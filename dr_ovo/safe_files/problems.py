"""Why a file is not read, in words."""

from __future__ import annotations

from collections.abc import Sequence


class RefusedFileError(Exception):
    """A file that is not read; its text is the reason."""

    @property
    def made_from(self) -> str | list[str]:
        """The one argument of its class."""
        return str(self)


class DamagedError(RefusedFileError):
    """A file that was cut, altered, or that another program wrote."""


class ChecksumError(DamagedError):
    """A file whose bytes are not those that were written; `part` says where."""

    def __init__(self, part: str) -> None:
        super().__init__(f"the checksum of its part {part} is wrong")
        self.part = part

    @property
    def made_from(self) -> str | list[str]:
        """The part."""
        return self.part


class ObjectsError(RefusedFileError):
    """A file that holds Python objects besides plain values and tensors; `names` are theirs."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"it holds Python objects ({', '.join(names)})")
        self.names = list(names)

    @property
    def made_from(self) -> str | list[str]:
        """The names."""
        return self.names


class ExcessError(RefusedFileError):
    """A file that asks for more memory, time or nesting than such a file needs."""
