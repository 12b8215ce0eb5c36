"""Metrics that a criterion can name: of models, the ensemble, its gain, an external set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dr_ovo.ensembles.cross_fitting import fit_ensemble
from dr_ovo.errors import UserError
from dr_ovo.pairs import class_pairs
from dr_ovo.predictions.calibration_file import POINTS, Calibration
from dr_ovo.predictions.operating_points import CONDITIONS, GRADED_CLASSES
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.reports.criteria.criteria_file import nearest
from dr_ovo.reports.ensemble.prior_correction import mixed_priors
from dr_ovo.results.evaluation_file import evaluation_statistics
from dr_ovo.results.model_results import ModelResults
from dr_ovo.statistics.differences import difference
from dr_ovo.statistics.intervals import with_intervals
from dr_ovo.statistics.model_statistics import accuracy_statistic, kappa_statistic
from dr_ovo.statistics.weighted_statistics import Statistic

Leaves = dict[str, Any]  # path -> statistic or metric
# Facts and comparisons available in addition to the paths of evaluation.json.
EXTRA = (
    "parameters", "gain.accuracy", "gain.quadratic_kappa", "families", "paradigms",
    "independent_images",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Subject:
    """What a criterion applies to: a model or ensemble, with its metrics by path."""

    name: str
    leaves: Leaves
    patients: np.ndarray
    classes: int

    @property
    def images(self) -> int:
        """The number of test images."""
        return len(self.patients)

    def why_without(self, metric: str) -> str:
        """Why there is no such metric, though models of the five grades have it."""
        condition = self.leaves.get(metric.partition(".")[0])
        if isinstance(condition, Mapping) and "reason" in condition:
            return str(condition["reason"])
        return f"{self.name} has no {metric}: its classes are 0 to {self.classes - 1}"


def exact(value: float | None, reason: str = "") -> dict[str, Any]:
    """A count as a metric: it is not subject to chance, so its interval has no width."""
    if value is None:
        return {"value": None, "reason": reason}
    return {"value": value, "low": value, "high": value}


def model_subject(model: ModelResults) -> Subject:
    """A model's metrics on test."""
    parameters = exact(model.facts.parameters, "the number of parameters is not in models/*.json")
    return _subject(model.name, model.test, model.calibration, {"parameters": parameters})


def ensemble_subject(members: Sequence[ModelResults], baseline: Sequence[ModelResults]) -> Subject:
    """The mean of the members' probabilities, and its lead over the mean of the baseline's."""
    fitted = fit_ensemble(
        [model.member_val for model in members], "mean", out_of_fold=members[0].out_of_fold
    )
    test = fitted.on([model.member_test for model in members])
    mixed = mixed_priors(baseline)
    unknown = exact(None, mixed or "not all models of the baseline are among the folders")
    gain: Leaves = {"gain.accuracy": unknown, "gain.quadratic_kappa": unknown}
    if baseline and not mixed:
        fitted_baseline = fit_ensemble([model.member_val for model in baseline], "mean")
        baseline_test = fitted_baseline.on([model.member_test for model in baseline])
        gain = {
            "gain.accuracy": difference(accuracy_statistic, test, baseline_test),
            "gain.quadratic_kappa": difference(kappa_statistic, test, baseline_test),
        }
    return _subject(
        "ensemble", test, fitted.calibration, gain | _variety([m.facts for m in members])
    )


def _variety(facts: Sequence[Any]) -> Leaves:
    families = {one.family for one in facts if one.family}
    words = {one.paradigm for one in facts if one.paradigm}
    paradigms = {"convolution", "attention"} if "both" in words else words
    return {"families": exact(len(families)), "paradigms": exact(len(paradigms))}


def external_subject(
    external: ModelResults, calibration: Calibration, own: Sequence[ModelResults]
) -> Subject:
    """A model on an external set, with the operating points frozen on its own val.

    Images that are also in the models' val or test (by file name) are not independent.
    """
    known = {
        str(name).rsplit("/", 1)[-1]
        for model in own
        for split in (model.val, model.test)
        for name in split.sample_ids
    }
    names = [str(name).rsplit("/", 1)[-1] for name in external.test.sample_ids]
    count = exact(sum(name not in known for name in names))
    return _subject("external", external.test, calibration, {"independent_images": count})


def _subject(name: str, test: Predictions, calibration: Calibration, extra: Leaves) -> Subject:
    tree = evaluation_statistics(test, calibration, "test")
    return Subject(name, dict(_leaves(tree)) | extra, test.patient_ids, test.num_classes)


def _leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Statistic) or (isinstance(node, Mapping) and "reason" in node):
        yield ".".join(path), node
    elif isinstance(node, Mapping):
        for key, child in node.items():
            yield from _leaves(child, (*path, str(key)))
    elif isinstance(node, list):
        for number, child in enumerate(node):
            paired = isinstance(child, Mapping) and "pair" in child
            name = "{}-{}".format(*child["pair"]) if paired else str(number)
            yield from _leaves(child, (*path, name))


def matching(path: str, leaves: Iterable[str]) -> list[str]:
    """The paths that match a criterion's path, in which `*` stands for any one part."""
    wanted = path.split(".")
    found = [(leaf, leaf.split(".")) for leaf in leaves]
    return [
        leaf
        for leaf, parts in found
        if len(parts) == len(wanted)
        and all(w in ("*", part) for w, part in zip(wanted, parts, strict=True))
    ]


def check_paths(metrics: Mapping[str, str], known: Iterable[str]) -> None:
    """Raises UserError for a metric (by criterion id) that does not exist, with similar names.

    What models of the five grades have exists, also where these models have fewer classes.
    """
    known = list(known)
    names = [*known, *EXTRA, *_of_five_grades(known)]
    for criterion, metric in metrics.items():
        if not matching(metric, names):
            near = nearest(metric, list(dict.fromkeys(names)))
            raise UserError(f"Criterion '{criterion}': there is no metric '{metric}'.{near}")


def _of_five_grades(known: Iterable[str]) -> Iterator[str]:
    """The paths in the evaluation of a model of five grades that depend on their number."""
    ranges = {
        "per_class": [str(grade) for grade in range(GRADED_CLASSES)],
        "pairs": [f"{a}-{b}" for a, b in class_pairs(GRADED_CLASSES)],
    }
    for path in known:
        block, *rest = path.split(".")
        if block in ranges and len(rest) > 1:
            yield from (".".join([block, one, *rest[1:]]) for one in ranges[block])
    for condition in CONDITIONS:
        yield f"{condition}.auc"
        for point in ("argmax", *POINTS):
            yield from (f"{condition}.{point}.{rate}" for rate in ("sensitivity", "specificity"))


def estimated(subject: Subject, metrics: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The metrics of one subject that match any of the paths, with intervals."""
    wanted = dict.fromkeys(leaf for metric in metrics for leaf in matching(metric, subject.leaves))
    tree = {leaf: subject.leaves[leaf] for leaf in wanted}
    found: dict[str, dict[str, Any]] = with_intervals(tree, subject.patients)
    return found
