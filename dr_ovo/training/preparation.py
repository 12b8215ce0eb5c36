"""What precedes the first training: every check, the audits, the backbones and the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn

from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.decoded.processes.file_workers import shared_workers
from dr_ovo.errors import log
from dr_ovo.integrity.damaged_files import APART, Splits
from dr_ovo.logs import log_to_file, stop_file
from dr_ovo.models.weights.containers import StateDict
from dr_ovo.photographs.damage import Damage
from dr_ovo.results.training_files import check_training_files, require_whole_checkpoints
from dr_ovo.settings.command_line import Settings
from dr_ovo.settings.option import Fixed
from dr_ovo.settings.train_config import DECODING, TrainConfig, fixed_values
from dr_ovo.training.build import empty_backbone, load_backbone, load_head, preprocessing_of
from dr_ovo.training.data.audit_gate import replaced_since, undecodable
from dr_ovo.training.data.loading import check_cache, decodable
from dr_ovo.training.data.members import Audits, Member, begun_sibling, check_siblings, members_of
from dr_ovo.training.data.opening import complete_dataset, open_dataset
from dr_ovo.training.data.seen_photographs import SeenPhotographs
from dr_ovo.training.data.training_data import holds_out_val
from dr_ovo.training.data.weights_history import history_of_weights
from dr_ovo.training.resume.folder_checks import (
    check_folder,
    check_same_pictures,
    check_same_preprocessing,
    check_same_settings,
    with_defaults_of,
)
from dr_ovo.training.resume.kept_states import require_whole_state
from dr_ovo.training.resume.state import clean
from dr_ovo.training.retraining.checks import is_retraining, retraining_is_done, work_folder
from dr_ovo.training.retraining.placing import put_in_place
from dr_ovo.training.setup import (
    fold_members,
    member_sources,
    never_ended_by_its_fold,
    resolve_models,
    results_folder,
)
from dr_ovo.writable import check_writable_folder


@dataclass(frozen=True)
class Job:
    """A network that is ready to be trained: its settings, photographs and their audit. In a dry
    run it stands for all `members` of `--folds` that are still to be trained."""

    config: TrainConfig
    sources: dict[str, str]
    index: DatasetIndex
    damaged: list[Damage]
    audit: dict[str, Any]
    history: SeenPhotographs
    head: StateDict | None
    members: int = 1


def prepare_jobs(settings: Settings, backbones: dict[str, nn.Module]) -> list[Job]:
    """Checks everything, audits the dataset, loads the first backbone of each architecture and
    fills the cache."""
    configs = resolve_models(settings.config)
    wanted = {config.output_dir: fold_members(config) for config in configs}
    if not settings.config.dry_run:
        for config in (one for each in wanted.values() for one in each):
            put_in_place(results_folder(config))
    if settings.config.resume and not settings.config.dry_run:
        for config in (one for each in wanted.values() for one in each):
            folder = results_folder(config)
            require_whole_state(folder)
            require_whole_state(work_folder(folder))
            check_training_files(folder)
    sources = member_sources(settings.config, settings.sources)
    members = {
        root: [_as_begun(config, sources) for config in each] for root, each in wanted.items()
    }
    with shared_workers(processes=settings.config.num_workers > 0):
        folders = [results_folder(config) for each in members.values() for config, _ in each]
        index, damaged = open_dataset(settings.config, folders)
        partial = damaged or settings.config.debug_mode  # some files left out; the audit sees all
        complete = complete_dataset(settings.config) if partial else index
        audits = Audits(complete)
        everyone: list[Member] = []
        todo: list[Member] = []
        alike: dict[str, int] = {}  # in a dry run, by the folder of the member that is tried
        for config in configs:
            found = members_of(config, members[config.output_dir], index, audits)
            everyone += found
            own = [one for one in found if not _is_done(one, index, complete)]
            if config.dry_run and own:
                alike[own[0].config.output_dir] = _count_unfinished(own)
                own = own[:1]  # its folds are alike
            for one in own:
                if not config.dry_run:  # which writes nothing
                    check_writable_folder(results_folder(one.config).root, "--output_dir")
            if own:
                backbones[own[0].config.output_dir] = starting_backbone(own[0].config)
            todo += own
        histories = [history_of_weights(one.config, results_folder(one.config)) for one in todo]
        judged = [
            audits.of_member(one, history) for one, history in zip(todo, histories, strict=True)
        ]
        heads = [_head(one.config) for one in todo]
    for one in todo:
        check_cache(one.config, one.index, preprocessing_of(one.config))
    jobs = []
    for one, audit, history, head in zip(todo, judged, histories, heads, strict=True):
        with own_log(one.config):
            bad = undecodable(audit, index.root)
            decoded, more = _decodable(one.config, one.index, bad)
            left_out, count = [*damaged, *more], alike.get(one.config.output_dir, 1)
            made = decoded, left_out, audit, history, head, count
            jobs.append(Job(one.config, one.sources, *made))
    for one in everyone:
        one.save_division()
    return jobs


def _count_unfinished(members: Sequence[Member]) -> int:
    """How many a training has still to train; a dry run without `--resume` tries finished ones
    too, so at least one."""
    return max(1, sum(not results_folder(one.config).is_finished() for one in members))


def _as_begun(config: TrainConfig, sources: dict[str, str]) -> tuple[TrainConfig, dict[str, str]]:
    """The settings, and where each came from, with the defaults of a training to go on with; those
    of a new member of `--folds` are its siblings'."""
    folder = results_folder(config)
    goes_on = (config.resume or is_retraining(config, folder)) and folder.has_begun()
    begun = folder if goes_on else begun_sibling(config)
    if begun is not None:
        config, sources = with_defaults_of(begun, config, sources)
    return never_ended_by_its_fold(config), sources


