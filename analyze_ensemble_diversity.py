#!/usr/bin/env python3
"""How differently models err: python analyze_ensemble_diversity.py --results_dirs ./*_results"""

import sys

from dr_ovo.__main__ import run_script

if __name__ == "__main__":
    sys.exit(run_script("reports.diversity"))
