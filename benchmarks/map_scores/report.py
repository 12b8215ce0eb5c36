"""The scores of many photographs as tables in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.map_scores.measures import mean_and_interval, ratio_and_interval

CONTROLS = ("shuffled", "centre blob", "green darkness")
QUESTIONS = {
    "grade": "why the grade",
    "rival": "why not the next grade",
    "not_none": "why not grade 0",
}
Interval = tuple[float, float, float]


def report(scored: Sequence[dict[str, Any]]) -> str:
    """The tables of each set of photographs that was scored, after those that compare several."""
    together = [] if len(scored) < 2 else [_overview(scored)]
    return "\n\n".join([*together, *(_of_set(one) for one in scored)])


def _overview(scored: Sequence[dict[str, Any]]) -> str:
    """What each score is of all networks and sizes, for why not grade 0."""
    parts = []
    for of in dict.fromkeys(one["of"] for one in scored):
        own = [one for one in scored if one["of"] == of]
        names = _names(own[0]["photographs"])
        for title, cell in OVERVIEW.items():
            lines = [f"| network, size | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
            for one in own:
                cells = [cell(one["photographs"], name) for name in names]
                lines.append(f"| {one['architecture']}, {one['size']} px | {' | '.join(cells)} |")
            table = "\n".join(lines)
            parts.append(f"{title}, {of}, {QUESTIONS[OVERVIEW_OF]}:\n\n{table}")
    return "\n\n".join(parts)


def _of_set(scored: dict[str, Any]) -> str:
    rows = scored["photographs"]
    title = (
        f"**{scored['architecture']} at {scored['size']} px, {len(rows)} {scored['of']}**: lesions "
        f"have {100 * np.mean([one['area'] for one in rows]):.1f} % of the retina, and what counts "
        f"as pointing at one {100 * np.mean([one['area_near'] for one in rows]):.0f} %."
    )
    parts = [title]
    for question, words in QUESTIONS.items():
        parts.append(f"{words[0].upper()}{words[1:]}:\n\n{_table(rows, question)}")
    parts.append(f"Kinds of lesions, by the map for why not grade 0:\n\n{_kinds(rows)}")
    return "\n\n".join(parts)


def _table(rows: Sequence[dict[str, Any]], question: str) -> str:
    head = (
        "| map | points at a lesion, % | share of map over share of area | deletion, logits | "
        "insertion, logits |\n|---|---|---|---|---|"
    )
    lines = [head]
    for name in _names(rows):
        points = _mean(_scores(rows, name, question, "points"), 100)
        ratio = _ratio(rows, name, question, "any")
        deletion, insertion = (
            _mean(_scores(rows, name, question, key)) for key in ("deletion", "insertion")
        )
        lines.append(
            f"| {name} | {_shown(points, 0)} | {_shown(ratio, 2)} | {_shown(deletion, 2)} | "
            f"{_shown(insertion, 2)} |"
        )
    lines += [_differences(rows, question, "stride 32", control) for control in CONTROLS]
    lines.append(_differences(rows, question, "stride 16", "stride 32"))
    return "\n".join(lines)


def _differences(rows: Sequence[dict[str, Any]], question: str, first: str, second: str) -> str:
    """A row of paired differences between two maps."""

    def difference(key: str, factor: float = 1) -> Interval:
        one, other = (np.array(_scores(rows, name, question, key)) for name in (first, second))
        return _mean(list(one - other), factor)

    points, deletion, insertion = (
        difference(key, factor)
        for key, factor in (("points", 100), ("deletion", 1), ("insertion", 1))
    )
    shares = [
        np.array([np.nan if s is None else s[0] for s in _pairs(rows, name, question, "any")])
        for name in (first, second)
    ]
    on_lesions = _mean(list(shares[0] - shares[1]), 100)
    return (
        f"| *{first} less {second}* | {_shown(points, 0)} | {_shown(on_lesions, 1)} % of the map | "
        f"{_shown(deletion, 2)} | {_shown(insertion, 2)} |"
    )


def _kinds(rows: Sequence[dict[str, Any]]) -> str:
    known = [key for row in rows for key in row["maps"]["stride 32"]["not_none"]]
    others = {"points", "any", "deletion", "insertion"}
    kinds = [key for key in dict.fromkeys(known) if key not in others]
    lines = [
        "| kind | photographs | stride 32 | stride 16 | green darkness |",
        "|---|---|---|---|---|",
    ]
    for kind in kinds:
        count = sum(one is not None for one in _pairs(rows, "stride 32", "not_none", kind))
        cells = [
            _shown(_ratio(rows, name, "not_none", kind), 2)
            for name in ("stride 32", "stride 16", "green darkness")
        ]
        lines.append(f"| {kind} | {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _names(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The maps, with the shuffled ones as one."""
    names = [name for name in rows[0]["maps"] if not name.startswith("shuffled ")]
    return [*(name for name in names if name.startswith("stride")), *CONTROLS]


def _members(row: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The scores of a map, or of all shuffled ones."""
    if name != "shuffled":
        return [row["maps"][name]]
    return [own for key, own in row["maps"].items() if key.startswith("shuffled ")]


def _scores(rows: Sequence[dict[str, Any]], name: str, question: str, key: str) -> list[float]:
    return [float(np.mean([m[question][key] for m in _members(row, name)])) for row in rows]


def _pairs(
    rows: Sequence[dict[str, Any]], name: str, question: str, key: str
) -> list[tuple[float, float] | None]:
    """Of each photograph the shares of the map and of the area, means over shuffled ones."""
    found: list[tuple[float, float] | None] = []
    for row in rows:
        own = [m[question].get(key) for m in _members(row, name)]
        own = [one for one in own if one is not None]
        mean = np.mean(own, axis=0) if own else None
        found.append(None if mean is None else (float(mean[0]), float(mean[1])))
    return found


def _ratio(rows: Sequence[dict[str, Any]], name: str, question: str, key: str) -> Interval:
    known = [pair for pair in _pairs(rows, name, question, key) if pair is not None]
    return ratio_and_interval(known, _generator())


def _mean(values: Sequence[float], factor: float = 1) -> Interval:
    mean, low, high = mean_and_interval(values, _generator())
    return factor * mean, factor * low, factor * high


def _generator() -> np.random.Generator:
    return np.random.default_rng(0)


def _shown(value: Interval, digits: int) -> str:
    if not np.isfinite(value[0]):
        return "-"
    return f"{value[0]:.{digits}f} ({value[1]:.{digits}f} to {value[2]:.{digits}f})"


OVERVIEW_OF = "not_none"
OVERVIEW: dict[str, Callable[[Sequence[dict[str, Any]], str], str]] = {
    "Points at a lesion, %": lambda rows, name: _shown(
        _mean(_scores(rows, name, OVERVIEW_OF, "points"), 100), 0
    ),
    "Share of map over share of area": lambda rows, name: _shown(
        _ratio(rows, name, OVERVIEW_OF, "any"), 2
    ),
    "Deletion, logits": lambda rows, name: _shown(
        _mean(_scores(rows, name, OVERVIEW_OF, "deletion")), 2
    ),
}
