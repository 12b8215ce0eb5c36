#!/usr/bin/env python3
"""Makes a dataset folder from photographs and their grades, or shrinks one; see --help."""

import sys

from dr_ovo.__main__ import run_script

if __name__ == "__main__":
    sys.exit(run_script("prepare"))
