"""`prepare_dataset.py`: builds a dataset folder from photographs and grades, or shrinks one."""

from __future__ import annotations

from collections.abc import Sequence

from dr_ovo.errors import WAY_ON
from dr_ovo.logs import start_log
from dr_ovo.prepare.command_line import parse_options
from dr_ovo.prepare.pipeline import prepare


def main(argv: Sequence[str], prog: str) -> int:
    """Parses the command line and prepares; the exit code."""
    options = parse_options(argv, prog)
    WAY_ON.set("run the command again: it goes on where it stopped")
    start_log()  # for warnings, such as that a cache can't be used
    return prepare(options)
