"""Training, evaluation and reporting for 5-grade diabetic-retinopathy classifiers."""

import os

# Before numpy is imported: its matrices here are many and small, and threads that share out one
# of them wait for each other longer than they work (measured: 8 times the time on two cores).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from dr_ovo.torchvision_compat import fix_on_import

__version__ = "0.1.0"

fix_on_import()
