#!/usr/bin/env python3
"""All reports on one page: python report.py --results_dirs ./*_5class_results"""

import sys

from dr_ovo.__main__ import run_script

if __name__ == "__main__":
    sys.exit(run_script("reports.report"))
