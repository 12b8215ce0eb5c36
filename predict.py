#!/usr/bin/env python3
"""Verdicts on photographs: python predict.py --models RESULTS_DIR --input FOLDER"""

import sys

from dr_ovo.__main__ import run_script

if __name__ == "__main__":
    sys.exit(run_script("predict"))
