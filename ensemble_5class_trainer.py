#!/usr/bin/env python3
"""Trains, evaluates and applies 5-grade diabetic-retinopathy classifiers; see --help."""

import sys

from dr_ovo.errors import run


def main() -> int:
    """Parses the command line and does what --mode says; the exit code."""
    from dr_ovo.cli import parse_settings

    settings = parse_settings(sys.argv[1:])

    # torch and timm take seconds to import: not before the settings are known to be good.
    from dr_ovo.modes import run_mode

    return run_mode(settings)


if __name__ == "__main__":
    sys.exit(run(main))
