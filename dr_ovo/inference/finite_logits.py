"""Networks that answer with NaN or infinity: no grade can be made of that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dr_ovo.errors import MachineError
from dr_ovo.results.folder import ResultsFolder


def require_finite(
    folder: ResultsFolder,
    positions: np.ndarray,
    logits: np.ndarray,
    paths: Sequence[Path] | None = None,
) -> None:
    """Raises MachineError where logits (n, K) of a folder's network on the images at `positions`
    (n,), whose files are `paths`, are not all finite."""
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if not len(bad):
        return
    first = "" if paths is None else f" (first: {paths[int(positions[bad[0]])]})"
    raise MachineError(
        f"The network in {folder.models} answers NaN or infinity on {len(bad)} of the "
        f"{len(logits)} photographs put to it together{first}, of which no grade can be made. Its "
        "weights are damaged, or the device computes wrongly: try --device cpu; then restore its "
        "checkpoint, or train again."
    )
