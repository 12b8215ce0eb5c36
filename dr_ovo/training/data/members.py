"""The networks that a run trains, one of each architecture, or of each of its folds; the part of the
dataset that each sees, and their audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.errors import log
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.data.audit_gate import audit_dataset, stored_audit
from dr_ovo.training.data.fold_division import (
    divide,
    fold_lines,
    load_division,
    member_index,
    require_division,
)
from dr_ovo.training.data.training_data import holds_out_val
from dr_ovo.training.resume.folder_checks import check_folder
from dr_ovo.training.setup import results_folder
from dr_ovo.writable import check_writable_folder


@dataclass(frozen=True)
class Member:
    """A network to be trained: its settings, where each came from, and its part of the dataset."""

    config: TrainConfig
    sources: dict[str, str]
    index: DatasetIndex


class Audits:
    """The audits of a dataset by the settings that they depend on, each made once; `complete` has
    its damaged files, too."""

    def __init__(self, complete: DatasetIndex) -> None:
        self._complete = complete
        self._found: dict[tuple[str, ...], dict[str, Any]] = {}

    def of(self, config: TrainConfig) -> dict[str, Any]:
        """The audit of the dataset; a resumed run with the same files reuses its stored one."""
        folder = results_folder(config)
        keep = not config.dry_run
        stored = stored_audit(folder, self._complete, keep=keep) if config.resume else None
        if stored is not None:
            return stored
        key = (*config.base_models, config.pretrained_path)
        if key not in self._found:
            self._found[key] = audit_dataset(config, self._complete, folder.root)
        return self._found[key]


def members_of(
    config: TrainConfig,
    members: Sequence[tuple[TrainConfig, dict[str, str]]],
    index: DatasetIndex,
    audits: Audits,
) -> list[Member]:
    """The networks of an architecture: without folds the one of `members`, which sees all.

    Divides the dataset into folds where that was not done before. Raises UserError for a division
    of other pictures, or in another number of folds.
    """
    if not config.folds:
        return [Member(*member, index) for member in members]
    folder = results_folder(config)
    division = load_division(folder.root)
    if division is None:
        check_folder(folder, resume=False)
        division = divide(index, audits.of(config)["alike"], config.folds)
        if not config.dry_run:
            check_writable_folder(folder.root, "--output_dir")
            division.save(folder.root)
    require_division(division, index, config.folds, folder.root)
    for line in fold_lines(index, division):
        log.info("%s", line)
    found = []
    for member, sources in members:
        own_val = not holds_out_val(member)
        own = member_index(index, division, member.fold, own_val=own_val)
        found.append(Member(member, sources, own))
    return found
