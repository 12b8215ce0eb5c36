"""The limits of a model, as far as they follow from what is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dr_ovo.document.screen_and_files import MARKS
from dr_ovo.grading.rules import SCOPE
from dr_ovo.predictions.same_answer import stopped_words
from dr_ovo.reports.card.facts import CardFacts
from dr_ovo.reports.card.form.parts import CardSection, number, reason_of
from dr_ovo.reports.card.form.questions import Answers, asked
from dr_ovo.reports.card.performance import OF_GRADE
from dr_ovo.results.folder import OOF
from dr_ovo.tables import decimal

FEW = 30  # photographs of a grade, below which the card says that they are few
WIDE = 0.10  # width of the interval of a threshold
RECALL = OF_GRADE[0]


def limits_section(facts: CardFacts, answers: Answers) -> CardSection:
    """What the figures do not tell, one paragraph a limit."""
    return CardSection("Limitations", limits(facts), questions=asked("limitations", answers))


def limits(facts: CardFacts) -> list[str]:
    """The limits, those that all others depend on first."""
    return [
        *(MARKS[mark] for mark in facts.marks),
        SCOPE,
        *_of_the_evidence(facts),
        *_of_the_sizes(facts),
        *_of_the_choices(facts),
        "Not measured: patients by age, sex, ethnicity or camera; graders who read with the model "
        "and without it; use in care; change over time.",
        *_of_the_record(facts),
    ]


def _of_the_evidence(facts: CardFacts) -> Iterator[str]:
    if facts.split is None:
        yield "It is not evaluated: nothing is known of how good it is."
    elif facts.split != "test":
        yield "It is not evaluated on test."
    if facts.facts.stopped:
        yield stopped_words(facts.facts.stopped)
    if not facts.external:
        yield (
            "All figures are of one dataset. On photographs of other places, cameras and patients "
            "they may be much worse."
        )
    alone = facts.evaluation.get("statistics_only", {}).get("quadratic_kappa", {})
    if alone.get("value") is not None:
        yield (
            f"Statistics of the images alone, such as brightness and file size, reach a kappa of "
            f"{decimal(alone['value'])} on test: as much as that may come of how photographs were "
            "taken, not of disease."
        )


def _of_the_sizes(facts: CardFacts) -> Iterator[str]:
    block = facts.evaluation
    if not block:
        return
    yield (
        f"The figures are of {number(block['n'], 'photograph')} of "
        f"{number(block['n_patients'], 'patient')}."
        if "n_patients" in block
        else f"The figures are of {number(block['n'], 'photograph')}."
    )
    for one in block.get("per_class", []):
        if one["n"] < FEW:
            yield (
                f"Grade {one['grade']} has {number(one['n'], 'photograph')}: "
                f"{_recall(one['recall'])}."
            )
    for condition, points in block.get("operating_points", {}).items():
        for name, point in points.items():
            yield from _of_a_point(condition.replace("_", "-"), name.replace("_", " "), point)


def _recall(metric: dict[str, Any]) -> str:
    if metric["value"] is None:
        return "its recall is not known"
    return f"its recall is {RECALL.text(metric)} %"


def _of_a_point(condition: str, name: str, point: dict[str, Any]) -> Iterator[str]:
    if point["threshold"] is None:
        yield f"There is no point of {name} for {condition} disease: {point['reason']}."
    elif point.get("low") is not None and point["high"] - point["low"] > WIDE:
        yield (
            f"The point of {name} for {condition} disease rests on "
            f"{number(point['n'], 'photograph')}: its threshold may lie anywhere from "
            f"{decimal(point['low'])} to {decimal(point['high'])}."
        )


def _of_the_choices(facts: CardFacts) -> Iterator[str]:
    calibration = facts.evaluation.get("calibration", {})
    crossed = calibration.get("out_of_fold") or facts.folds or facts.split == OOF
    if facts.evaluation and not calibration.get("val_divided") and not crossed:
        yield (
            f"Val has {number(calibration['fitted_on'], 'photograph')}, too few to be divided: "
            "temperature and operating points were fitted on those that the training validated on."
        )
    sets = facts.evaluation.get("conformal", {})
    if sets.get("guaranteed") is False:
        yield "The coverage of the sets of likely grades is not guaranteed."
    if facts.settings.get("seed") is not None and not facts.folds and facts.networks is None:
        yield (
            "One training with one seed: the intervals are of the photographs, not of what another "
            "training would give."
        )


def _of_the_record(facts: CardFacts) -> Iterator[str]:
    if not facts.config.get("audit") and "SIMULATED" not in facts.marks:
        yield "The dataset was not audited before the training: splits may share patients."
    if facts.evaluation.get("audited") is False:
        yield "The audit was of other files than those that were evaluated."
    if facts.evaluation and reason_of(facts.evaluation.get("by_quality")):
        yield "How the figures depend on the quality of the photographs is not known."
    if facts.evaluation and reason_of(facts.eyes):
        yield "Whether left and right eyes differ is not known."
    if not facts.verified:
        yield (
            "The folder is of an earlier version: it can't be checked that its files belong "
            "together."
        )
