#!/usr/bin/env python3
"""Makes a dataset folder from photographs and their grades, or shrinks one; see --help."""

import sys

from dr_ovo.errors import run


def main() -> int:
    """Parses the command line and prepares; the exit code."""
    from dr_ovo.data.prepare import prepare
    from dr_ovo.data.prepare_options import parse_options

    return prepare(parse_options(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(run(main))
