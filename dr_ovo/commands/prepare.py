"""`prepare_dataset.py`: builds a dataset folder from photographs and grades, or shrinks one."""

from __future__ import annotations

from collections.abc import Sequence

from dr_ovo.logs import start_log
from dr_ovo.prepare.options import parse_options
from dr_ovo.prepare.pipeline import prepare


def main(argv: Sequence[str], prog: str) -> int:
    """Parses the command line and prepares; the exit code."""
    options = parse_options(argv, prog)
    start_log()  # for warnings, such as that a cache can't be used
    return prepare(options)
