"""The first lines of a training's log: settings and sources, dataset, model, notes."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import Any

from dr_ovo import __version__
from dr_ovo.models.architectures import CHANNELS_LAST
from dr_ovo.predictions.calibration import MIN_IMAGES
from dr_ovo.settings.recipe import Recipe
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.data.audit_gate import audit_lines
from dr_ovo.training.writing.run import Run

MIN_PER_RANK = 32  # images of a step


def opening_lines(run: Run) -> list[str]:
    """The first lines of the log: what will run, and where each value came from."""
    config, effective = run.config, run.effective()
    lines = [
        f"dr_ovo {__version__}  {' '.join(sys.argv)}",
        "Research use only; not a medical device.",
    ]
    if run.index.synthetic:
        lines.append("SYNTHETIC data: drawn images, not photographs of patients.")
    if config.experiment_name:
        lines.append(f"experiment {config.experiment_name}")
    lines += [_recipe_line(recipe, config) for recipe in run.recipes]
    lines += [
        f"  {field.name:28} {_shown(getattr(config, field.name)):40} {run.sources[field.name]}"
        for field in fields(config)
    ]
    for split, counts in run.index.counts.items():
        shown = "  ".join(f"{grade}: {count}" for grade, count in counts.items())
        lines.append(f"{split:5} {sum(counts.values())} images  ({shown})")
    lines += audit_lines(run.audit, run.index.root)
    lines.append(
        f"batch {config.batch_size} x accumulation {config.gradient_accumulation_steps} = "
        f"{effective['images_per_step']} images per step, {effective['micro_batch']} at a time"
    )
    if run.model.ranks.count > 1:
        lines.append(f"{run.model.ranks.count} processes")
    for name, branch in effective["branches"].items():
        lines.append(
            f"branch {name}: {branch['images_per_epoch']} images and {branch['steps_per_epoch']} "
            f"steps per epoch, {branch['warmup_steps']} warm-up steps"
        )
    lines += [
        f"parameters: {effective['trained_parameters']:,} trained, "
        f"{effective['frozen_parameters']:,} frozen ({effective['frozen_stages']} stages)",
        f"{effective['device']}, {effective['precision']}, "
        f"{'channels_last' if effective['memory_format'] == CHANNELS_LAST else 'NCHW'}, "
        f"{effective['threads']} thread{'s' * (effective['threads'] != 1)}, gradient checkpointing "
        f"{'on' if effective['grad_checkpointing'] else 'off'}"
        f"{', to be compiled' * effective['compile']}",
        *_notices(run),
    ]
    return lines


def _recipe_line(recipe: Recipe, config: TrainConfig) -> str:
    """A recipe: what it is and on what it was measured; or, where some of it is set otherwise,
    which settings."""
    idle = _idle(config)
    others = [n for n, v in recipe.values.items() if n not in idle and getattr(config, n) != v]
    named = f"{recipe.source} (sha256 {recipe.sha256[:12]})"
    if others:
        flags = " ".join(f"--{name}" for name in others)
        return (
            f"{named}, but set otherwise: {flags}. It was measured only as it is: "
            f"{recipe.description}"
        )
    return f"{named}: {recipe.description}. Measured: {recipe.measured}"


def _idle(config: TrainConfig) -> set[str]:
    """The settings of the loss that do nothing beside the others."""
    return {
        "label_smoothing" if config.head == "regression" else "regression_loss",
        *(() if config.enable_focal_loss else ("focal_loss_gamma", "focal_loss_alpha")),
        *(() if config.enable_class_weights else ("class_weights",)),
    }


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _notices(run: Run) -> list[str]:
    """What may be unexpected about these settings."""
    config, notices = run.config, []
    if config.warmup_epochs >= config.epochs:
        notices.append(
            f"warm-up of {config.warmup_epochs} epochs does not fit into {config.epochs}: "
            "a tenth of all steps instead"
        )
    if config.sampler == "balanced" and config.enable_class_weights:
        notices.append("--sampler balanced already balances train: class weights are off")
    if config.head == "regression" and (config.enable_focal_loss or config.label_smoothing):
        notices.append(
            "focal loss and label smoothing are of probabilities: --head regression has neither"
        )
    random_start = not config.pretrained and not config.pretrained_path
    if random_start and run.model.network.frozen_stages:
        notices.append(
            "the frozen stem has random weights (--no-pretrained): it can't learn; "
            "--freeze_weights false trains it"
        )
    sharing = run.model.window_ranks.count
    if sharing > 1 and config.window < MIN_PER_RANK * sharing:
        notices.append(
            f"{sharing} processes share steps of {config.window} images: below {MIN_PER_RANK} for "
            "each, GPUs gain little. ./run_all.sh trains an architecture on each GPU; or take a "
            "larger --batch_size, with the learning rate that goes with it"
        )
    if len(run.index.splits["val"]) < MIN_IMAGES and not config.folds:
        notices.append(
            f"val has fewer than {MIN_IMAGES} images: it is used for both selection and calibration"
        )
    return [f"note: {notice}" for notice in notices]
