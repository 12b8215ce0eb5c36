#!/usr/bin/env python3
"""Shows what checkpoints hold: python model_analyzer.py --model PATH..."""

import sys

from dr_ovo.__main__ import run_script

if __name__ == "__main__":
    sys.exit(run_script("reports.analyze"))
