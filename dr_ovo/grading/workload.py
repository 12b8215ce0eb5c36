"""How much reading a model would save, and at what cost: eyes that no person needs to see, and
referable disease that is missed among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dr_ovo.errors import UserError
from dr_ovo.gates.gated import ungated
from dr_ovo.grading.reading import Reading, joint_reading
from dr_ovo.grading.rules import Rules
from dr_ovo.predictions.calibration_file import load_calibration
from dr_ovo.predictions.operating_points import CONDITIONS, GRADED_CLASSES, ungraded
from dr_ovo.predictions.predictions_file import Predictions, load_predictions
from dr_ovo.predictions.verdict import POSITIVE, Verdict
from dr_ovo.results.folder import OOF, ResultsFolder
from dr_ovo.results.made_from import check_evaluation_files
from dr_ovo.results.one_piece import require_one_decoding
from dr_ovo.statistics.intervals import with_intervals
from dr_ovo.statistics.weighted_statistics import Proportion

POINTS_OF_CURVE = 101


@dataclass(frozen=True, eq=False)
class KnownEyes:
    """N eyes with a reference: readings, the worst reference grade (N,) of their photographs, and
    patients (N,)."""

    readings: Sequence[Reading]
    grades: np.ndarray
    patients: np.ndarray


def workload(eyes: KnownEyes) -> dict[str, Any]:
    """Shares of the eyes, as {"value", "low", "high"} with intervals by patient."""
    verdicts = np.array([one.verdict for one in eyes.readings])
    referable = eyes.grades >= CONDITIONS["referable"]
    negative = verdicts == Verdict.NEGATIVE
    positive = np.isin(verdicts, [str(verdict) for verdict in POSITIVE])
    every = np.ones(len(verdicts), dtype=bool)
    tree = {
        "eyes": len(verdicts),
        "patients": len(np.unique(eyes.patients)),
        "with_referable_disease": int(referable.sum()),
        "no_person": Proportion("no eyes", negative, every),
        "missed": Proportion("no eyes", negative & referable, every),
        "missed_of_referable": Proportion("no referable eye", negative, referable),
        "positive": Proportion("no eyes", positive, every),
        "positive_without_disease": Proportion("no other eye", positive, ~referable),
        "refer_to_a_person": Proportion("no eyes", verdicts == Verdict.PERSON, every),
        "ungradable": Proportion("no eyes", verdicts == Verdict.UNGRADABLE, every),
    }
    return dict(with_intervals(tree, eyes.patients))


def sentence(block: dict[str, Any]) -> str:
    """The headline, such as "Of 1,000 eyes, 412 (380 to 444) need no person; 6 (2 to 12) with
    referable disease among them are missed."; the reason where there is none."""
    if "reason" in block:
        return f"the work saved is not known, since {block['reason']}."
    saved, missed = (_per_thousand(block[name]) for name in ("no_person", "missed"))
    return (
        f"Of 1,000 eyes, {saved} need no person; {missed} with referable disease among them are "
        f"missed. Measured on {block['eyes']:,} eyes of {block['patients']:,} patients, "
        f"{block['with_referable_disease']:,} of them referable."
    )


def own_test(folder: ResultsFolder, rules: Rules) -> dict[str, Any]:
    """The workload on the test split of the models' own dataset, with its `curve`; {"value": None,
    "reason"} where it is not evaluated. Gates and the grades of single members take no part."""
    if len(rules.class_names) != GRADED_CLASSES:
        return _unknown(f"it is {ungraded(len(rules.class_names))}")
    if rules.calibration is None:
        return _unknown(rules.uncalibrated)
    if not folder.predictions("test").is_file() or not folder.calibration.is_file():
        return _unknown(f"{folder.root} is not evaluated on test")
    try:
        check_evaluation_files(folder, ["test"])
        require_one_decoding(folder)  # the networks grade as on val
    except UserError as error:
        return _unknown(str(error))
    if load_calibration(folder.calibration) != rules.calibration:
        return _unknown(f"the evaluation in {folder.root} is of other operating points")
    test = load_predictions(folder.predictions("test"))
    eyes = known_eyes(test, rules)
    block = workload(eyes)
    for split in ("val", OOF):
        if folder.predictions(split).is_file():
            val = load_predictions(folder.predictions(split))
            block["curve"] = curve(eyes, val.probabilities)
    return block


def known_eyes(p: Predictions, rules: Rules) -> KnownEyes:
    """The eyes of predictions with reference grades; a photograph without a known eye is one."""
    readings = rules.read(p.predicted, p.probabilities, p.predicted[None], ungated(p.quality))
    owners = [
        (patient, eye) if eye else (patient, sample)
        for patient, eye, sample in zip(p.patient_ids, p.eyes, p.sample_ids, strict=True)
    ]
    places: dict[tuple[str, str], list[int]] = {}
    for place, owner in enumerate(owners):
        places.setdefault(owner, []).append(place)
    return KnownEyes(
        [joint_reading([readings[place] for place in own]) for own in places.values()],
        np.array([p.targets[own].max() for own in places.values()]),
        np.array([patient for patient, _ in places]),
    )


def curve(eyes: KnownEyes, val: np.ndarray) -> list[dict[str, float]]:
    """For thresholds of P(referable) at quantiles of val, by its probabilities (n, C): the share of
    the eyes below, and the share of referable eyes among these. An eye that can't be graded is
    never below. Sets and grades, which send some negatives to a person, take no part."""
    scores = np.array(
        [one.p_referable if one.gradable else np.inf for one in eyes.readings], dtype=np.float64
    )
    referable = eyes.grades >= CONDITIONS["referable"]
    of_val = val[:, CONDITIONS["referable"] :].sum(axis=1)
    return [
        {
            "threshold": float(threshold),
            "saved": float((scores < threshold).mean()),
            "missed": float((scores[referable] < threshold).mean()) if referable.any() else 0.0,
        }
        for threshold in np.unique(np.quantile(of_val, np.linspace(0, 1, POINTS_OF_CURVE)))
    ]


def _per_thousand(metric: dict[str, Any]) -> str:
    if metric["value"] is None:
        return "an unknown number"
    shown = f"{1000 * metric['value']:,.0f}"
    if metric.get("low") is None:
        return shown
    return f"{shown} ({1000 * metric['low']:,.0f} to {1000 * metric['high']:,.0f})"


def _unknown(reason: str) -> dict[str, Any]:
    return {"value": None, "reason": reason.removesuffix(".")}
