"""What evaluation.json says of the training's audit: `audited`, and `statistics_only` on test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dr_ovo.dataset.index import Split
from dr_ovo.errors import log
from dr_ovo.evaluation.statistics_only import common_block, statistics_only
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.training.data.audit_gate import was_audited


def audit_blocks(
    folder: ResultsFolder, root: Path, test: Split | None, grades: tuple[str, ...]
) -> dict[str, Any]:
    """`audited`: whether the dataset at `root` is the one that the folder's training audited (None:
    it audited none), with a warning if not. `statistics_only`: what image statistics alone score on
    its `test`."""
    audited = was_audited(folder, root, grades)
    if audited is False:
        log.warning(
            "%s: these are not the files that its training audited. To check whether test shares "
            "images or patients with train: python -m dr_ovo audit %s",
            folder.root,
            root,
        )
    if test is None:
        return {"audited": audited}
    alone = statistics_only(folder, root, test, grades)
    return {"audited": audited, "statistics_only": alone}


def joint_audit_blocks(members: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The same of an ensemble, from its members' reports: `audited` only if all were."""
    audits = {report["audited"] for report in members}
    return {
        "audited": False if False in audits else None if None in audits else True,
        "statistics_only": common_block([report["statistics_only"] for report in members]),
    }
