"""Writes config.json (its fields), checkpoints, and the rows of history.csv."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dr_ovo import __version__
from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.files import write_json
from dr_ovo.models.checkpoint import checkpoint_path, save_checkpoint
from dr_ovo.models.precision import Precision
from dr_ovo.photographs.damage import Damage
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.train_config import PER_STEP, TrainConfig, values_of
from dr_ovo.training.build import Model
from dr_ovo.training.epochs.validation import EpochResult
from dr_ovo.training.resume.numerics import numerics_now
from dr_ovo.training.resume.state import BranchRun, save_progress
from dr_ovo.training.writing.tensorboard import write_curves
from dr_ovo.training.writing.versions import git_commit, versions

SCHEMA = 1


@dataclass(frozen=True)
class Record:
    """Everything about one run that its files repeat."""

    config: TrainConfig
    sources: dict[str, str]
    index: DatasetIndex
    damaged: list[Damage]
    audit: dict[str, Any]
    model: Model
    precision: Precision

    @property
    def leaky(self) -> bool:
        """Whether it was trained on leaks that `--allow_leaks` let through, or from weights that
        were."""
        return bool(self.audit["leaks"] or self.audit.get("leaky_weights"))

    @property
    def folder(self) -> ResultsFolder:
        """Where it is written."""
        return ResultsFolder(Path(self.config.output_dir))

    def config_json(self) -> dict[str, Any]:
        """The content of config.json."""
        return {
            "schema": SCHEMA,
            "settings": {**values_of(self.config), PER_STEP: self.config.window},
            "sources": self.sources,
            "effective": self.effective(),
            "counts": self.index.counts,
            "data_hash": self.index.content_hash(),
            "data_manifest_hash": self.index.manifest_hash,
            "synthetic": self.index.synthetic,
            "leaky": self.leaky,
            "audit": self.audit,
            "skipped_images": [{"file": str(d.path), "reason": d.reason} for d in self.damaged],
            "preprocessing": self.model.preprocessing.to_dict(),
            "preprocessing_hash": self.model.preprocessing.hash,
            "versions": versions(),
            "git_commit": git_commit(),
            "retrained": [],
        }

    def numerics(self) -> dict[str, Any]:
        """What the machine decides of how it is computed."""
        return numerics_now(self.precision, compiled=self.model.compiled)

    def effective(self) -> dict[str, Any]:
        """What follows from the settings on this machine."""
        trained, total = count_parameters(self.model)
        trainers = [run.trainer for run in self.model.runs.values() if run.trainer is not None]
        return {
            **self.numerics(),
            "memory_format": self.model.network.memory_format,
            "grad_checkpointing": self.model.checkpointing,
            "frozen_stages": self.model.network.frozen_stages,
            "trained_parameters": trained,
            "frozen_parameters": total - trained,
            "input": asdict(self.model.spec),
            "images_per_step": self.config.window,
            "branches": {
                t.spec.name: {
                    "images_per_epoch": t.samples,
                    "steps_per_epoch": t.schedule.total // self.config.epochs,
                    "warmup_steps": t.schedule.warmup,
                }
                for t in trainers
            },
        }

    def write_config(self) -> None:
        """Writes config.json."""
        self.folder.root.mkdir(parents=True, exist_ok=True)
        write_json(self.folder.config, self.config_json())

    def keep_best(self, run: BranchRun, epoch: int, result: EpochResult) -> None:
        """Writes the checkpoint of a branch that improved."""
        network, (architecture,) = self.model.network, self.config.base_models
        assert run.trainer is not None
        branch, features = run.trainer.branch, result.features
        state = {
            **{f"backbone.{k}": v for k, v in network.backbone_state(run.name).items()},
            **{f"head.{k}": v for k, v in branch.head.state_dict().items()},
        }
        statistics = {
            "feature_mean": features.feature_mean if features else None,
            "feature_std": features.feature_std if features else None,
        }
        path = checkpoint_path(self.folder.models, architecture, run.name)
        save_checkpoint(path, self.meta(run, epoch, result), state, statistics)

    def meta(self, run: BranchRun, epoch: int, result: EpochResult) -> dict[str, Any]:
        """A checkpoint's readable part, in plain Python values."""
        config, model = self.config, self.model
        assert run.trainer is not None
        spec, branch = run.trainer.spec, run.trainer.branch
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
            "synthetic": self.index.synthetic,
            "leaky": self.leaky,
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
            "metrics": result.metrics,
        }

    def keep_epoch(self, epoch: int, results: list[EpochResult]) -> None:
        """Writes history.csv, then the state to resume from."""
        rows = self.folder.read_history(up_to=epoch - 1)
        self.folder.write_history([*rows, *(result.row for result in results)])
        if self.config.tensorboard:
            curves = [result.row for result in results]
            write_curves(self.folder.root / "tensorboard", epoch, curves)
        runs = self.model.runs
        finished = all(run.ended for run in runs.values())
        save_progress(self.folder, epoch, runs, finished=finished)


def _stem_parameters(model: Model) -> int:
    stem = model.network.stem
    return sum(p.numel() for p in stem.parameters()) if stem is not None else 0


def count_parameters(model: Model) -> tuple[int, int]:
    """(trained, all) parameters of a network."""
    sizes = [(p.requires_grad, p.numel()) for p in model.network.parameters()]
    return sum(n for trained, n in sizes if trained), sum(n for _, n in sizes)
