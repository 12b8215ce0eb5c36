"""Writes config.json (its fields), checkpoints, the rows of history.csv, and the resume state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from dr_ovo import __version__
from dr_ovo.choices import AUTO
from dr_ovo.decoding.fitting import fitted_json
from dr_ovo.errors import log
from dr_ovo.files import write_json
from dr_ovo.models.checkpoints.files import checkpoint_path, save_checkpoint
from dr_ovo.settings.train_config import PER_STEP, values_of
from dr_ovo.training.build import Model
from dr_ovo.training.data.seen_photographs import ALL_KNOWN
from dr_ovo.training.epochs.validation import EpochResult
from dr_ovo.training.resume.branch_run import BranchRun
from dr_ovo.training.resume.numerics import record_numerics
from dr_ovo.training.resume.pretrained_file import KEY, pretrained_sha256, say_other_file
from dr_ovo.training.resume.resumption import go_on, rate_scale, recover, recoveries, recovery
from dr_ovo.training.resume.state import (
    Reached,
    begin,
    is_kept,
    save_branches,
    save_progress,
    save_stem,
    state_files,
)
from dr_ovo.training.writing.run import Run
from dr_ovo.training.writing.tensorboard import write_curves
from dr_ovo.training.writing.versions import git_commit, versions

SCHEMA = 1
T = TypeVar("T")


class RunWriter:
    """Writes the files of a run, which this process began, or went on with where it had `reached`,
    at `rate_scale` times the learning rates of its schedule.

    Of several ranks, each writes its own branches; where all have the same one, and of what a run
    has once, the first does.
    """

    def __init__(self, run: Run, reached: Reached, rate_scale: float = 1.0) -> None:
        self.run, self.folder, self.reached = run, run.folder, reached
        self.seen = run.seen
        self._ranks = run.model.branch_ranks
        self._writes = run.model.window_ranks.is_first
        for branch in run.model.runs.values():
            if branch.trainer is not None:
                branch.trainer.rate_scale = rate_scale

    @classmethod
    def begun(cls, run: Run) -> RunWriter:
        """Begins a new training in the folder: config.json, and the frozen stem.

        With `--recover`, when nothing was kept yet, at half the rate of the one before.
        """
        recovered = run.model.ranks.first_does(lambda: _begin(run))
        return cls(run, Reached(0), rate_scale(recovered))

    @classmethod
    def resumed(cls, run: Run) -> RunWriter:
        """Goes on with the training in the folder, whose state it loads."""
        if run.config.recover:
            run.model.ranks.first_does(lambda: recover(run.folder))
        needed = run.folder.read_progress().get("grad_checkpointing", False)
        if needed and run.config.grad_checkpointing == AUTO:  # memory would be full once more
            run.model.network.set_checkpointing()
        if run.model.ranks.is_first:
            say_other_file(run.folder, run.config.base_models[0], run.config.pretrained_path)
        reached, scale = go_on(run.folder, run.model.runs, versions())
        run.model.ranks.require_same(
            (reached.position, scale, state_files(run.folder.read_progress())),
            "The processes of this run see different states of it: results must lie on a disk that "
            "all share; start again where one has been slow to show a new file",
        )
        return cls(run, reached, scale)

    def keep_best(self, branch_run: BranchRun, epoch: int, result: EpochResult) -> None:
        """Writes the checkpoint of a branch that improved."""
        if not self._writes:
            return
        network, (architecture,) = self.run.model.network, self.run.config.base_models
        assert branch_run.trainer is not None
        branch, features = branch_run.trainer.branch, result.features
        state = {
            **{f"backbone.{k}": v for k, v in network.backbone_state(branch_run.name).items()},
            **{f"head.{k}": v for k, v in branch.head.state_dict().items()},
        }
        statistics = {
            "feature_mean": features.feature_mean if features else None,
            "feature_std": features.feature_std if features else None,
            **self.seen.tensors(),
        }
        path = checkpoint_path(self.folder.models, architecture, branch_run.name)
        save_checkpoint(path, self.meta(branch_run, epoch, result), state, statistics)

    def meta(self, branch_run: BranchRun, epoch: int, result: EpochResult) -> dict[str, Any]:
        """A checkpoint's readable part, in plain Python values."""
        config, model = self.run.config, self.run.model
        assert branch_run.trainer is not None
        spec, branch = branch_run.trainer.spec, branch_run.trainer.branch
        trained = sum(p.numel() for p in branch.parameters())
        return {
            "version": __version__,
            "architecture": config.base_models[0],
            "head": config.head,
            "ovo_mode": config.ovo_mode,
            "branch": spec.name,
            "pairs": [list(pair) for pair in spec.pairs],
            "class_names": list(config.grades),
            "num_classes": config.num_classes,
            "experiment_name": config.experiment_name,
            "synthetic": self.run.index.synthetic,
            "leaky": self.run.leaky,
            ALL_KNOWN: self.seen.all_known,
            "seed": config.seed,
            "input": {
                "size": model.spec.size,
                "mean": list(model.spec.mean),
                "std": list(model.spec.std),
            },
            "preprocessing": model.preprocessing.to_dict(),
            "preprocessing_hash": model.preprocessing.hash,
            "tta_views": config.tta_views,
            "freeze_stages": model.network.frozen_stages,
            "parameters": trained + _stem_parameters(model),
            "trained_parameters": trained,
            "epoch": epoch,
            "prior_shift": list(branch_run.trainer.loss.prior_shift),
            "decoding": fitted_json(result.fitted) if result.fitted else None,
            "metrics": result.metrics,
        }

    def keep_epoch(self, epoch: int, results: list[EpochResult]) -> None:
        """Writes history.csv, then the state to resume from."""
        runs = self.run.model.runs
        new = {row["branch"]: row for row in self._of_all_ranks([one.row for one in results])}
        rows = [new[name] for name in runs if name in new]
        if self._writes and self._ranks.is_first:
            self.folder.write_history([*self.folder.read_history(up_to=epoch - 1), *rows])
            if self.run.config.tensorboard:
                write_curves(self.folder.root / "tensorboard", epoch, rows)
        own = [(result.row["branch"], runs[result.row["branch"]].to_dict()) for result in results]
        for name, progress in self._of_all_ranks(own):
            runs[name].restore(progress)
        self._save(Reached(epoch))

    def keep_within(self, epoch: int, seconds: float) -> None:
        """Writes the state inside an epoch, which has trained for `seconds`, if there is any."""
        trainers = [run.trainer for run in self.run.model.runs.values() if run.trainer is not None]
        images = sum(self._of_all_ranks([trainer.done for trainer in trainers]))
        if images:
            self._save(Reached(epoch - 1, images, round(seconds, 2)))

    def _of_all_ranks(self, values: Sequence[T]) -> list[T]:
        """The values of ranks that have different branches."""
        return [value for each in self._ranks.gather(values) for value in each]

    def _save(self, reached: Reached) -> None:
        if not self._writes:
            return
        model = self.run.model
        finished = all(run.ended for run in model.runs.values())
        kept = self._ranks.first_does(lambda: is_kept(self.folder, reached))
        if kept and not finished:
            return  # nothing was learned since
        if self._ranks.is_first:
            record_numerics(self.folder, self.reached, self.run.numerics())
        own = [run for run in model.runs.values() if run.trainer is not None or run.ended]
        found = save_branches(self.folder, reached, own, finished=finished)
        branches: dict[str, dict[str, Any]] = {}
        for name, branch in self._of_all_ranks([*found.items()]):
            if name not in branches or branch["file"]:
                branches[name] = branch
        if self._ranks.is_first:
            machine = {
                "micro_batch": model.micro_batch.size,
                "grad_checkpointing": model.network.checkpointing,
            }
            ordered = {name: branches[name] for name in model.runs}
            save_progress(self.folder, reached, ordered, machine)


