"""What a model card is made of: sections with facts, tables and questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dr_ovo.document.document import Cell, Column, Section, Table
from dr_ovo.reports.card.form.questions import OPEN, Question

UNRECORDED = "not recorded"
COUNT = Column("n", "photographs", "count")
ACCURACY = Column("accuracy", "accuracy, %", "percent")
KAPPA = Column("quadratic_kappa", "kappa", "decimal")
PATIENTS = Column("n_patients", "patients", "count")
OVERALL = (
    KAPPA,
    ACCURACY,
    Column("balanced_accuracy", "balanced accuracy, %", "percent"),
    Column("macro_auc", "macro AUC", "decimal"),
)
RATES = (
    Column("sensitivity", "sensitivity, %", "percent"),
    Column("specificity", "specificity, %", "percent"),
)
MISSING = {"value": None, "reason": "not in this evaluation"}


@dataclass(frozen=True)
class CardSection:
    """A section: paragraphs, tables, and questions with their answers (None: not answered)."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    questions: Sequence[tuple[Question, str | None]] = ()

    @property
    def filled(self) -> list[Table]:
        """The tables that have rows."""
        return [table for table in self.tables if table.rows]

    def for_page(self) -> Section:
        """The section as the page has it, with its questions as a table."""
        if not self.questions:
            return Section(self.title, self.paragraphs, self.filled)
        rows = [(one.words, OPEN if answer is None else answer) for one, answer in self.questions]
        columns = [Column("question", "question"), Column("answer", "answer")]
        asked = Table("questions", "Asked of a person", columns, rows)
        return Section(self.title, self.paragraphs, [*self.filled, asked])


def facts_table(name: str, title: str, rows: Sequence[tuple[str, Any]]) -> Table:
    """Facts, one a row; None is not recorded."""
    columns = [Column("what", "what"), Column("value", "value")]
    shown = [(what, UNRECORDED if value in (None, "") else str(value)) for what, value in rows]
    return Table(name, title, columns, shown)


def metrics(block: Mapping[str, Any], columns: Sequence[Column]) -> list[Cell]:
    """The cells of a block of an evaluation, under the keys of the columns."""
    return [block.get(column.key, MISSING) for column in columns]


def reason_of(block: Any) -> str | None:
    """Why a block of an evaluation has no figures; None where it has."""
    if not isinstance(block, Mapping):
        return str(MISSING["reason"])
    return str(block["reason"]) if block.get("value", 0) is None else None


def number(count: int, what: str) -> str:
    """`1 photograph`, `2 photographs`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
