#!/usr/bin/env python3
"""Where each model is strong: python analyze_per_class_strengths.py --results_dirs DIR..."""

import sys

from dr_ovo.__main__ import run_script

if __name__ == "__main__":
    sys.exit(run_script("reports.strengths"))