def _begin(run: Run) -> list[dict[str, Any]]:
    """Makes the folder that of a new training; its recoveries."""
    folder = run.folder
    recovered = recoveries(folder) if run.config.resume else []
    if run.config.recover:
        recovered.append(recovery(recovered, Reached(0), []))
        log.info("nothing is kept: from the start")
    begin(folder)
    again = {"recovered": recovered} if recovered else {}
    write_json(folder.config, config_json(run) | again)
    stem = run.model.network.stem
    if stem is not None:
        save_stem(folder, stem.state_dict())
    return recovered


def config_json(run: Run) -> dict[str, Any]:
    """The content of config.json."""
    return {
        "schema": SCHEMA,
        "settings": {**values_of(run.config), PER_STEP: run.config.window},
        "sources": run.sources,
        "recipes": [recipe.to_dict() for recipe in run.recipes],
        "effective": run.effective(),
        "counts": run.index.counts,
        "data_hash": run.index.content_hash(),
        "data_manifest_hash": run.index.manifest_hash,
        "synthetic": run.index.synthetic,
        "leaky": run.leaky,
        "audit": run.audit,
        "skipped_images": [{"file": str(d.path), "reason": d.reason} for d in run.damaged],
        "preprocessing": run.model.preprocessing.to_dict(),
        "preprocessing_hash": run.model.preprocessing.hash,
        KEY: pretrained_sha256(run.config.base_models[0], run.config.pretrained_path),
        "versions": versions(),
        "git_commit": git_commit(),
        "retrained": [],
    }


def _stem_parameters(model: Model) -> int:
    stem = model.network.stem
    return sum(p.numel() for p in stem.parameters()) if stem is not None else 0
