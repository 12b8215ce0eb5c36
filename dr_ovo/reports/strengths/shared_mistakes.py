"""Images that every model grades wrongly: the list, its table, its wording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dr_ovo.document.document import Column, Table
from dr_ovo.results.model_results import ModelResults
from dr_ovo.statistics.intervals import Estimate
from dr_ovo.statistics.weighted_statistics import Proportion

NAMED = 5  # samples listed in the text
FAR = 2  # grades between truth and prediction


def shared_mistakes(models: Sequence[ModelResults]) -> list[dict[str, Any]]:
    """The test images that no model grades correctly, the lowest probability of the truth first."""
    test = models[0].test
    predicted = np.stack([model.test.predicted for model in models])  # (M, N)
    rows = np.arange(len(test.targets))
    true_probability = np.stack([model.test.probabilities[rows, test.targets] for model in models])
    wrong = np.flatnonzero((predicted != test.targets).all(axis=0))
    ordered = wrong[np.argsort(true_probability[:, wrong].mean(axis=0), kind="stable")]
    return [
        {
            "sample_id": str(test.sample_ids[i]),
            "patient_id": str(test.patient_ids[i]),
            "eye": str(test.eyes[i]),
            "target": int(test.targets[i]),
            "predicted": {m.name: int(g) for m, g in zip(models, predicted[:, i], strict=True)},
            "probability_of_truth": {
                m.name: float(b) for m, b in zip(models, true_probability[:, i], strict=True)
            },
            "grades_off": {
                "least": int(np.abs(predicted[:, i] - test.targets[i]).min()),
                "most": int(np.abs(predicted[:, i] - test.targets[i]).max()),
            },
        }
        for i in ordered
    ]


def shared_share_statistic(models: Sequence[ModelResults]) -> Proportion:
    """The share of test images that no model grades correctly."""
    targets = models[0].test.targets
    correct = np.stack([model.test.predicted == targets for model in models])  # (M, N)
    all_wrong = np.equal(correct.sum(axis=0), 0)
    return Proportion("no images", all_wrong, np.ones(len(targets), dtype=bool))


def expected_by_chance(models: Sequence[ModelResults]) -> float:
    """The number of images all models would miss if their errors were independent per grade."""
    targets = models[0].test.targets
    expected = 0.0
    for grade in np.unique(targets):
        own = targets == grade
        missed = [float((model.test.predicted[own] != grade).mean()) for model in models]
        expected += own.sum() * float(np.prod(missed))
    return float(expected)


def mistakes_data(
    models: Sequence[ModelResults], share: Estimate | Mapping[str, Any]
) -> dict[str, Any]:
    """The report's JSON on shared mistakes; `share` is that of all images, with its interval."""
    mistakes = shared_mistakes(models)
    grades = range(models[0].test.num_classes)
    return {
        "n": len(mistakes),
        "share": share,
        "expected_if_independent": expected_by_chance(models),
        "off_by_two_or_more": {
            "in_all_models": sum(mistake["grades_off"]["least"] >= FAR for mistake in mistakes),
            "in_some_model": sum(mistake["grades_off"]["most"] >= FAR for mistake in mistakes),
        },
        "by_grade": {str(g): sum(mistake["target"] == g for mistake in mistakes) for g in grades},
        "samples": mistakes,
    }


def mistakes_in_words(data: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Sentences on the shared mistakes."""
    if len(names) == 1:
        who = f"{names[0]} grades {data['n']} images wrongly"
    else:
        who = f"All {len(names)} models grade {data['n']} images wrongly"
    if not data["n"]:
        return ["No image is graded wrongly by all models."]
    far = data["off_by_two_or_more"]
    words = [f"{who}; by grade: {', '.join(f'{g}: {n}' for g, n in data['by_grade'].items())}."]
    if len(names) > 1:
        words[0] += (
            f" With independent errors within a grade, {data['expected_if_independent']:.1f} would "
            "be expected."
        )
        words.append(
            f"Off by two or more grades: {far['in_all_models']} of them in every model, "
            f"{far['in_some_model']} in at least one."
        )
    else:
        words.append(f"Off by two or more grades: {far['in_all_models']} of them.")
    examples = [
        f"{mistake['sample_id']} (true {mistake['target']}, predicted "
        f"{' '.join(map(str, mistake['predicted'].values()))})"
        for mistake in data["samples"][:NAMED]
    ]
    words.append(f"Lowest probability of the truth, worth checking: {'; '.join(examples)}.")
    return words


def mistakes_table(data: Mapping[str, Any], names: Sequence[str]) -> Table:
    """One row per image; only in the CSV, not printed."""
    columns = [
        Column("sample_id", "sample"),
        Column("patient_id", "patient"),
        Column("eye", "eye"),
        Column("target", "true grade", "count"),
        *(Column(f"{name}_grade", f"{name}: grade", "count") for name in names),
        *(Column(f"{name}_probability_of_truth", f"{name}: p", "decimal") for name in names),
        Column("least_grades_off", "grades off, min", "count"),
        Column("most_grades_off", "grades off, max", "count"),
    ]
    rows = [
        [
            *(mistake[key] for key in ("sample_id", "patient_id", "eye", "target")),
            *mistake["predicted"].values(),
            *mistake["probability_of_truth"].values(),
            *mistake["grades_off"].values(),
        ]
        for mistake in data["samples"]
    ]
    title = "Images that all models grade wrongly" if len(names) > 1 else "Images graded wrongly"
    return Table("shared_mistakes", title, columns, rows, shown=0)
