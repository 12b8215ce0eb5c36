"""The warning of an accuracy or kappa that is too good to be true: its limits and wording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HIGHEST_ACCURACY, HIGHEST_KAPPA = 0.92, 0.95
KNOWN = (
    "the best known quadratic weighted kappas on public sets are .863 (EyePACS) and .936 (APTOS), "
    "and graders agree with each other at .58 to .84"
)
CHECKS = (
    "Before believing it, rule out leakage: python prepare_dataset.py --from_tree DIR --output "
    "CLEAN --dry_run lists images and patients that are in two splits; how an image was processed "
    "must not depend on its grade; and a hold-out set from elsewhere must agree"
)


def implausible(accuracy: Mapping[str, Any], kappa: Mapping[str, Any]) -> str | None:
    """The warning that an accuracy or a quadratic weighted kappa is too good, with checks to make.

    Both are metrics, {"value", ...}, as fractions. None where neither is known and above its limit
    (92 %, .95). The value counts, not its interval: checking costs little, a leak costs patients.
    """
    exceeded = []
    if accuracy["value"] is not None and accuracy["value"] > HIGHEST_ACCURACY:
        exceeded.append(f"an accuracy of {100 * accuracy['value']:.1f} %")
    if kappa["value"] is not None and kappa["value"] > HIGHEST_KAPPA:
        exceeded.append(f"a kappa of {kappa['value']:.3f}")
    if not exceeded:
        return None
    verb = "are" if len(exceeded) > 1 else "is"
    return f"{' and '.join(exceeded)} {verb} beyond the best known results: {KNOWN}. {CHECKS}."
