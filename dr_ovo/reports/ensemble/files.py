"""Files of evaluate_super_ensemble.py: the ensemble as a results folder, and its manifest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dr_ovo.decoding.decoders import Fitted
from dr_ovo.ensembles.manifest import Manifest, Member, write_manifest
from dr_ovo.errors import UserError
from dr_ovo.files import file_sha256, write_json
from dr_ovo.predictions.calibration import has_grade_thresholds
from dr_ovo.predictions.calibration_file import save_calibration
from dr_ovo.predictions.predictions_file import save_predictions
from dr_ovo.predictions.same_answer import named_parts
from dr_ovo.reports.ensemble.study import Study
from dr_ovo.results.evaluation_file import evaluation_report
from dr_ovo.results.folder import ENSEMBLE_FILE, FOLDS_FILE, STOPPED
from dr_ovo.results.model_results import ModelResults
from dr_ovo.results.result_sets import ResultSet
from dr_ovo.tables import wrapped
from dr_ovo.writable import check_writable_file


def check_targets(results: ResultSet, output: Path, export: Path | None) -> None:
    """Raises UserError, before anything is computed, where a file can't or must not be written."""
    resolved = output.resolve()
    trained = any((output / "models").glob("*.pth")) or (output / "history.csv").is_file()
    if trained or resolved in {model.folder.resolve() for model in results.models}:
        raise UserError(
            f"--output {output} is the results folder of a model, whose predictions the ensemble's "
            "would overwrite. Give another folder, such as ./super_ensemble."
        )
    if export is None:
        return
    if not export.resolve().parent.is_dir():
        raise UserError(f"--export {export}: expected the name of a file in a folder that exists.")
    check_writable_file(export, "--export")
    for model in results.models:
        if model.test.head != "ensemble":
            continue
        folds = (model.folder / FOLDS_FILE).is_file()
        raise UserError(
            f"--export {export}: {model.folder} is an ensemble itself, and a manifest holds single "
            "networks. "
            + (
                f"Grade with its own manifest (--ensemble {model.folder / ENSEMBLE_FILE}), "
                if folds
                else "Give its members instead, "
            )
            + "or leave --export out."
        )


def write_results(study: Study, output: Path) -> list[Path]:
    """Writes predictions, calibration and evaluation of the ensemble; returns the files.

    This makes `output` a results folder that every report accepts.
    """
    whole = study.whole
    assert whole.fitted is not None  # an ensemble has at least two members
    output.mkdir(parents=True, exist_ok=True)
    splits = {"val": whole.fitted.val, "test": whole.test}
    written = [output / f"predictions_{split}.npz" for split in splits]
    for path, predictions in zip(written, splits.values(), strict=True):
        marked = np.array(study.results.marks, np.str_)
        save_predictions(path, replace(predictions, marks=marked))
    written.append(output / "calibration.json")
    save_calibration(written[-1], whole.calibration, study.results.marks)
    evaluation = evaluation_report(whole.test, whole.calibration, "test")
    marks = {mark.lower(): True for mark in study.results.marks}
    written.append(output / "evaluation.json")
    stopped = [
        part
        for model in study.results.models
        for part in named_parts(model.name, model.test.head, model.facts.stopped)
    ]
    members = {"members": list(whole.names), STOPPED: stopped}
    write_json(written[-1], {**evaluation, **members, **marks})
    return written


def export_manifest(study: Study, path: Path) -> str:
    """Writes the manifest; returns a line on how to use it, or on what is missing."""
    weights = study.whole.fitted.weights if study.whole.fitted else ()
    members = tuple(
        _member(model, float(weight))
        for model, weight in zip(study.results.models, weights, strict=True)
    )
    names = tuple(map(str, study.whole.test.class_names))
    expected = study.whole.fitted.expected if study.whole.fitted else None
    manifest = Manifest(study.rule.method, names, members, expected)
    write_manifest(path, manifest, study.whole.calibration, study.results.marks)
    lacking = [member.name for member in members if not member.checkpoints]
    if lacking:
        return wrapped(
            f"Manifest: {path}. There are no checkpoints in the folders of {', '.join(lacking)}: "
            "inference will refuse it."
        )
    return wrapped(
        f"Manifest: {path}. Grade photographs with: python ensemble_5class_trainer.py "
        f"--mode inference --ensemble {path} --input PHOTOGRAPHS --output grades.csv"
    )


def _member(model: ModelResults, weight: float) -> Member:
    architecture = model.facts.architecture
    checkpoints = sorted((model.folder / "models").glob(f"best_{architecture or ''}*.pth"))
    return Member(
        name=model.name,
        folder=model.folder,
        architecture=architecture,
        head=model.test.head,
        decoder=model.test.decoder,
        weight=weight,
        temperature=model.calibration.temperature,
        prior_corrected=model.facts.prior_corrected,
        fitted=_thresholds(model),
        checkpoints={f"models/{path.name}": file_sha256(path) for path in checkpoints},
    )


def _thresholds(model: ModelResults) -> Fitted | None:
    """What gives a member's own grades from the expected one, where its calibration holds that."""
    if not has_grade_thresholds(model.test):
        return None
    return Fitted(thresholds=model.calibration.grade_thresholds)
