"""Reports on simulated models recover what is known of them."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from dr_ovo.reports.diversity.diversity import diversity_data
from dr_ovo.results.result_sets import ResultSet, open_results
from dr_ovo.synthetic.simulated_predictions import ACCURACIES, Simulation


@pytest.fixture(scope="module")
def known(simulated):
    """The figures of 2,500 patients, and the truth, which is that of any number of them."""
    results = open_results(sorted(simulated.glob("*_results")), [], intersect=False)
    simulation = Simulation(tuple(ACCURACIES.values()))
    drawn = {
        name: (val, test)
        for name, val, test in zip(
            ACCURACIES, simulation.draw(1250, 2, seed=8), simulation.draw(2500, 2, seed=7),
            strict=True,
        )
    }  # fmt: skip
    models = []
    for model in results.models:
        val, test = drawn[model.name]
        models.append(replace(model, val=val, test=test))
    truth = json.loads((simulated / "truth.json").read_text())
    return diversity_data(ResultSet(tuple(models))), truth


def true_measures(truth, first, second):
    """Q, correlation, disagreement and double fault from the probabilities of being wrong."""
    a, b = 1 - truth["accuracy"][first], 1 - truth["accuracy"][second]
    key = f"{first} {second}"
    both = truth["both_wrong"].get(key) or truth["both_wrong"][f"{second} {first}"]
    neither, only_a, only_b = 1 - a - b + both, a - both, b - both
    return {
        "q": (both * neither - only_a * only_b) / (both * neither + only_a * only_b),
        "correlation": (both - a * b) / (a * (1 - a) * b * (1 - b)) ** 0.5,
        "disagreement": only_a + only_b,
        "double_fault": both,
    }


def test_the_diversity_of_every_pair_is_the_true_one(known):
    data, truth = known
    inside = []
    for row in data["pairs"]:
        for measure, true in true_measures(truth, *row["models"]).items():
            found = row[measure]
            width = found["high"] - found["low"]
            assert found["value"] == pytest.approx(true, abs=width), (row["models"], measure)
            inside.append(found["low"] <= true <= found["high"])
    assert len(inside) == 21 * 4
    assert sum(inside) >= 0.85 * len(inside)  # 95 % on average; the pairs are not independent


def test_models_are_ranked_as_they_are(known):
    data, truth = known
    found = {model["name"]: model["accuracy"] for model in data["models"]}
    assert found.keys() == ACCURACIES.keys()
    value = {
        name: item["value"] if isinstance(item, dict) else item for name, item in found.items()
    }
    for better, worse in itertools.permutations(value, 2):
        if truth["accuracy"][better] - truth["accuracy"][worse] >= 0.02:
            assert value[better] > value[worse]
