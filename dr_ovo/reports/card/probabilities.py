"""What the model's probabilities are worth: calibration, operating points, sets, work saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dr_ovo.document.document import Cell, Column, Table
from dr_ovo.grading.rules import Rules
from dr_ovo.grading.workload import own_test, sentence
from dr_ovo.predictions.conformal import COVERAGE
from dr_ovo.predictions.operating_points import CONDITIONS, TARGET_SENSITIVITY, TARGET_SPECIFICITY
from dr_ovo.reports.card.facts import CardFacts
from dr_ovo.reports.card.form.parts import MISSING, RATES, CardSection, metrics, number, reason_of
from dr_ovo.reports.card.performance import SPLIT_WORDS
from dr_ovo.tables import percent

POINTS = {
    "high_sensitivity": f"sensitivity of {100 * TARGET_SENSITIVITY:.0f} %",
    "high_specificity": f"specificity of {100 * TARGET_SPECIFICITY:.0f} %",
}
COLUMNS = (
    Column("condition", "condition"),
    Column("point", "fixed for a"),
    Column("threshold", "threshold", "decimal"),
    Column("fixed_on", "fixed on photographs", "count"),
)
NOTHING = "Not evaluated."


def probability_sections(facts: CardFacts) -> list[CardSection]:
    """Calibration, operating points, sets of likely grades, and the work saved."""
    return [_calibration(facts), _operating_points(facts), _sets(facts), _work_saved(facts)]


def _calibration(facts: CardFacts) -> CardSection:
    block = facts.evaluation.get("calibration")
    if block is None:
        return CardSection("Calibration", [NOTHING])
    columns = [
        Column("probabilities", "probabilities"),
        Column("ece", "expected calibration error, %", "percent"),
        Column("brier", "Brier score", "decimal"),
    ]
    of_mean = facts.evaluation.get("head") == "ensemble"
    names = ("ensemble", "tempered again") if of_mean else ("raw", "tempered")
    kinds = zip(names, ("raw", "tempered"), strict=True)
    rows = [[name, *metrics(block[kind], columns[1:])] for name, kind in kinds]
    said = (
        f"Temperature {block['temperature']:.3f}, fitted on "
        f"{number(block['fitted_on'], 'photograph')}."
    )
    if block.get("val_divided"):
        said += " They are a share of val that nothing else was chosen by."
    elif block.get("out_of_fold") or facts.folds:
        said += " Each was graded by a network that did not see it in its training."
    title = f"Calibration on {SPLIT_WORDS[facts.split or 'test']}, 15 bins"
    return CardSection("Calibration", [said], [Table("calibration", title, columns, rows)])


def _which(facts: CardFacts) -> str:
    """Which probabilities are held against the operating points."""
    of_mean = facts.evaluation.get("head") == "ensemble"
    return "the ensemble's, of its members' tempered ones" if of_mean else "not tempered"


def _operating_points(facts: CardFacts) -> CardSection:
    title = "Operating points"
    blocks = facts.evaluation.get("operating_points")
    if blocks is None:
        return CardSection(title, [NOTHING])
    rows = [
        _point(facts.evaluation, condition, point, words)
        for condition in CONDITIONS
        for point, words in POINTS.items()
    ]
    aucs = [
        [condition.replace("_", "-"), _known(facts.evaluation.get(condition)).get("auc", MISSING)]
        for condition in CONDITIONS
    ]
    said = (
        "Referable is grade 2 and above, vision-threatening grade 3 and above. A photograph is "
        f"positive where the probabilities of these grades, {_which(facts)}, sum to the threshold "
        "or more. The interval of a threshold takes photographs for independent; "
        "it ends at 0 or 1 where they are too few."
    )
    where = SPLIT_WORDS[facts.split or "test"]
    auc = [Column("condition", "condition"), Column("auc", "AUC", "decimal")]
    return CardSection(
        title,
        [said],
        [
            Table("operating_points", f"{title}, rates on {where}", [*COLUMNS, *RATES], rows),
            *_of_the_mean(facts),
            Table("conditions", f"AUC on {where}", auc, aucs),
        ],
    )


def _known(block: Any) -> Mapping[str, Any]:
    """The block, empty where it has no figures."""
    return {"auc": block} if reason_of(block) and isinstance(block, Mapping) else block or {}


def _point(evaluation: Mapping[str, Any], condition: str, point: str, words: str) -> list[Cell]:
    fixed = evaluation["operating_points"][condition][point]
    rates = _known(evaluation.get(condition)).get(point, {})
    return [*_threshold(condition, words, fixed), *metrics(rates, RATES)]


def _threshold(condition: str, words: str, fixed: Mapping[str, Any]) -> list[Cell]:
    threshold = {"value": fixed["threshold"], "low": fixed.get("low"), "high": fixed.get("high")}
    if fixed.get("reason"):
        threshold["reason"] = fixed["reason"]
    return [condition.replace("_", "-"), words, threshold, fixed.get("n")]


def _of_the_mean(facts: CardFacts) -> list[Table]:
    """The operating points of the mean of the networks of `--folds`, which are used on new
    photographs; those of other models are the evaluation's."""
    if facts.calibration is None or not facts.folds:
        return []
    rows = [
        _threshold(condition, words, asdict(getattr(getattr(facts.calibration, condition), point)))
        for condition in CONDITIONS
        for point, words in POINTS.items()
    ]
    title = "Operating points of the mean, for new photographs"
    return [Table("points_of_mean", title, COLUMNS, rows)]


