"""`--mode inference`: grades photographs without labels, with one model or an ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dr_ovo.batches.loader import ImageLoader
from dr_ovo.batches.reading import written_meanwhile
from dr_ovo.dataset.image_files import (
    SUFFIXES_SHOWN,
    FolderContent,
    folder_content,
    is_special,
    not_read,
)
from dr_ovo.decoding.decoders import decode
from dr_ovo.ensembles.combination import combine
from dr_ovo.ensembles.manifest import Manifest, read_manifest
from dr_ovo.errors import DONE, MachineError, UserError, log
from dr_ovo.files import Written
from dr_ovo.inference.ensemble_members import open_members
from dr_ovo.inference.inference_csv import write_csv
from dr_ovo.inference.trained_model import TrainedModel, open_models, predict
from dr_ovo.models.architectures import resolve_architecture
from dr_ovo.models.checkpoint import input_of
from dr_ovo.photographs.damage import Damage, describe
from dr_ovo.predictions.predictions_file import marks_of
from dr_ovo.settings.command_line import Settings
from dr_ovo.training.setup import choose_device, joint_folder
from dr_ovo.writable import check_writable_file


@dataclass(frozen=True)
class Ensemble:
    """Networks that grade together, each with its decoder; `folder` is the default for the CSV."""

    models: Sequence[TrainedModel]
    decoders: Sequence[str]
    method: str
    weights: np.ndarray  # (M,)
    folder: Path


@dataclass(frozen=True)
class _Graded:
    """The n files that could be read, their grades (n,) and probabilities (n, C); the damaged ones,
    and those that were written while they were graded."""

    paths: Sequence[Path]
    grades: np.ndarray
    probabilities: np.ndarray
    damaged: Sequence[Damage]
    changed: Sequence[Path]


@dataclass(frozen=True)
class _Read:
    """The logits (n, K) of each member on the n files that could be read; the rest as in
    `_Graded`."""

    logits: Sequence[np.ndarray]
    paths: Sequence[Path]
    damaged: Sequence[Damage]
    changed: Sequence[Path]


def inference(settings: Settings) -> int:
    """Grades every readable photograph of `--input`; several models are averaged, or combined as
    the manifest of `--ensemble` says.

    Damaged files are listed and skipped. Raises UserError if nothing can be read.
    """
    config = settings.config
    if config.output:
        check_writable_file(Path(config.output), "--output")
    found = _find_images(config.input)
    device = choose_device(config)
    ensemble = _open_ensemble(settings, device)
    output = Path(config.output) if config.output else ensemble.folder / "inference.csv"
    check_writable_file(output, "--output")
    graded = _grade(ensemble, found.images, device, config.num_workers, config.max_megapixels)
    names = ensemble.models[0].meta["class_names"]
    marks = sorted({mark for model in ensemble.models for mark in marks_of([model.meta], [])})
    grade_names = [names[grade] for grade in graded.grades]
    write_csv(output, graded.paths, grade_names, graded.probabilities, names, marks)
    log.info("%d photographs graded: %s", len(graded.paths), output)
    _say_what_was_left_out(graded, found.others)
    if "LEAKY" in marks:
        log.warning("LEAKY: trained on a dataset with leaks; expect worse results than reported.")
    log.info("Research use only; not a medical device.")
    return DONE


def _say_what_was_left_out(graded: _Graded, others: Sequence[Path]) -> None:
    if graded.damaged:
        count = len(graded.damaged)
        log.warning("%d files can't be read and are left out:\n%s", count, describe(graded.damaged))
    if others:
        log.warning("%s", not_read(others))
    if graded.changed:
        log.warning("%s", written_meanwhile(graded.changed))


def _find_images(inputs: Sequence[str]) -> FolderContent:
    """The given files, and what the given folders contain; raises UserError without any image."""
    if not inputs:
        raise UserError("--mode inference needs --input: images, or folders of images.")
    images: list[Path] = []
    others: list[Path] = []
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            content = folder_content(path)
            images += content.images
            others += content.others
        elif is_special(path):
            raise UserError(f"--input {path} is a pipe or device: expected a file or a folder.")
        elif path.exists():
            images.append(path)
        elif path.is_symlink():
            raise UserError(f"--input {path} is a link that leads nowhere.")
        else:
            raise UserError(f"--input {path}: there is no such file or folder.")
    if not images:
        said = " ".join([f"no images ({SUFFIXES_SHOWN}).", not_read(others)]).strip()
        raise UserError(f"--input {' '.join(inputs)}: {said}")
    return FolderContent(list(dict.fromkeys(images)), list(dict.fromkeys(others)))


def _open_ensemble(settings: Settings, device: torch.device) -> Ensemble:
    config = settings.config
    if not config.ensemble:
        models = open_models(settings, device)
        folder = models[0].folder.root if len(models) == 1 else joint_folder(config)
        equal = np.full(len(models), 1 / len(models))
        return Ensemble(models, [config.decoder] * len(models), "mean", equal, folder)
    manifest = read_manifest(Path(config.ensemble))
    _require_agreement(settings, manifest)
    models = open_members(manifest, settings, device)
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
    ensemble: Ensemble,
    paths: Sequence[Path],
    device: torch.device,
    num_workers: int,
    max_megapixels: float,
) -> _Graded:
    """Grades what can be read. Raises UserError if nothing can."""
    read = _read(ensemble, paths, device, num_workers, max_megapixels)
    predicted, probabilities = [], []
    for model, decoder, logits in zip(ensemble.models, ensemble.decoders, read.logits, strict=True):
        accuracy = model.meta["pair_accuracy"] if model.meta["head"] == "ovo" else None
        member_grades, member_probabilities = decode(
            model.meta["head"],
            logits,
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
    return _Graded(read.paths, grades, combined_probabilities, read.damaged, read.changed)


def _read(
    ensemble: Ensemble,
    paths: Sequence[Path],
    device: torch.device,
    num_workers: int,
    max_megapixels: float,
) -> _Read:
    """The members' logits on what can be read. The first member judges the files; what it has read,
    the others must read as well. Raises UserError if nothing can be read."""
    readable, damaged, changed = list(paths), [], []
    logits: list[np.ndarray] = []
    judged: Mapping[Path, Written | None] | None = None
    for model in ensemble.models:
        first = not logits
        _, preprocessing = input_of(model.meta)
        with ImageLoader(
            readable, preprocessing, num_workers, max_megapixels=max_megapixels, judged=judged
        ) as loader:
            outputs = predict(model, loader, device)
        found = [Damage(readable[i], reason) for i, reason in sorted(outputs.damaged.items())]
        changed += [readable[i] for i in outputs.changed]
        if found and not first:
            raise MachineError(
                f"{len(found)} files could be read by the first model and no more by another:\n"
                f"{describe(found)}\nRun the command again."
            )
        if first:
            damaged, readable = found, [readable[i] for i in outputs.positions]
            judged = dict(zip(paths, loader.written, strict=True))
        if not readable:
            raise UserError(
                f"None of the --input files can be read as a photograph:\n{describe(damaged)}"
            )
        logits.append(outputs.logits)
    return _Read(logits, readable, damaged, changed)
