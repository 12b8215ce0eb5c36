#!/usr/bin/env python3
"""Several models as one: python evaluate_super_ensemble.py --results_dirs ./*_5class_results"""

import sys

from dr_ovo.__main__ import run_script

if __name__ == "__main__":
    sys.exit(run_script("reports.ensemble"))
