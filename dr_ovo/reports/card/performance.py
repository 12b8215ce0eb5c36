"""How good the model is: overall, by grade, by quality, by eye, and on other datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dr_ovo.document.document import Cell, Column, Table
from dr_ovo.document.screen_and_files import MARKS
from dr_ovo.predictions.calibration_file import VAL_OF_FOLDS
from dr_ovo.reports.card.facts import CardFacts
from dr_ovo.reports.card.form.parts import (
    ACCURACY,
    COUNT,
    KAPPA,
    OVERALL,
    PATIENTS,
    CardSection,
    metrics,
    number,
    reason_of,
)
from dr_ovo.results.folder import OOF

OF_GRADE = (
    Column("recall", "recall, %", "percent"),
    Column("precision", "precision, %", "percent"),
    Column("specificity", "specificity, %", "percent"),
    Column("f1", "F1", "decimal"),
    Column("auc", "AUC", "decimal"),
)
SPLIT_WORDS = {
    "test": "test",
    "val": "val",
    OOF: VAL_OF_FOLDS,
}
SPLIT_NOTES = {
    "test": "Test took part neither in the training nor in its choices.",
    "val": "Temperature and operating points were fitted on val, and the training may have chosen "
    "by it: its figures are too good.",
    OOF: "Each photograph of train and val was graded by the one network that did not see it; the "
    "model that is given away is the mean of all.",
}
# Without the paths of a run, which are no part of a card.
EVALUATE = "python ensemble_5class_trainer.py --mode evaluate --output_dir RESULTS_DIR"
INTERVALS = {
    "patient bootstrap": "Brackets are 95 % intervals; patients were resampled, 2,000 times.",
    "image": "Brackets are 95 % intervals by photograph: no patient has two.",
}


def performance_sections(facts: CardFacts) -> list[CardSection]:
    """Performance, and performance by subgroup; why there is none where nothing is evaluated."""
    if facts.split is None:
        said = [f"Not evaluated. Evaluate it: {EVALUATE}"]
        return [CardSection("Performance", said), CardSection("Performance by subgroup", said)]
    evaluation = facts.evaluation
    leaky = "LEAKY" in facts.marks
    said = [MARKS["LEAKY"] if leaky else SPLIT_NOTES[facts.split]]
    said = [*said, INTERVALS.get(evaluation.get("intervals", ""), "")]
    if facts.split != "test":
        said.insert(0, f"Test is not evaluated. Evaluate it: {EVALUATE}")
    elif "val" in facts.evaluations:
        said.append(SPLIT_NOTES["val"])
    if note := evaluation.get("note"):
        said.append(str(note))
    tables = [_overall(facts), _by_grade(facts), _confusion(facts)]
    return [
        CardSection("Performance", [one for one in said if one], tables),
        _subgroups(facts),
    ]


def _overall(facts: CardFacts) -> Table:
    columns = [Column("split", "split"), COUNT, PATIENTS, *OVERALL]
    rows: list[list[Cell]] = [
        [SPLIT_WORDS[split], block.get("n"), block.get("n_patients"), *metrics(block, OVERALL)]
        for split, block in facts.evaluations.items()
    ]
    patients = facts.evaluation.get("patient_level", {})
    if patients and reason_of(patients) is None:
        label = f"{SPLIT_WORDS[facts.split or 'test']}, each patient's worse eye"
        count = patients.get("n_patients")
        rows.append([label, None, count, *metrics(patients, OVERALL)])
    return Table("overall", "Agreement with the reference grades", columns, rows)


def _by_grade(facts: CardFacts) -> Table:
    names = facts.class_names
    rows = []
    for block in facts.evaluation.get("per_class", []):
        grade = block["grade"]
        name = names[grade] if grade < len(names) else ""
        label = str(grade) if name in ("", str(grade)) else f"{grade} ({name})"
        rows.append([label, block["n"], *metrics(block, OF_GRADE)])
    columns = [Column("grade", "grade"), COUNT, *OF_GRADE]
    return Table("by_grade", _on("Each grade against the others", facts), columns, rows)


def _confusion(facts: CardFacts) -> Table:
    matrix: Sequence[Sequence[int]] = facts.evaluation.get("confusion", [])
    columns = [Column(f"as_{grade}", f"graded {grade}", "count") for grade in range(len(matrix))]
    rows: list[list[Cell]] = [[str(grade), *row] for grade, row in enumerate(matrix)]
    header = [Column("reference", "reference grade"), *columns]
    return Table("confusion", _on("Photographs by reference and given grade", facts), header, rows)


def _on(title: str, facts: CardFacts) -> str:
    return f"{title}, {SPLIT_WORDS[facts.split or 'test']}"


def _subgroups(facts: CardFacts) -> CardSection:
    said: list[str] = []
    tables: list[Table] = []
    quality = facts.evaluation.get("by_quality")
    if reason := reason_of(quality):
        said.append(f"By quality of the photograph: not known, since {reason}.")
    else:
        assert quality is not None
        said.append(_quality_words(quality))
        tables.append(_by_quality(quality, facts))
    if reason := reason_of(facts.eyes):
        said.append(f"By eye: not known, since {reason}.")
    else:
        tables.append(_by_eye(facts.eyes, facts))
    said.append("By age, sex, ethnicity, camera and place: not measured; they are not recorded.")
    return CardSection("Performance by subgroup", said, tables)


def _quality_words(block: Mapping[str, Any]) -> str:
    """Counts of known, unknown and ungradable photographs."""
    said = f"Quality is known of {number(block['n_known'], 'photograph')}"
    if block.get("n_unknown"):
        said += f", unknown of {block['n_unknown']:,}"
    return (
        f"{said}; {block.get('n_ungradable', 0):,} of them are below {block['least_gradable']}, "
        "from which on one is gradable."
    )


def _by_quality(block: Mapping[str, Any], facts: CardFacts) -> Table:
    columns = [
        Column("third", "third of quality"),
        Column("low", "from", "decimal"),
        Column("high", "to", "decimal"),
        COUNT,
        KAPPA,
        ACCURACY,
    ]
    rows = [[one.get(column.key) for column in columns] for one in block["thirds"]]
    return Table("by_quality", _on("By quality of the photograph", facts), columns, rows)


def _by_eye(block: Mapping[str, Any], facts: CardFacts) -> Table:
    columns = [Column("eye", "eye"), COUNT, KAPPA, ACCURACY]
    rows = [[one.get(column.key) for column in columns] for one in block["eyes"]]
    note = f"Unknown of {number(block['n_unknown'], 'photograph')}." if block["n_unknown"] else ""
    return Table("by_eye", _on("By eye", facts), columns, rows, note)
