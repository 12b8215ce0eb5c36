"""Figures beyond the best known results: more often a leak than a discovery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HIGHEST_ACCURACY, HIGHEST_KAPPA = 0.92, 0.95
KNOWN = (
    "the best known quadratic weighted kappas on public sets are .863 (EyePACS) and .936 (APTOS), "
    "and graders among themselves reach .58 to .84"
)
CHECKS = (
    "Before it is believed, rule out leakage: python prepare_dataset.py --from_tree DIR --output "
    "CLEAN --dry_run lists pictures and patients that stand in two splits; nothing in how a "
    "picture was processed may depend on its grade; and a hold-out from elsewhere must agree"
)


def implausible(accuracy: Mapping[str, Any], kappa: Mapping[str, Any]) -> str | None:
    """The warning that an accuracy or a quadratic weighted kappa is too good, naming the checks.

    Both are metrics, {"value", ...}, fractions. None where neither is above its limit (92 %, .95)
    or known. The value counts, not its interval: a warning costs a look, a leak costs patients.
    """
    found = []
    if accuracy["value"] is not None and accuracy["value"] > HIGHEST_ACCURACY:
        found.append(f"an accuracy of {100 * accuracy['value']:.1f} %")
    if kappa["value"] is not None and kappa["value"] > HIGHEST_KAPPA:
        found.append(f"a kappa of {kappa['value']:.3f}")
    if not found:
        return None
    verb = "are" if len(found) > 1 else "is"
    return f"{' and '.join(found)} {verb} beyond the best known results: {KNOWN}. {CHECKS}."
