"""The page of maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dr_ovo.document.document import Column, Picture, Report, Section, Table
from dr_ovo.explanations.questions import in_words
from dr_ovo.explanations.words import STRIP_TITLE, how_to_read, strip_text
from dr_ovo.explanations.writing import Mapped


def page_of(
    count: int,
    shown: Sequence[Mapped],
    class_names: Sequence[str],
    marks: Sequence[str],
) -> Report:
    """The report on `count` photographs, of which some are `shown`."""
    paragraphs = how_to_read(all(one.entry["adds_up"] for one in shown))
    columns = [
        Column("file", "file"), Column("maps", STRIP_TITLE),
        Column("grade", "grade"), Column("rival", "other grade"),
        Column("answer", "for the grade", "signed_decimal"),
        Column("against", "against the other", "signed_decimal"),
        Column("quadrant", "of which most by"),
    ]  # fmt: skip
    rows: list[list[Any]] = []
    for one in shown:
        entry, small, name = one.entry, one.strip, one.name
        grade, rival = (class_names[entry[key]] for key in ("grade", "rival"))
        picture = Picture(
            small.jpeg,
            small.width,
            small.height,
            strip_text(name, in_words(grade), in_words(rival)),
        )
        both = [question["answer"] for question in entry["questions"]]
        rows.append([name, picture, grade, rival, *both, _largest(entry["questions"][-1])])
    title = f"{len(rows):,} of {count:,} photographs" if len(rows) < count else "The photographs"
    note = (
        "Answers are sums of logits, or the number of a regression head. All numbers are in "
        "maps.jsonl and in the .npy files."
    )
    section = Section("Maps", paragraphs, [Table("maps", title, columns, rows, note)])
    return Report("maps", f"Why these grades: {count:,} photographs", {}, [section], tuple(marks))


def _largest(question: Mapping[str, Any]) -> str:
    """The quadrant that speaks most for the answer."""
    name, own = max(question["quadrants"].items(), key=lambda item: item[1]["logit"])
    return f"{name} ({own['logit']:+.2f})"
