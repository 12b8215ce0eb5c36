"""Evaluations on other datasets, in `external/<name>` of a results folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dr_ovo.results.folder import ResultsFolder

EXTERNAL = "external"


@dataclass(frozen=True)
class External:
    """A dataset that took no part in the training, and the evaluation on it."""

    name: str
    evaluation: Mapping[str, Any]


def read_external(root: Path) -> tuple[External, ...]:
    """The evaluations on other datasets, by name. Raises UserError for a damaged one."""
    found = []
    for folder in sorted((root / EXTERNAL).glob("*/")):
        for path in sorted(folder.glob("evaluation*.json")):
            split = path.stem.removeprefix("evaluation").removeprefix("_") or "test"
            found.append(External(folder.name, ResultsFolder(folder).read_evaluation(split)))
    return tuple(found)
