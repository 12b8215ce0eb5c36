#!/usr/bin/env python3
"""Trains, evaluates and applies 5-grade diabetic-retinopathy classifiers; see --help."""

import sys

from dr_ovo.__main__ import run_script

if __name__ == "__main__":
    sys.exit(run_script("trainer"))
