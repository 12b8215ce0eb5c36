"""`--mode train`: the steps from settings to one results folder per architecture, or per fold."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext

from torch import nn

from dr_ovo.dataset.image_files import not_read
from dr_ovo.distributed.launch import Launch
from dr_ovo.distributed.ranks import Ranks
from dr_ovo.distributed.shared_folder import require_shared
from dr_ovo.errors import DONE, UserError, log
from dr_ovo.models.precision import Precision
from dr_ovo.settings.command_line import Settings
from dr_ovo.settings.recipe import Recipe
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.build import build_model, empty_backbone
from dr_ovo.training.fitting.dry_run import dry_run
from dr_ovo.training.fitting.fit import fit, require_room_for_features
from dr_ovo.training.preparation import Job, own_log, prepare_jobs, starting_backbone
from dr_ovo.training.resume.epoch_choice import RULES
from dr_ovo.training.resume.numerics import begun_micro_batch, precision_to_go_on_with
from dr_ovo.training.resume.resumption import load_stem_into
from dr_ovo.training.retraining.checks import is_retraining, work_folder
from dr_ovo.training.retraining.pairs import retrain_pairs
from dr_ovo.training.setup import choose_precision, only_trainer, results_folder
from dr_ovo.training.writing.opening_lines import opening_lines
from dr_ovo.training.writing.run import Run
from dr_ovo.training.writing.run_writer import RunWriter
from dr_ovo.training.writing.tensorboard import check_installed


def train(settings: Settings, launch: Launch) -> int:
    """Trains every architecture of the settings; all checks precede the first training, but those
    of the built network, such as the room for its features. The first of several ranks makes
    them."""
    if settings.config.tensorboard:
        check_installed()
    if settings.config.recover and not settings.config.resume:
        raise UserError("--recover: expected with --resume, for a training that was stopped.")
    if settings.config.feature_views and launch.place is not None:
        raise UserError(
            "--feature_views: heads on kept features train in seconds, and by one process. Start "
            "just one, without torchrun."
        )
    if settings.config.dry_run and launch.place is not None:
        if not launch.is_first:
            return DONE
        log.info("dry run: of one of the %d processes", launch.place.count)
        launch = Launch(None)
    with ExitStack() as held:
        return _train_all(settings, launch, held)


def _train_all(settings: Settings, launch: Launch, held: ExitStack) -> int:
    """As `train`; no other process trains into the same folders until what is `held` ends."""
    precision = choose_precision(settings.config)
    backbones: dict[str, nn.Module] = {}

    def prepare() -> list[Job]:
        with only_trainer(settings.config, held):
            return prepare_jobs(settings, backbones)

    ranks, jobs = launch.join(prepare)
    ranks.require_same(
        f"{precision.device.type} {precision.name}",
        "The processes of a run need devices of one kind, in one precision: start them on like "
        "GPUs, or with --amp off",
    )
    for job in jobs:
        backbone = _of_the_first(backbones.pop(job.config.output_dir, None), job.config, ranks)
        with own_log(job.config) if ranks.is_first else nullcontext():
            if job.config.fold and ranks.is_first:
                log.info("member %d of %d", job.config.fold, job.config.folds)
            _run(job, settings.recipes, backbone, precision, ranks)
            ranks.meet()
            launch.take_warnings()
    return DONE


def _of_the_first(backbone: nn.Module | None, config: TrainConfig, ranks: Ranks) -> nn.Module:
    """The backbone that the first rank has loaded, or loads now, in each."""
    if backbone is None and ranks.is_first:
        backbone = starting_backbone(config)
    if ranks.is_alone and backbone is not None:
        return backbone
    state = ranks.broadcast({} if backbone is None else backbone.state_dict())
    if backbone is None:
        backbone = empty_backbone(config)
        backbone.load_state_dict(state, strict=True)
    return backbone


def _run(
    job: Job,
    recipes: tuple[Recipe, ...],
    backbone: nn.Module,
    precision: Precision,
    ranks: Ranks,
) -> None:
    """Trains one architecture, or tries it: its network is gone before the next one is built."""
    config, folder = job.config, results_folder(job.config)
    retraining = is_retraining(config, folder)
    if retraining and not ranks.is_alone:
        raise UserError("--pairs of a finished network are trained by one process: start just one.")
    precision = precision_to_go_on_with(work_folder(folder) if retraining else folder, precision)
    begun = begun_micro_batch(work_folder(folder) if retraining else folder)
    train, val = job.index.splits["train"], job.index.splits["val"]
    require_shared(ranks, folder.root, [*train.paths, *val.paths])
    model = build_model(config, backbone, train, precision, begun, ranks, job.head)
    made = job.index, job.damaged, job.audit, model, precision, job.history
    run = Run(config, job.sources, recipes, *made)
    if config.resume and folder.has_begun() and not retraining:
        load_stem_into(model.network, folder)
    if config.dry_run:
        dry_run(run, job.members)
    elif retraining:
        retrain_pairs(run)
    else:
        _train(run)


def _train(run: Run) -> None:
    config, folder = run.config, run.folder
    for line in opening_lines(run):
        log.info("%s", line)
    require_room_for_features(run)
    begun = config.resume and folder.has_begun()
    fit(RunWriter.resumed(run) if begun else RunWriter.begun(run))
    for branch in run.model.runs.values():
        log.info("branch %s: ended %s", branch.name, branch.ending(RULES[config.keep_epoch]))
    log.info("done: %s", folder.root)
    if run.index.others:
        log.warning("%s", not_read(run.index.others))
