"""`--mode evaluate --external DIR`: what trained networks are worth on another data set.

Nothing is fitted there: preprocessing and decoding come from the checkpoints, temperature,
operating points and sets from the networks' own val.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dr_ovo.audit.measurement_cache import DESCRIPTORS, cache_folder
from dr_ovo.copies.content_hashes import content_hashes
from dr_ovo.dataset.image_files import not_read
from dr_ovo.dataset.index import DatasetIndex
from dr_ovo.decoded.processes.file_workers import shared_workers
from dr_ovo.distributed.launch import Launch
from dr_ovo.errors import UserError
from dr_ovo.evaluation.evaluation import of_the_models
from dr_ovo.evaluation.external.external_dataset import open_external
from dr_ovo.evaluation.external.external_gates import (
    gated_photographs,
    gates_block,
    own_test_gates,
)
from dr_ovo.evaluation.external.external_predictions import (
    decoder_of,
    is_corrected,
    predict_external,
)
from dr_ovo.evaluation.external.external_writing import external_folder, write_external
from dr_ovo.evaluation.external.metrics.class_map import ClassMap, Merged, class_map, merged
from dr_ovo.evaluation.external.metrics.external_metrics import external_metrics, rest_metrics
from dr_ovo.evaluation.external.metrics.metric_blocks import differences
from dr_ovo.evaluation.external.own_dataset import own_dataset
from dr_ovo.evaluation.external.own_test import own_test, require_same_decoding
from dr_ovo.evaluation.external.shared_photographs import Shared, find_shared, say_shared
from dr_ovo.evaluation.external.shift import shift_block
from dr_ovo.evaluation.split_predictions import say_only_grade
from dr_ovo.inference.ensemble import Ensemble, open_ensemble
from dr_ovo.inference.trained_model import seals_of_models
from dr_ovo.photographs.damage import Damage
from dr_ovo.predictions.calibration_file import Calibration
from dr_ovo.predictions.predictions_file import MARKS
from dr_ovo.results.evaluation_file import SCHEMA
from dr_ovo.results.folder import EXTERNAL, ResultsFolder
from dr_ovo.results.made_from import MADE_FROM
from dr_ovo.settings.command_line import Settings
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.setup import choose_device
from dr_ovo.writable import check_writable_folder


@dataclass(frozen=True)
class ExternalEvaluation:
    """What was found of the networks `title`, as it was written to `folder`, and a sentence that
    counts the files that were not read ("" for none)."""

    title: str
    folder: Path
    report: dict[str, Any]
    not_read: str


@dataclass(frozen=True)
class _Data:
    """The photographs of `--external`, the files left out, and what it shares with the training,
    whose data set is `own` (or why it is not there)."""

    index: DatasetIndex
    skipped: list[Damage]
    own: DatasetIndex | str
    shared: Shared


def evaluate_external(settings: Settings, launch: Launch) -> ExternalEvaluation | None:
    """Evaluates the networks that the settings name (a model, the mean of several, the members of
    `--folds`, an `--ensemble`) on all photographs of `--external`.

    What is shared with the training is looked for first. Writes to `external/<name of DIR>` in the
    results folder, and leaves all else there as it is. Of several ranks each predicts its share,
    and the first writes; the others get None. Raises UserError before anything is written if
    networks, calibration or data can't be used.
    """
    if "splits" in settings.given():
        raise UserError("--splits is for the own val and test: leave it out with --external.")
    device = choose_device(settings.config)
    ensemble = open_ensemble(settings, device)
    calibration = ensemble.calibration
    if calibration is None:
        raise UserError(
            f"--external needs the temperature and the operating points of the own val. "
            f"{ensemble.uncalibrated}"
        )
    if not settings.config.ensemble:  # a manifest says itself how it decodes
        require_same_decoding(ensemble, decoder_of(ensemble, settings.config))
    classes = class_map(ensemble.class_names, settings.config.grade_map)
    folder = external_folder(settings.config, ensemble)
    ranks, data = launch.join(lambda: _prepare(settings, ensemble, classes, folder))
    config = of_the_models(settings.config, ensemble.models[0].meta)
    leaky = bool(data.shared.leaky.any())
    predictions = predict_external(ensemble, data.index, config, device, ranks, leaky=leaky)
    if not ranks.is_first:
        return None
    say_only_grade(folder.root, EXTERNAL, predictions)
    found = merged(predictions, classes, predictions.targets)
    with shared_workers(processes=config.num_workers > 0):
        report = {
            **_facts(found, config, data),
            **_compared(found, ensemble, calibration, data, config),
            "shift": _shift(data, folder),
            "gates": _gates(found, ensemble, calibration, data, config, device),
            "prior_corrected": is_corrected(ensemble),
        }
    known = Path(config.ensemble) if config.ensemble else ensemble.evaluated.calibration
    report = write_external(
        folder, found.of_classes, report, seals_of_models(ensemble.models), known
    )
    architectures = dict.fromkeys(model.meta["architecture"] for model in ensemble.models)
    title = ", ".join(architectures)
    if len(ensemble.models) > 1:
        title += f", {ensemble.method} of {len(ensemble.models)} models"
    return ExternalEvaluation(title, folder.root, report, not_read(data.index.others))


def _prepare(
    settings: Settings, ensemble: Ensemble, classes: ClassMap, folder: ResultsFolder
) -> _Data:
    config = of_the_models(settings.config, ensemble.models[0].meta)
    check_writable_folder(folder.root, "--output_dir")
    own = own_dataset(settings, ensemble.models[0], Path(config.external))
    with shared_workers(processes=config.num_workers > 0):
        index, skipped = open_external(config, ensemble.models, classes, folder.root)
        limit = config.max_megapixels
        shared = find_shared(ensemble.models, index, own, folder.root, limit)
    say_shared(shared, len(index.splits[EXTERNAL]), config.external)
    return _Data(index, skipped, own, shared)


def _facts(found: Merged, config: TrainConfig, data: _Data) -> dict[str, Any]:
    classes = found.classes
    return {
        "schema": SCHEMA,
        "split": EXTERNAL,
        "dataset": str(Path(config.external).resolve()),
        "classes": list(classes.names),
        "grade_map": {
            grade: classes.names[number]
            for grade, number in zip(classes.grades, classes.class_of, strict=True)
        },
        "head": found.of_grades.head,
        "decoder": found.of_grades.decoder,
        **_marks(found),
        "skipped_images": [str(damage.path) for damage in data.skipped],
        "shared": data.shared.block,
    }


def _marks(found: Merged) -> dict[str, Any]:
    marks = [str(mark) for mark in found.of_classes.marks]
    return {mark.lower(): mark in marks for mark in MARKS}


def _compared(
    found: Merged, ensemble: Ensemble, calibration: Calibration, data: _Data, config: TrainConfig
) -> dict[str, Any]:
    """The metrics there, those on the own test, and the differences."""
    per_patient = config.patient_level
    there = external_metrics(found, calibration, patient_level=per_patient)
    rest = ~data.shared.of_patients
    own, source = own_test(ensemble, found.classes, found.of_grades.decoder)
    if isinstance(own, str):
        own_metrics = difference = {"value": None, "reason": own}
    else:
        own_metrics = _marks(own) | external_metrics(own, calibration, patient_level=per_patient)
        difference = differences(there, own_metrics)
    alone = None
    if not rest.all():
        alone = rest_metrics(found.take(rest), calibration) if rest.any() else None
        alone = alone or {"value": None, "reason": "no photograph is left"}
    return {
        **there,
        "without_shared": alone,
        "own_test": own_metrics,
        "difference": difference,
        MADE_FROM: source,
    }


def _gates(
    found: Merged,
    ensemble: Ensemble,
    calibration: Calibration,
    data: _Data,
    config: TrainConfig,
    device: torch.device,
) -> dict[str, Any]:
    gated, _ = gated_photographs(ensemble, data.index.splits[EXTERNAL].paths, config, device)
    unavailable = [gate.why_not for gate in ensemble.gates if gate.nearest is None]
    own = own_test_gates(ensemble, data.own, unavailable, config, device)
    return gates_block(gated, found, calibration, unavailable, own)


def _shift(data: _Data, folder: ResultsFolder) -> dict[str, Any]:
    index, own = data.index, data.own
    contents = {path: index.contents[path] for path in index.splits[EXTERNAL].paths}
    own_contents = {}
    if isinstance(own, DatasetIndex):
        cache = cache_folder(own.root, folder.root)
        file = cache / DESCRIPTORS if cache else None
        for name in ("train", "test"):
            own_contents[name] = content_hashes(own.splits[name].paths, file)
    return shift_block(contents, index.root, own, own_contents, folder.root)