def _sets(facts: CardFacts) -> CardSection:
    title = "Sets of likely grades"
    block = facts.evaluation.get("conformal")
    if reason := reason_of(block):
        return CardSection(title, [f"None, since {reason}." if facts.split else NOTHING])
    assert block is not None
    columns = [Column("what", "what"), Column("share", "%", "percent")]
    words = {
        "covered": "sets that hold the reference grade",
        "covered_referable": "of photographs with referable disease",
        "covered_other": "of the others",
        "single_grades": "sets of a single grade",
    }
    rows = [[text, block.get(key, MISSING)] for key, text in words.items()]
    said = [
        "Split conformal sets, made to hold the reference grade in "
        f"{100 * block['coverage']:.0f} % of photographs. They hold {block['mean_size']:.2f} "
        "grades on average."
    ]
    if block["guaranteed"]:
        said.append("That coverage is guaranteed for patients like those of the calibration share.")
    else:
        said.append(f"The coverage is not guaranteed: {'; '.join(block['chosen'])}.")
    for group, spread in block.get("spread", {}).items():
        said.append(
            f"In 9 of 10 draws of such a share ({spread['n']:,} photographs, {group}) the true "
            f"coverage lies in {percent(spread['low'])} to {percent(spread['high'])}."
        )
    where = SPLIT_WORDS[facts.split or "test"]
    return CardSection(title, said, [Table("sets", f"Coverage on {where}", columns, rows)])


def _work_saved(facts: CardFacts) -> CardSection:
    block = work_saved(facts)
    said = sentence(block)
    said = f"{said[:1].upper()}{said[1:]}"
    rule = (
        "An eye needs no person where each of its photographs is gradable and below all points, "
        "and neither its grade nor its set of likely grades reaches grade 2."
    )
    return CardSection("Work saved", [said, rule])


def work_saved(facts: CardFacts) -> dict[str, Any]:
    """The workload on test; {"value": None, "reason"} where it is not known."""
    if "test" not in facts.evaluations:
        return {"value": None, "reason": "test is not evaluated"}
    if facts.predictions is None:
        return {"value": None, "reason": "the predictions are not in the folder"}
    uncalibrated = "the model is not calibrated"
    rules = Rules(facts.class_names, facts.calibration, uncalibrated, COVERAGE, "", 1, facts.marks)
    return own_test(facts.folder, rules)
