"""The first sections of the card: summary, intended use, data, splits, reference standard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dr_ovo.document.document import Cell, Column, Table
from dr_ovo.document.screen_and_files import MARKS
from dr_ovo.grading.rules import SCOPE
from dr_ovo.reports.card.facts import CardFacts
from dr_ovo.reports.card.form.parts import (
    ACCURACY,
    KAPPA,
    UNRECORDED,
    CardSection,
    facts_table,
    number,
)
from dr_ovo.reports.card.form.questions import Answers, asked
from dr_ovo.reports.card.performance import SPLIT_WORDS
from dr_ovo.tables import RESEARCH_USE

SPLITS = ("train", "val", "test")


def opening_sections(facts: CardFacts, answers: Answers) -> list[CardSection]:
    """Summary and intended use."""
    return [
        CardSection("Summary", _summary(facts)),
        CardSection(
            "Intended use",
            [
                f"{RESEARCH_USE} No approval, clearance or certification is claimed.",
                SCOPE,
                "The model grades a single colour photograph of the retina. It knows nothing of "
                "the patient's history, vision or other eye.",
            ],
            questions=asked("intended_use", answers),
        ),
    ]


def data_sections(facts: CardFacts, answers: Answers) -> list[CardSection]:
    """Source of data, data preparation, data partitions, reference standard."""
    drawn = [MARKS[mark] for mark in facts.marks if mark != "LEAKY"]
    return [
        CardSection("Source of data", drawn, [_source(facts)], asked("data", answers)),
        CardSection("Data preparation", _preparation(facts), _dropped(facts)),
        CardSection("Data partitions", _division(facts), [_splits(facts)]),
        CardSection(
            "Reference standard",
            [
                f"Grades: {', '.join(facts.class_names) or UNRECORDED}. They are those of the "
                "dataset; who gave them, and how, is not recorded by the training.",
            ],
            questions=asked("reference", answers),
        ),
    ]


def _summary(facts: CardFacts) -> list[str]:
    said = (
        f"The model {facts.name} grades diabetic retinopathy on colour photographs of the retina. "
        f"It is {_what_it_is(facts)}."
    )
    if facts.split is None:
        return [said, "It is not evaluated, so there are no figures of how good it is."]
    block, where = facts.evaluation, SPLIT_WORDS[facts.split]
    return [
        said,
        f"On {number(block['n'], 'photograph')} ({where}): quadratic weighted kappa "
        f"{KAPPA.text(block['quadratic_kappa'])}, accuracy {ACCURACY.text(block['accuracy'])} %. "
        "Brackets are 95 % intervals.",
    ]


def _what_it_is(facts: CardFacts) -> str:
    head, networks = facts.facts.head or UNRECORDED, facts.networks
    if networks is None or facts.folds:
        network = facts.facts.architecture or "an architecture that is not recorded"
        several = f"; the mean of {facts.folds} such networks, one a fold" if facts.folds else ""
        return f"a deep neural network: {network}, head {head}{several}"
    network = ", ".join(networks.architectures) or "architectures that are not recorded"
    return (
        f"an ensemble of {networks.count or 'several'} deep neural networks: {network}, head "
        f"{head}, combined by the method {networks.method}"
    )


def _source(facts: CardFacts) -> Table:
    columns = (facts.manifest or {}).get("columns") or {}
    used = "; ".join(f"{what}: {column}" for what, column in columns.items() if column)
    manifest = facts.config.get("data_manifest_hash", UNRECORDED) or "none; it was not prepared"
    if facts.manifest is None:
        used = "not known here: manifest.json is not where the training read it"
    rows = [
        ("name of its folder", facts.dataset),
        ("manifest, sha256", manifest),
        ("photographs and grades, sha256", _data_hash(facts)),
        ("columns of the labels", used),
    ]
    return facts_table("source", "Dataset", rows)


def _data_hash(facts: CardFacts) -> str | None:
    return "differs by fold" if facts.folds else facts.config.get("data_hash")


def _preparation(facts: CardFacts) -> list[str]:
    said = [] if "SIMULATED" in facts.marks else [_audit(facts.config.get("audit"))]
    if steps := facts.config.get("preprocessing"):
        said.append(_steps(steps))
    if skipped := facts.config.get("skipped_images"):
        said.append(f"{number(len(skipped), 'file')} could not be used and took no part.")
    if facts.manifest is not None:
        said.append(f"Prepared with the seed {facts.manifest.get('seed')}.")
        if facts.manifest.get("preprocessing"):
            said.append("The photographs were shrunk when the dataset was prepared.")
    return said


def _steps(steps: Mapping[str, Any]) -> str:
    """What is done to a photograph, by the description in a checkpoint."""
    words = {"disc_crop": "cropped to the disc", "ben_graham": "local average subtracted",
             "clahe": "contrast by CLAHE"}  # fmt: skip
    done = [text for key, text in words.items() if steps.get(key, key == "disc_crop")]
    size = f"scaled to {steps.get('size')} x {steps.get('size')} pixels"
    return f"Photographs are {size}. Steps: {', '.join(done) or 'none'}."


def _audit(audit: Mapping[str, Any] | None) -> str:
    """What the audit before the training found; names of photographs are no part of a card."""
    if not audit:
        return "The dataset was not audited before the training."
    leaks = audit.get("leaks", UNRECORDED)
    said = "The dataset was audited before the training: "
    said += "no leaks between splits" if leaks == 0 else f"leaks between splits: {leaks}"
    if audit.get("leaky_weights"):
        said += "; the weights it began with have seen photographs of val or test"
    findings = audit.get("findings") or {}
    words = [f"{kind.replace('_', ' ')} {count}" for kind, count in findings.items()]
    return f"{said}. Findings: {', '.join(words)}." if words else f"{said}. It found nothing else."


def _dropped(facts: CardFacts) -> list[Table]:
    dropped = (facts.manifest or {}).get("dropped") or []
    kinds = [str(one.get("kind", "")) for one in dropped]
    rows: list[list[Cell]] = [
        [kind.replace("_", " "), kinds.count(kind)] for kind in dict.fromkeys(kinds)
    ]
    columns = [Column("why", "why"), Column("n", "photographs", "count")]
    return [Table("dropped", "Left out when prepared", columns, rows)] if rows else []


def _division(facts: CardFacts) -> list[str]:
    said = []
    if facts.manifest is not None:
        said.append(f"Rule: {facts.manifest.get('rule')}.")
        if official := facts.manifest.get("official_splits"):
            said.append(f"Splits that came with the dataset: {', '.join(official)}.")
    folds = facts.settings.get("folds")
    if folds and not facts.folds:
        said.append(
            f"Train and val were divided into {folds} folds by patient; this network is that of "
            f"fold {facts.settings.get('fold')}."
        )
    if facts.folds:
        said.append(
            f"Train and val were divided into {facts.folds} folds by patient; each network "
            "learned from all folds but one. The table counts the first network's."
        )
    if not said:
        said.append("How photographs were dealt to splits is not known here.")
    if not facts.config.get("counts"):
        said.append("The counts of the splits are not recorded.")
    return said


def _splits(facts: CardFacts) -> Table:
    counts: Mapping[str, Mapping[str, int]] = facts.config.get("counts", {})
    grades = list(dict.fromkeys(grade for split in counts.values() for grade in split))
    columns = [
        Column("split", "split"),
        Column("n", "photographs", "count"),
        Column("patients", "patients", "count"),
        *(Column(f"grade_{place}", grade, "count") for place, grade in enumerate(grades)),
    ]
    rows: list[list[Cell]] = [
        [
            split,
            sum(counts[split].values()),
            _patients(facts, split),
            *(counts[split].get(grade, 0) for grade in grades),
        ]
        for split in SPLITS
        if split in counts
    ]
    return Table("splits", "Photographs by split and grade", columns, rows)


def _patients(facts: CardFacts, split: str) -> int | None:
    """The patients of a split, as far as they are known; the dataset's groups where it has no
    patients."""
    if split in facts.evaluations:
        found: int | None = facts.evaluations[split].get("n_patients")
        return found
    divided_anew = split != "test" and facts.settings.get("folds")
    if facts.manifest is None or divided_anew:
        return None
    own = [one for one in facts.manifest["files"] if one.get("split") == split]
    return len({one.get("patient") or one.get("group") or one.get("id") for one in own})