@contextmanager
def own_log(config: TrainConfig) -> Iterator[None]:
    """The log within the context is in the results folder as well, unless `--log_file` names one
    file for all."""
    if config.dry_run or config.log_file:
        yield
        return
    file = log_to_file(results_folder(config).root / "train.log")
    yield
    stop_file(file)  # only without an error, which must reach the log too


def _is_done(member: Member, index: DatasetIndex, complete: DatasetIndex) -> bool:
    """Whether the folder already has exactly this training, on its part of the dataset `index`,
    finished; `complete` has the files that `index` leaves out, too. Raises UserError if the folder
    can't take it, or if a finished training has a damaged checkpoint."""
    config = member.config
    folder = results_folder(config)
    if is_retraining(config, folder):
        return retraining_is_done(config, index, complete, folder)
    check_folder(folder, resume=config.resume or config.dry_run)
    if not config.resume or not folder.has_begun():
        check_siblings(config, complete, index)
        return False
    settings = fixed_values(config, Fixed.IN_A_RUN)
    if config.folds:  # whose members are decoded together, at the end, as is said now
        settings = {name: value for name, value in settings.items() if name not in DECODING}
    check_same_settings(folder, settings, member.index.content_hash())
    check_same_preprocessing(folder, preprocessing_of(config).hash)
    keep = not config.dry_run
    check_same_pictures(folder, replaced_since(folder, complete, index, keep=keep))
    if folder.is_finished():
        require_whole_checkpoints(folder)
        log.info("%s is finished: nothing to do.", folder.root)
        if keep:
            clean(folder)  # what a process left that was killed at its end
    return folder.is_finished()


def starting_backbone(config: TrainConfig) -> nn.Module:
    """The backbone to start from; a resumed run loads all weights from its own state later."""
    folder = results_folder(config)
    retraining = is_retraining(config, folder)
    if config.resume and folder.has_begun() and not retraining:
        return empty_backbone(config)
    return load_backbone(config, whole_input=not retraining)


def _head(config: TrainConfig) -> StateDict | None:
    """The head to start from; a resumed run loads its own later, as with `starting_backbone`."""
    begun = config.resume and results_folder(config).has_begun()
    return None if begun else load_head(config)


def _decodable(
    config: TrainConfig, index: DatasetIndex, known: list[Damage]
) -> tuple[DatasetIndex, list[Damage]]:
    """The dataset without the files that turn out not to be decodable, `known` ones too, and these;
    the others are in the cache now. Raises UserError for such files if the training has begun with
    them."""
    begun = config.resume and results_folder(config).has_begun()
    leave_out = config.skip_damaged and not begun
    preprocessing = preprocessing_of(config)
    needed: tuple[Splits, ...] = (("train",),) if holds_out_val(config) else APART
    return decodable(config, index, preprocessing, leave_out=leave_out, known=known, needed=needed)
