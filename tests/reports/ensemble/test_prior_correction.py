"""Models of which the prior of some is corrected, and of others not, are no ensemble."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dr_ovo.errors import UserError
from dr_ovo.files import write_json
from dr_ovo.reports.all_reports import all_reports
from dr_ovo.reports.criteria.criteria import UNKNOWN
from dr_ovo.reports.criteria.criteria_file import read_checklist
from dr_ovo.reports.criteria.validation import validate
from dr_ovo.reports.diversity.diversity import diversity
from dr_ovo.reports.ensemble.prior_correction import (
    is_any_corrected,
    mixed_priors,
    require_one_prior,
)
from dr_ovo.reports.ensemble.study import CombinationRule, study_ensemble
from dr_ovo.reports.first_screen import first_screen
from dr_ovo.results.result_sets import ResultSet, open_results

CRITERIA = """
schema = 1
ensemble = ["coatnet", "swinv2"]
baseline = ["resnet50", "swinv2"]
[[criterion]]
id = "a"
text = "words"
model = "ensemble"
metric = "{}"
above = 0.5
"""


@pytest.fixture
def models(results):
    """coatnet, resnet50 and swinv2; the prior of the first is corrected."""
    opened = open_results(results("coatnet", "resnet50", "swinv2"), [], intersect=False).models
    return [corrected(opened[0]), *opened[1:]]


def corrected(model, answer=True):
    return replace(model, facts=replace(model.facts, prior_corrected=answer))


def of_head(model, head):
    return replace(model, test=replace_head(model.test, head))


def replace_head(predictions, head):
    other = replace(predictions)
    object.__setattr__(other, "head", head)  # whose logits are others; nothing here reads them
    return other


def test_what_is_corrected_of_some_is_refused_with_their_folders(models):
    coatnet, resnet, swin = models
    for method in ("mean", "weighted", "vote", "greedy"):
        with pytest.raises(UserError, match="would mix probabilities") as error:
            study_ensemble(ResultSet(tuple(models)), CombinationRule(method), [])
        assert f"is on for {coatnet.folder} and off for {resnet.folder}, {swin.folder}" in str(
            error.value
        )
    require_one_prior([corrected(model) for model in models])
    require_one_prior([resnet, swin])
    assert is_any_corrected(models)
    assert not is_any_corrected([resnet, swin])


def test_nothing_can_be_corrected_of_a_number(models):
    coatnet, resnet, _ = models
    assert mixed_priors([coatnet, resnet])
    assert not mixed_priors([coatnet, of_head(resnet, "regression")])
    assert not mixed_priors([of_head(coatnet, "regression"), resnet])


def test_without_an_evaluation_nothing_is_known(models, tmp_path):
    assert not mixed_priors([models[0], replace(models[1], folder=tmp_path)])


def test_what_each_adds_to_a_mixture_says_so(models):
    assert "mix probabilities: --prior_correction is on for" in _words(models)
    assert "mix probabilities" not in _words([corrected(model) for model in models])


def _words(models):
    (section,) = (
        one
        for one in diversity(ResultSet(tuple(models))).sections
        if one.title == "Which model adds most"
    )
    return " ".join(section.paragraphs)


@pytest.mark.parametrize(
    ("evaluation", "is_mixed"),
    [
        ({"prior_corrected": False, "made_from": ["a/best_a_ovo.pth"]}, True),
        ({"prior_corrected": True, "made_from": ["a/best_a_ovo.pth"]}, False),
        ({"prior_corrected": False, "made_from": ["a/best_a_regression.pth"]}, False),
        ({"prior_corrected": False, "made_from": ["a/best_a_regression.pth", "b_ovo.pth"]}, True),
        ({}, False),  # of an earlier evaluate_super_ensemble.py, which did not record it
    ],
)
def test_of_an_ensemble_its_evaluation_tells(evaluation, is_mixed, models, tmp_path):
    names = evaluation.pop("made_from", None)
    if names:
        checkpoints = dict.fromkeys(names, "0" * 64)
        evaluation["made_from"] = {"checkpoints": checkpoints, "calibration": "0" * 64}
    write_json(tmp_path / "evaluation.json", evaluation)
    ensemble = replace(of_head(models[1], "ensemble"), folder=tmp_path)
    assert bool(mixed_priors([models[0], ensemble])) == is_mixed


def judgement(metric, models, tmp_path):
    path = tmp_path / "criteria.toml"
    path.write_text(CRITERIA.format(metric))
    (found,) = validate(ResultSet(tuple(models)), read_checklist(path), None).judgements
    return found


def test_criteria_of_such_an_ensemble_are_unknown(models, tmp_path):
    found = judgement("accuracy", models, tmp_path)
    assert found.verdict == UNKNOWN
    assert "would be mixed: --prior_correction is on for" in found.why
    coatnet, resnet, swin = models
    alike = [corrected(coatnet, False), resnet, swin]
    assert judgement("accuracy", alike, tmp_path).verdict != UNKNOWN
    gain = judgement(
        "gain.accuracy", [corrected(coatnet, False), corrected(resnet), swin], tmp_path
    )
    assert gain.verdict == UNKNOWN
    assert "--prior_correction is on for" in gain.why


@pytest.mark.usefixtures("blank_figures", "reports_here")
def test_the_page_goes_without_the_ensemble_and_says_so(models, tmp_path, caplog):
    results = ResultSet(tuple(models))
    path = tmp_path / "criteria.toml"
    path.write_text(CRITERIA.format("accuracy"))
    reports = all_reports(results, read_checklist(path))
    assert "super_ensemble" not in [report.name for report in reports]
    assert "There is no ensemble" in caplog.text
    answers = first_screen(results, reports).data["answers"]
    assert "is on for" in answers["Does the ensemble help?"]
