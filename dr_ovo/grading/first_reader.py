"""`--first_reader`: what a person said of the same photographs, and where the two disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dr_ovo.decoding.tempering import log_probabilities
from dr_ovo.errors import UserError
from dr_ovo.grading.row_files import Cells
from dr_ovo.grading.rules import Rules
from dr_ovo.grading.subjects import Subject
from dr_ovo.grading.workload import KnownEyes, workload
from dr_ovo.predictions.operating_points import CONDITIONS, GRADED_CLASSES
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.predictions.verdict import POSITIVE, Verdict
from dr_ovo.prepare.readers.csv_labels import LabelRules, read_labels
from dr_ovo.prepare.readers.folder_tree import read_tree
from dr_ovo.prepare.readers.grade_scale import GradeScale
from dr_ovo.statistics.intervals import with_intervals
from dr_ovo.statistics.model_statistics import accuracy_statistic, kappa_statistic

COLUMNS = (
    "patient", "eye", "first_reader", "grade", "verdict", "disagree_on_referable", "p_referable",
    "reasons",
)  # fmt: skip


@dataclass(frozen=True)
class FirstReader:
    """The grades of a person, by the path of the photograph as it was given."""

    grades: dict[str, int]

    def by_place(self, paths: Iterable[Path]) -> dict[int, int]:
        """The grades by the place of the photograph among these."""
        places = enumerate(map(str, paths))
        return {place: self.grades[path] for place, path in places if path in self.grades}


def read_first_reader(
    labels: Path, folder: Path, paths: Sequence[Path], class_names: Sequence[str]
) -> FirstReader:
    """The grades of the photographs at `paths`, all below `folder`, in a label file; or by the
    folders in which they are, where `labels` is a folder. What has no grade, and other
    photographs, are passed over.

    Raises UserError for labels that can't be understood, or that have none of the photographs.
    """
    five = len(class_names) == GRADED_CLASSES
    scale = GradeScale() if five else GradeScale(tuple(class_names))
    rules = LabelRules(scale, skip_ungraded=True, skip_missing=True)
    try:
        if labels.is_dir():
            photographs = read_tree(labels, scale, keep_splits=False)[0]
        else:
            own = [path.absolute() for path in paths]
            photographs = read_labels(folder, [labels], {}, rules, own).photographs
    except UserError as error:
        raise UserError(f"--first_reader {labels}: {error}") from None
    given = {path.resolve(): str(path) for path in paths}
    grades = {
        given[one.path.resolve()]: one.grade for one in photographs if one.path.resolve() in given
    }
    if not grades:
        raise UserError(
            f"--first_reader {labels}: it has a grade for none of the {len(paths)} photographs of "
            "--input. Expected a CSV with a column of their file names and one of grades, or the "
            "folder of these photographs with a folder for each grade."
        )
    return FirstReader(grades)


@dataclass(frozen=True)
class Compared:
    """The eyes that both have graded: how they agree, and the rows where they don't."""

    report: dict[str, Any]
    disagreements: list[Cells]


def compare(subjects: Iterable[Subject], grades: Mapping[int, int], rules: Rules) -> Compared:
    """The eyes whose photographs the first reader has graded, by place; each by its worst grade
    there."""
    known = [
        (one, max(grades[place] for place in one.places if place in grades))
        for one in subjects
        if not grades.keys().isdisjoint(one.places)
    ]
    eyes = KnownEyes(
        [one.reading for one, _ in known],
        np.array([grade for _, grade in known]),
        np.array([one.patient for one, _ in known]),
    )
    report: dict[str, Any] = {"eyes": len(known), "photographs": len(grades)}
    report["workload"] = workload(eyes) if len(rules.class_names) == GRADED_CLASSES else None
    report |= _agreement(eyes, rules)
    return Compared(report, _disagreements(known, rules))


def _agreement(eyes: KnownEyes, rules: Rules) -> dict[str, Any]:
    """Agreement and quadratic kappa on the eyes that the models could grade."""
    graded = [
        place for place, one in enumerate(eyes.readings) if one.gradable and one.probabilities
    ]
    if not graded:
        missing = {"value": None, "reason": "the models could grade none of these eyes"}
        return {"graded_by_both": 0, "agreement": missing, "quadratic_kappa": missing}
    own = [eyes.readings[place] for place in graded]
    probabilities = np.array([one.probabilities for one in own])
    both = Predictions(
        head="ensemble",
        decoder="worse eye",
        class_names=np.array(rules.class_names),
        sample_ids=np.array([str(place) for place in graded]),
        patient_ids=eyes.patients[graded],
        eyes=np.full(len(graded), ""),
        quality=np.full(len(graded), np.nan),
        calibration=np.zeros(len(graded), dtype=bool),
        targets=eyes.grades[graded],
        predicted=np.array([one.grade for one in own]),
        pairs=np.zeros((0, 2), dtype=np.int64),
        logits=log_probabilities(probabilities),
        probabilities=probabilities,
    )
    tree = {
        "graded_by_both": len(graded),
        "agreement": accuracy_statistic(both),
        "quadratic_kappa": kappa_statistic(both),
    }
    return dict(with_intervals(tree, both.patient_ids))


def _disagreements(known: Sequence[tuple[Subject, int]], rules: Rules) -> list[Cells]:
    """The eyes to arbitrate: first those that one of the two calls referable and the other does
    not, then by the distance of the grades."""
    rows: list[tuple[tuple[bool, int, str, str], Cells]] = []
    first = CONDITIONS["referable"]
    for subject, theirs in known:
        reading = subject.reading
        if reading.grade is None or not reading.gradable:
            continue
        positive = Verdict(reading.verdict) in POSITIVE
        decided = positive or reading.verdict == Verdict.NEGATIVE
        crossed = decided and positive != (theirs >= first)
        distance = abs(reading.grade - theirs)
        if not crossed and not distance:
            continue
        values = (
            subject.patient, subject.eye, rules.class_names[theirs], reading.grade_name,
            reading.verdict, crossed, reading.p_referable, list(reading.reasons),
        )  # fmt: skip
        cells: Cells = dict(zip(COLUMNS, values, strict=True))
        rows.append(((not crossed, -distance, subject.patient, subject.eye or ""), cells))
    return [cells for _, cells in sorted(rows, key=lambda row: row[0])]
