"""The diversity report from simulated folders."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dr_ovo.document.screen_and_files import report_text
from dr_ovo.predictions.predictions_file import take
from dr_ovo.reports.diversity.diversity import diversity
from dr_ovo.reports.diversity.sections import MEASURES, contribution_words, model_words
from dr_ovo.results.result_sets import ResultSet, open_results


@pytest.fixture(scope="module")
def opened(simulated: Path) -> ResultSet:
    names = ("coatnet", "resnet50", "swinv2")
    folders = [simulated / f"{name}_5class_results" for name in names]
    return open_results(folders, [], intersect=False)


def test_report_of_three(opened):
    report = diversity(opened)
    data = report.data
    assert [pair["models"] for pair in data["pairs"]] == [
        ["coatnet", "resnet50"], ["coatnet", "swinv2"], ["resnet50", "swinv2"],
    ]  # fmt: skip
    for measure in MEASURES:
        mean = sum(pair[measure]["value"] for pair in data["pairs"]) / 3
        assert data["set"][f"mean_{measure}"]["value"] == pytest.approx(mean)
    for grade in data["grades"]:
        counts = grade["images_by_models_wrong"]
        assert sum(counts) == grade["n"]
        assert grade["all_wrong"]["value"] == pytest.approx(counts[-1] / grade["n"])
    gains = [row["val_quadratic_kappa"] for row in data["contributions"]]
    assert gains == sorted(gains, reverse=True)
    figures = [figure for section in report.sections for figure in section.figures]
    assert len(figures) == len(MEASURES) + 2
    assert all(figure.alt.startswith("SIMULATED. ") for figure in figures)
    json.dumps(data, allow_nan=False)


@pytest.mark.usefixtures("blank_figures")
def test_test_does_not_decide(opened):
    """With test's images in part, the order (val's) stays."""
    part = ResultSet(
        tuple(replace(m, test=take(m.test, m.test.targets < 2)) for m in opened.models)
    )
    orders = [[row["model"] for row in diversity(r).data["contributions"]] for r in (opened, part)]
    assert orders[0] == orders[1]


@pytest.mark.usefixtures("blank_figures")
def test_absent_grades_and_perfect_models(opened):
    def perfect(model):
        p = take(model.test, model.test.targets == 0)
        return replace(model, test=replace(p, predicted=p.targets))

    report = diversity(ResultSet(tuple(perfect(model) for model in opened.models[:2])))
    text = report_text(report)
    assert "No pair's Q statistic is defined" in text
    assert "no image of grade 4" in text
    assert report.data["set"]["mean_q"]["value"] is None


def row(name: str, low: float | None, high: float | None) -> dict:
    metric = {"value": 0.0, "low": low, "high": high, "reason": "why"}
    return {"model": name, "val_quadratic_kappa": 0.01, "quadratic_kappa": metric}


def test_words_follow_the_intervals():
    rows = [row("a", 0.01, 0.02), row("b", -0.01, 0.02), row("c", -0.03, -0.01), row("d", None, 1)]
    words = contribution_words({"contributions": rows})
    assert "a adds most to the mean of all 4 (+0.010 of kappa)" in words[0]
    assert words[0].endswith("the ensemble is better with it.")
    assert "b: no difference shown." in words[1]
    assert "c: the ensemble is better without it." in words[1]
    assert "d: what it adds can't be judged." in words[1]


def test_unknown_facts_are_said_to_be():
    known = {"name": "a", "family": "CNN", "paradigm": "both", "parameters": 7_000_000}
    unknown = {"name": "b", "family": None, "paradigm": None, "parameters": None}
    (words,) = model_words({"models": [known, unknown]})
    assert "CNN (1), unknown (1)" in words
    assert "Parameters: 7.0 M; unknown for b." in words
    assert "Parameters: unknown." in model_words({"models": [unknown]})[0]


@pytest.mark.usefixtures("blank_figures")
def test_the_command(simulated, tmp_path, command):
    folders = [str(simulated / f"{name}_5class_results") for name in ("coatnet", "resnet50")]
    words = ("--results_dirs", *folders, "--output", tmp_path / "out")
    done = command("reports.diversity", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "SIMULATED" in done.stdout
    assert (tmp_path / "out" / "diversity_pairs.csv").read_text().count("\n") == 2
    words = ("--results_dirs", folders[0], "--output", "none")
    alone = command("reports.diversity", *words, folder=tmp_path)
    assert alone.returncode == 2
    assert "at least 2 models" in alone.stderr
    assert not (tmp_path / "none").exists()
