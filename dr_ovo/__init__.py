"""Training, evaluation and reporting for 5-grade diabetic-retinopathy classifiers."""

from dr_ovo.torchvision_ops import mend_on_import

__version__ = "0.1.0"

mend_on_import()
