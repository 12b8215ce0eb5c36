"""Files of evaluate_super_ensemble.py: the ensemble as a results folder, and its manifest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dr_ovo.decoding.decoders import Fitted
from dr_ovo.ensembles.manifest import Manifest, Member, write_manifest
from dr_ovo.errors import UserError
from dr_ovo.files import file_sha256, flush, write_json
from dr_ovo.predictions.calibration import has_grade_thresholds
from dr_ovo.predictions.calibration_file import save_calibration
from dr_ovo.predictions.predictions_file import save_predictions
from dr_ovo.predictions.same_answer import named_parts
from dr_ovo.reports.ensemble.prior_correction import is_any_corrected
from dr_ovo.reports.ensemble.sources import sources
from dr_ovo.reports.ensemble.study import Study
from dr_ovo.results.evaluation_file import SCHEMA, evaluation_report
from dr_ovo.results.folder import (
    ENSEMBLE_FILE,
    FOLDS_FILE,
    OOF,
    STOPPED,
    SUPER_FILE,
    ResultsFolder,
)
from dr_ovo.results.made_from import MADE_FROM
from dr_ovo.results.model_results import SPLITS, ModelResults
from dr_ovo.results.result_sets import ResultSet
from dr_ovo.sealed_json import write_sealed
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
    if foreign := _foreign_evaluation(ResultsFolder(output)):
        raise UserError(
            f"--output {output} holds another evaluation ({foreign}), with which the ensemble's "
            "would be mixed. Give another folder, such as ./super_ensemble."
        )
    if export is None:
        return
    _check_export(export, resolved)
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


def _foreign_evaluation(folder: ResultsFolder) -> str:
    """A file in a folder that evaluate_super_ensemble.py did not write, "" for none."""
    never = [folder.config, folder.root / FOLDS_FILE, folder.evaluation("val"),
             folder.evaluation(OOF)]  # fmt: skip
    own = [folder.evaluation("test"), *map(folder.predictions, SPLITS), folder.calibration]
    is_own = (folder.root / SUPER_FILE).is_file()
    return next((path.name for path in [*never, *([] if is_own else own)] if path.is_file()), "")


def _check_export(export: Path, output: Path) -> None:
    """Raises UserError for a manifest that can't be written; its folder may be made where it is
    that of the output, or in it."""
    folder = export.resolve().parent
    if not folder.is_dir() and not folder.is_relative_to(output):
        raise UserError(
            f"--export {export}: expected the name of a file in a folder that exists, or in that "
            "of --output."
        )
    results = ResultsFolder(output)
    taken = [output / SUPER_FILE, results.evaluation("test"), results.calibration]
    if export.resolve() in [*taken, *map(results.predictions, SPLITS)]:
        raise UserError(
            f"--export {export}: that is a file of the ensemble's results. Give another name, such "
            f"as {export.with_name(ENSEMBLE_FILE)}."
        )
    check_writable_file(export, "--export")


def write_results(study: Study, output: Path) -> list[Path]:
    """Writes predictions, calibration and evaluation of the ensemble; returns the files.

    This makes `output` a results folder that every report accepts.
    """
    whole = study.whole
    assert whole.fitted is not None  # an ensemble has at least two members
    output.mkdir(parents=True, exist_ok=True)
    folder, marks = ResultsFolder(output), study.results.marks
    write_json(folder.evaluating, {"schema": SCHEMA, "splits": [*SPLITS]})
    splits = {"val": whole.fitted.val, "test": whole.test}
    for name, predictions in splits.items():
        marked = np.array(marks, np.str_)
        save_predictions(folder.predictions(name), replace(predictions, marks=marked))
    save_calibration(folder.calibration, whole.calibration, marks)
    evaluation = evaluation_report(whole.test, whole.calibration, "test") | _of_members(study)
    evaluation |= {mark.lower(): True for mark in marks}
    source = sources(folder, study.results.models)
    write_sealed(folder.evaluation("test"), {**evaluation, MADE_FROM: source})
    folder.evaluating.unlink()
    flush(output)
    return [*map(folder.predictions, splits), folder.calibration, folder.evaluation("test")]


def _of_members(study: Study) -> dict[str, Any]:
    """What evaluation.json says of the members."""
    models = study.results.models
    stopped = [
        part
        for model in models
        for part in named_parts(model.name, model.test.head, model.facts.stopped)
    ]
    return {
        "members": list(study.whole.names),
        STOPPED: stopped,
        "prior_corrected": is_any_corrected(models),
    }


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
    path.parent.mkdir(parents=True, exist_ok=True)
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
