"""The first screen of report.py: the questions that everyone asks, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dr_ovo.document.document import Column, Report, Section, Table
from dr_ovo.grading.rules import Rules
from dr_ovo.grading.workload import own_test, sentence
from dr_ovo.predictions.conformal import COVERAGE
from dr_ovo.predictions.same_answer import ADVICE, stopped_words
from dr_ovo.reports.criteria.criteria import NOT_MET
from dr_ovo.reports.ensemble.prior_correction import mixed_priors
from dr_ovo.results.folder import ENSEMBLE_FILE, FOLDS_FILE, SUPER_FILE, ResultsFolder
from dr_ovo.results.model_results import ModelResults
from dr_ovo.results.result_sets import ResultSet

KAPPA = Column("kappa", "kappa", "decimal")
SHARE = Column("share", "share", "percent")
POORLY_CALIBRATED = 0.10  # expected calibration error after tempering
DATASET = "DATASET"


def first_screen(results: ResultSet, reports: Sequence[Report]) -> Report:
    """Which model, how good, and what to do, from the reports that follow on the page."""
    data = {report.name: report.data for report in reports}
    best = data["comparison"]["models"][0]
    (model,) = (one for one in results.models if one.name == best["name"])
    evaluation = ResultsFolder(model.folder).read_evaluation("test")
    single = all(one.test.head != "ensemble" for one in results.models)
    work = own_test(ResultsFolder(model.folder), _rules(model))
    answers = [
        ("Which model?", _which(data["comparison"], results.val_words)),
        ("How good is it, on test?", _how_good(best, results.val_words)),
        ("Does the ensemble help?", _ensemble(data.get("super_ensemble"), results)),
        ("Is it calibrated?", _calibration(best)),
        ("Is the data clean?", _data_clean(evaluation, results.marks)),
        ("How much work does it save?", _capital(sentence(work))),
        (
            "What to do next?",
            " ".join(_next(model, best, data, evaluation, results.marks, exportable=single)),
        ),
    ]
    columns = [Column("question", "question"), Column("answer", "answer")]
    table = Table("first_screen", "Answers", columns, [list(row) for row in answers])
    content = {"answers": dict(answers), "model": model.name, "workload": work}
    return Report(
        "summary",
        "In short",
        content,
        [Section("Questions that everyone asks", tables=[table])],
        (),
    )


def _which(comparison: Mapping[str, Any], val: str) -> str:
    best, count = comparison["models"][0], len(comparison["models"])
    kappa = KAPPA.text(best["val_kappa"])
    if count == 1:
        return f"{best['name']}; there is no other here. Kappa on {val}: {kappa}."
    return f"{best['name']}: of {count} the best by kappa on {val}, {kappa}."


def _how_good(best: Mapping[str, Any], val: str) -> str:
    point = best["referable"]["high_sensitivity"]
    said = f"Kappa {KAPPA.text(best['quadratic_kappa'])}."
    if point["sensitivity"]["value"] is None:
        return f"{said} Referable disease: {point['sensitivity']['reason']}."
    return (
        f"{said} Referable disease: sensitivity {SHARE.text(point['sensitivity'])} %, specificity "
        f"{SHARE.text(point['specificity'])} %, at the point fixed on {val}."
    )


def _ensemble(data: Mapping[str, Any] | None, results: ResultSet) -> str:
    if data is None:
        mixed = mixed_priors(results.models)
        return f"There is none: {mixed or 'it takes two models'}."
    return str(data["words"])


def _calibration(best: Mapping[str, Any]) -> str:
    block = best["calibration"]
    tempered, raw = (SHARE.text(block[name]["ece"]) for name in ("tempered", "raw"))
    return f"Expected calibration error {tempered} % after tempering; raw {raw} %."


def _data_clean(evaluation: Mapping[str, Any], marks: Sequence[str]) -> str:
    if "SIMULATED" in marks:
        return "There is none: the predictions are random numbers."
    if "LEAKY" in marks:
        return "No: splits share images or patients, and the figures are too good."
    audited = evaluation.get("audited")
    said = "Audited before training: no leaks." if audited else "Not audited before training."
    said = "The audit was of other files." if audited is False else said
    alone = evaluation.get("statistics_only", {}).get("quadratic_kappa", {})
    if alone.get("value") is not None:
        said += f" Image statistics alone reach kappa {KAPPA.text(alone)}."
    return said


def _next(
    model: ModelResults,
    best: Mapping[str, Any],
    data: Mapping[str, Mapping[str, Any]],
    evaluation: Mapping[str, Any],
    marks: Sequence[str],
    *,
    exportable: bool,
) -> list[str]:
    """Advice, the most urgent first; `exportable`: all models are single networks, as a manifest's
    members are."""
    if "SIMULATED" in marks or "SYNTHETIC" in marks:
        return ["Train on photographs: these figures say nothing about patients."]
    if "LEAKY" in marks:
        return [f"Find the leaks (python -m dr_ovo audit {DATASET}), prepare again, train again."]
    if model.facts.stopped:
        return [stopped_words(model.facts.stopped), ADVICE]
    said = []
    if evaluation.get("audited") is not True:
        said.append(f"Audit the dataset: python -m dr_ovo audit {DATASET}.")
    if not (model.calibration.divided or model.out_of_fold):
        said.append(f"Val has {model.calibration.n} images: cross-validate with --folds 5.")
    ensemble = data.get("super_ensemble", {}).get("words", "")
    if exportable and ensemble.startswith("The ensemble is better than"):
        said.append("Export the ensemble: evaluate_super_ensemble.py --export.")
    error = best["calibration"]["tempered"]["ece"]["value"]
    if error is not None and error > POORLY_CALIBRATED:
        said.append("Don't take probabilities at their word: they stay off after tempering.")
    if data["validation"]["counts"][NOT_MET]:
        said.append("See which criteria are not met.")
    return [*said, _read_photographs(model)]


def _read_photographs(model: ModelResults) -> str:
    """How to read photographs with a model: an ensemble, unless of `--folds`, by its manifest."""
    networks = model.folder
    if model.test.head == "ensemble" and not (networks / FOLDS_FILE).is_file():
        networks /= ENSEMBLE_FILE
    said = f"Read photographs: python predict.py --models {networks}."
    if networks == model.folder or networks.is_file():
        return said
    if (model.folder / SUPER_FILE).is_file() and model.out_of_fold:
        return (
            f"Read photographs with a member of {model.name}: an ensemble of cross-validations "
            "has no manifest."
        )
    if (model.folder / SUPER_FILE).is_file():
        how = f"give the command that made {model.folder} again, with --export {networks}"
    else:
        how = f"python evaluate_super_ensemble.py --results_dirs MEMBERS --export {networks}"
    return f"Export {model.name}: {how}. {said}"


def _rules(model: ModelResults) -> Rules:
    return Rules(
        class_names=tuple(map(str, model.test.class_names)),
        calibration=model.calibration,
        uncalibrated="",
        coverage=COVERAGE,
        models="",
        members=1,
        marks=model.facts.marks,
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
