"""What only a person knows of a model, and the file in which it is answered."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.files import atomic_write_text
from dr_ovo.tables import visible

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OPEN = "[to be answered]"
LARGEST = 1 << 20  # bytes of the file
LICENCE = "other.licence"


@dataclass(frozen=True)
class Question:
    """A question: its table and key in the file, and its words."""

    table: str
    key: str
    words: str

    @property
    def name(self) -> str:
        """`table.key`."""
        return f"{self.table}.{self.key}"


QUESTIONS = tuple(
    Question(*row)
    for row in (
        ("intended_use", "users", "Who is meant to use the model, and at which point of care?"),
        ("intended_use", "purpose", "What is it meant to decide there, and what must it not?"),
        ("data", "place_and_time", "Where and when were the photographs taken: countries, "
         "institutions, kind of care, years?"),
        ("data", "camera", "With which cameras, fields and angles, and with dilated pupils?"),
        ("data", "inclusion", "Which patients and photographs were included, which were not, and "
         "how were they found?"),
        ("data", "demographics", "Age, sex, ethnicity, kind and duration of diabetes, by split?"),
        ("data", "deidentification", "How were the photographs made anonymous?"),
        ("reference", "graders", "Who graded the photographs: how many, trained how, by which "
         "protocol, and how were disagreements settled?"),
        ("reference", "agreement", "How well do the graders agree with each other, and each with "
         "themselves?"),
        ("training", "sample_size", "How was the number of photographs decided?"),
        ("training", "machine", "On which machine was it trained: processor, GPU, memory?"),
        ("limitations", "groups", "Which patients may it serve worse, and what was done about "
         "it?"),
        ("limitations", "use", "What must users know or do when a photograph is poor, or when they "
         "disagree with the model?"),
        ("other", "ethics", "Which ethics committee approved the use of the photographs, and how "
         "was consent given or waived?"),
        ("other", "funding", "Who funded the work, and what was their part in it?"),
        ("other", "interests", "Which conflicts of interest do the authors have?"),
        ("other", "protocol", "Where are the study protocol and its registration?"),
        ("other", "involvement", "How were patients and the public involved?"),
        ("other", "data_and_code", "Where are data, code and weights, and who may have them?"),
        ("other", "licence", "Under which licence are the weights given (Hugging Face's name of "
         "it, such as apache-2.0, or your own)?"),
        ("other", "contact", "Whom to ask, and how?"),
    )
)  # fmt: skip
Answers = Mapping[str, str]  # Question.name -> its answer; those without one are not in it


def write_questions(path: Path, model: str) -> None:
    """Creates the file of answers, all empty. Raises MachineError where that fails."""
    lines = [
        f"# What only a person knows of the model {visible(model)}, for its model card.",
        "# Answer between the quotes, or between three quotes for several lines, and make the card",
        '# again: python -m dr_ovo card. It shows "" as not answered, and never changes this file.',
    ]
    for table in dict.fromkeys(question.table for question in QUESTIONS):
        lines += ["", f"[{table}]"]
        for question in QUESTIONS:
            if question.table == table:
                lines += [f"# {question.words}", f'{question.key} = ""']
    atomic_write_text(path, "\n".join(lines) + "\n")


def read_answers(path: Path) -> Answers:
    """The answers in a file. Raises UserError where it can't be read, or answers another question
    than those asked."""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"more than {LARGEST >> 20} MB")
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:  # its message names line and column
        raise UserError(f"{path}: not valid TOML: {error}. {FIX}") from None
    known = {question.name for question in QUESTIONS}
    found = {}
    for name, answer in _flat(path, data):
        if name not in known:
            raise UserError(
                f"{path}: there is no question '{name}'. The questions: "
                f"{', '.join(question.name for question in QUESTIONS)}."
            )
        if not isinstance(answer, str):
            raise UserError(f'{path}: {name} = {answer!r}; expected text in quotes, "...".')
        if answer.strip():
            found[name] = answer.strip()
    return found


FIX = "Correct that line, or move the file away to have the questions asked anew."


def _flat(path: Path, data: Mapping[str, Any]) -> list[tuple[str, Any]]:
    for table, content in data.items():
        if not isinstance(content, dict):
            raise UserError(f"{path}: '{table}' is in no table; expected it under one, [data].")
    return [(f"{table}.{key}", one) for table, own in data.items() for key, one in own.items()]


def asked(table: str, answers: Answers) -> Sequence[tuple[Question, str | None]]:
    """The questions of a table, each with its answer; None where it has none."""
    return [(one, answers.get(one.name)) for one in QUESTIONS if one.table == table]
