"""`--mode inference`: grades photographs without labels, with one model or an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dr_ovo.dataset.image_files import IMAGE_SUFFIXES
from dr_ovo.decoding.decoders import decode
from dr_ovo.ensembles.combination import combine
from dr_ovo.ensembles.manifest import Manifest, read_manifest
from dr_ovo.errors import DONE, UserError, log
from dr_ovo.inference.ensemble_members import open_members
from dr_ovo.inference.inference_csv import write_csv
from dr_ovo.inference.trained_model import TrainedModel, open_models, predict
from dr_ovo.models.architectures import resolve_architecture
from dr_ovo.photographs.damage import Damage, describe
from dr_ovo.predictions.predictions_file import marks_of
from dr_ovo.settings.command_line import Settings
from dr_ovo.training.optimization.branch_trainer import Precision
from dr_ovo.training.setup import choose_precision, joint_folder


@dataclass(frozen=True)
class Ensemble:
    """Networks that grade together, each with its decoder; `folder` is the default for the CSV."""

    models: Sequence[TrainedModel]
    decoders: Sequence[str]
    method: str
    weights: np.ndarray  # (M,)
    folder: Path


def inference(settings: Settings) -> int:
    """Grades every readable photograph of `--input`; several models are averaged, or combined as
    the manifest of `--ensemble` says.

    Damaged files are listed and skipped. Raises UserError if nothing can be read.
    """
    config = settings.config
    if Path(config.output or "-").is_dir():
        raise UserError(f"--output {config.output} is a folder: expected a file, such as out.csv.")
    paths = _find_images(config.input)
    precision = choose_precision(config)
    ensemble = _open_ensemble(settings, precision)
    positions, grades, probabilities, damaged = _grade(
        ensemble, paths, precision, config.num_workers
    )
    if damaged:
        log.warning("%d files can't be read and are left out:\n%s", len(damaged), describe(damaged))
    output = Path(config.output) if config.output else ensemble.folder / "inference.csv"
    names = ensemble.models[0].meta["class_names"]
    marks = sorted({mark for model in ensemble.models for mark in marks_of([model.meta], [])})
    files, grade_names = [paths[i] for i in positions], [names[g] for g in grades]
    write_csv(output, files, grade_names, probabilities, names, marks)
    log.info("%d photographs graded: %s", len(positions), output)
    if "LEAKY" in marks:
        log.warning("LEAKY: trained on a dataset with leaks; expect worse results than reported.")
    log.info("Research use only; not a medical device.")
    return DONE


def _find_images(inputs: Sequence[str]) -> list[Path]:
    """The given files, and the images in the given folders; raises UserError if there are none."""
    if not inputs:
        raise UserError("--mode inference needs --input: images, or folders of images.")
    paths: list[Path] = []
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            paths += sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        elif path.exists():
            paths.append(path)
        else:
            raise UserError(f"--input {path}: there is no such file or folder.")
    if not paths:
        raise UserError(f"--input {' '.join(inputs)}: no images (.jpg .jpeg .png .tif .tiff).")
    return list(dict.fromkeys(paths))


def _open_ensemble(settings: Settings, precision: Precision) -> Ensemble:
    config = settings.config
    if not config.ensemble:
        models = open_models(settings, precision)
        folder = models[0].folder.root if len(models) == 1 else joint_folder(config)
        equal = np.full(len(models), 1 / len(models))
        return Ensemble(models, [config.decoder] * len(models), "mean", equal, folder)
    manifest = read_manifest(Path(config.ensemble))
    _require_agreement(settings, manifest)
    models = open_members(manifest, settings, precision)
    folder = Path(config.output_dir or Path(config.ensemble).parent)
    decoders = [member.decoder for member in manifest.members]
    return Ensemble(models, decoders, manifest.method, manifest.weights, folder)


def _require_agreement(settings: Settings, manifest: Manifest) -> None:
    """Raises UserError if given models or a given decoder are not the manifest's."""
    config, members = settings.config, manifest.members
    own_models = {member.architecture for member in members}
    if config.base_models and {*map(resolve_architecture, config.base_models)} != own_models:
        raise UserError(
            f"--base_models {' '.join(config.base_models)}: the ensemble in {config.ensemble} is "
            f"made of {', '.join(sorted(map(str, own_models)))}. Leave --base_models out."
        )
    own_decoders = {member.decoder for member in members if member.head == "ovo"}
    if "decoder" in settings.given() and own_decoders != {config.decoder}:
        raise UserError(
            f"--decoder {config.decoder}: the ensemble in {config.ensemble} decodes its members "
            f"with {', '.join(sorted(own_decoders)) or 'none'}. Leave --decoder out."
        )


def _grade(
    ensemble: Ensemble, paths: Sequence[Path], precision: Precision, num_workers: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Damage]]:
    """Positions (n,), grades (n,) and probabilities (n, C) of readable paths; the damaged ones."""
    predicted, probabilities = [], []
    for model, decoder in zip(ensemble.models, ensemble.decoders, strict=True):
        outputs = predict(model, paths, precision, num_workers)
        damaged = [Damage(paths[i], reason) for i, reason in sorted(outputs.damaged.items())]
        if not len(outputs.positions):
            raise UserError(
                f"None of the --input files can be read as a photograph:\n{describe(damaged)}"
            )
        accuracy = model.meta["pair_accuracy"] if model.meta["head"] == "ovo" else None
        member_grades, member_probabilities = decode(
            model.meta["head"],
            outputs.logits,
            model.meta["num_classes"],
            decoder,
            None if accuracy is None else np.array(accuracy, dtype=np.float64),
        )
        predicted.append(member_grades)
        probabilities.append(member_probabilities)
    combined_grades, combined_probabilities = combine(
        ensemble.method, np.stack(predicted), np.stack(probabilities), ensemble.weights
    )
    grades = predicted[0] if len(ensemble.models) == 1 else combined_grades
    return outputs.positions, grades, combined_probabilities, damaged
