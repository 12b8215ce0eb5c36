"""The networks that a run trains, of each architecture or of each of its folds: the part of the
dataset that each sees, and their audit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dr_ovo.dataset.index import DatasetIndex, Split
from dr_ovo.errors import UserError, log
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.option import Fixed
from dr_ovo.settings.train_config import TrainConfig, fixed_values
from dr_ovo.training.data.audit_gate import (
    audit_dataset,
    begun_with,
    replaced_since,
    stored_audit,
)
from dr_ovo.training.data.fold_division import (
    FoldDivision,
    divide,
    fold_lines,
    held_out_split,
    load_division,
    member_index,
    require_division,
)
from dr_ovo.training.data.seen_photographs import SeenPhotographs
from dr_ovo.training.data.training_data import holds_out_val
from dr_ovo.training.data.weights_history import check_weights
from dr_ovo.training.resume.files_begun_with import without_left_out
from dr_ovo.training.resume.folder_checks import (
    check_no_division,
    check_same_pictures,
    check_undivided,
    unlike_a_member,
)
from dr_ovo.training.setup import fold_folder, results_folder
from dr_ovo.writable import check_writable_folder


@dataclass(frozen=True)
class Member:
    """A network to be trained: its settings, where each came from, and its part of the dataset."""

    config: TrainConfig
    sources: dict[str, str]
    index: DatasetIndex
    held_out: Split | None = None  # the fold that it is judged on, in the place of val
    division: FoldDivision | None = None  # that of its dataset, where it is not kept yet

    def save_division(self) -> None:
        """Keeps a new division with all members, when nothing stands against their training."""
        if self.division is not None and not self.config.dry_run:
            self.division.save(results_folder(self.config).root.parent)


class Audits:
    """The audits of a dataset by the settings that they depend on, each made once; `complete` has
    its damaged files, too."""

    def __init__(self, complete: DatasetIndex) -> None:
        self._complete = complete
        self._found: dict[tuple[str, ...], dict[str, Any]] = {}

    def of_data(self, config: TrainConfig) -> dict[str, Any]:
        """The audit of the dataset, as a training into the folder of `config` makes it."""
        key = (*config.base_models, config.pretrained_path)
        if key not in self._found:
            folder = results_folder(config).root
            self._found[key] = audit_dataset(config, self._complete, folder)
        return self._found[key]

    def of_member(self, member: Member, history: SeenPhotographs) -> dict[str, Any]:
        """The audit of the dataset, and of weights with this `history`, which must not have seen
        what the network is judged on; a training that goes on with the same files reuses its stored
        one. A config.json without a state vouches for nothing: its training starts over."""
        config, folder = member.config, results_folder(member.config)
        keep, goes_on = not config.dry_run, config.resume and folder.has_begun()
        stored = stored_audit(folder, self._complete, keep=keep) if goes_on else None
        if stored is not None:
            return stored
        judged = self._complete
        if member.held_out is not None:
            splits = {**judged.splits, "val": member.held_out}
            judged = dataclasses.replace(judged, splits=splits)
        before = begun_with(folder) if goes_on else {}
        contents, held_out = member.index.contents, member.held_out is not None
        return self.of_data(config) | check_weights(
            config, history, judged, contents, before, held_out=held_out
        )


def members_of(
    config: TrainConfig,
    members: Sequence[tuple[TrainConfig, dict[str, str]]],
    index: DatasetIndex,
    audits: Audits,
) -> list[Member]:
    """The networks of an architecture: without folds the one of `members`, which sees all.

    Divides the dataset into folds where that was not done before; `Member.save_division` keeps it.
    Raises UserError for a division
    of other pictures, or in another number of folds.
    """
    folder = results_folder(config)
    if not config.folds:
        check_no_division(folder)
        return [Member(*member, index) for member in members]
    kept = load_division(folder.root)
    if kept is None:
        check_undivided(folder)
        if not config.dry_run:
            check_writable_folder(folder.root, "--output_dir")
    division = kept or divide(index, audits.of_data(config)["alike"], config.folds)
    require_division(division, index, config.folds, folder.root)
    for line in fold_lines(index, division):
        log.info("%s", line)
    found = []
    for member, sources in members:
        own_val = not holds_out_val(member)
        own = member_index(index, division, member.fold, own_val=own_val)
        if member.resume:
            own = without_left_out(own, results_folder(member))
        held_out = held_out_split(index, division, member.fold)
        found.append(Member(member, sources, own, held_out, None if kept else division))
    return found


def check_siblings(config: TrainConfig, complete: DatasetIndex, index: DatasetIndex) -> None:
    """Raises UserError if a new member of `--folds` would be trained otherwise, or on other
    pictures of the `complete` dataset, than a member that has begun; as `replaced_since`."""
    begun = begun_sibling(config)
    if begun is None:
        return
    if differing := unlike_a_member(begun, fixed_values(config, Fixed.IN_A_RUN)):
        raise UserError(
            f"{begun.root} was made with other settings than {results_folder(config).root} would "
            "be:\n  " + "\n  ".join(differing) + "\nThe members of a cross-validation share all of "
            "these. Give the settings there, or start from scratch in another --output_dir."
        )
    keep = not config.dry_run
    check_same_pictures(begun, replaced_since(begun, complete, index, keep=keep))


def begun_sibling(config: TrainConfig) -> ResultsFolder | None:
    """The first other member of the same cross-validation that has begun; None where there is
    none."""
    root = results_folder(config).root.parent
    others = (fold for fold in range(1, config.folds + 1) if fold != config.fold)
    folders = (ResultsFolder(fold_folder(root, fold)) for fold in others)
    return next((folder for folder in folders if folder.has_begun()), None)
