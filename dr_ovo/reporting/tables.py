"""Numbers as plain text, and the tables that they stand in.

Files hold fractions; `percent` is the one place where a fraction becomes a percentage.
"""

from __future__ import annotations

from dr_ovo.tables import WIDTH, table, wrapped

__all__ = ["RESEARCH_USE", "WIDTH", "decimal", "magnitude", "percent", "table", "wrapped"]

RESEARCH_USE = "Research use only; not a medical device."


def percent(fraction: float | None, unit: str = " %", sign: str = "", unknown: str = "-") -> str:
    """A fraction in [-1, 1] as a percentage such as `58.3 %`; `sign="+"` for differences.

    Raises ValueError for anything else: a percentage that was taken for a fraction.
    """
    if fraction is None:
        return unknown
    if not -1 <= fraction <= 1:
        raise ValueError(f"{fraction} is not a fraction between -1 and 1")
    return f"{100 * fraction:{sign}.1f}{unit}"


def decimal(value: float | None, unknown: str = "-") -> str:
    """A kappa, an AUC or a score with three decimals."""
    return unknown if value is None else f"{value:.3f}"


def magnitude(count: float | None, unit: str = "", unknown: str = "-") -> str:
    """A count in powers of 1000, such as `26.7 M` (or `107.1 MB` with unit B)."""
    if count is None:
        return unknown
    for scale, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= scale:
            return f"{count / scale:.1f} {letter}{unit}"
    return f"{count:.0f} {unit}".rstrip()
