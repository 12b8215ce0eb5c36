"""What a label means as a grade: ICDR's five by number and word, or classes of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dr_ovo.dataset.words import (
    NUM_GRADES,
    comparable,
    grade_of,
    has_no_grade,
    is_unknown,
    number_of,
)

GRADED, MISSING, OUTSIDE, UNKNOWN = "graded", "missing", "outside", "unknown"


@dataclass(frozen=True)
class Reading:
    """What a cell says: GRADED with its grade, else MISSING, OUTSIDE (a number) or UNKNOWN."""

    kind: str
    grade: int | None = None


@dataclass(frozen=True)
class GradeScale:
    """The meaning of labels. Without arguments: grades 0 to 4, by number or by ICDR's words.

    `class_names` are N classes, mildest first; the grades are then 0 to N - 1, or the names.
    `mapped` has labels as `label_key` writes them, with their grade, or None for no grade.
    `joined` maps ICDR's grades to classes; where there is one, other numbers have no meaning.
    """

    class_names: tuple[str, ...] = ()
    mapped: Mapping[str, int | None] = field(default_factory=dict)
    joined: Mapping[int, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The number of grades."""
        return len(self.class_names) or NUM_GRADES

    @property
    def is_given(self) -> bool:
        """Whether the user said which labels are grades, so that nothing about them is guessed.

        A label that is said to be none (`x=-`) tells nothing of the others.
        """
        return bool(self.class_names) or any(grade is not None for grade in self.mapped.values())

    def folder(self, grade: int) -> str:
        """The name of a grade's folder, in which training finds it."""
        return self.class_names[grade] if self.class_names else str(grade)

    def says_no_grade(self, label: str) -> bool:
        """Whether the user said that a label is no grade."""
        key = label_key(label)
        return key in self.mapped and self.mapped[key] is None

    def read(self, text: str) -> Reading:
        """What the text of a cell says."""
        key = label_key(text)
        if key in self.mapped:
            grade = self.mapped[key]
            return Reading(MISSING) if grade is None else Reading(GRADED, grade)
        if key not in self._names and has_no_grade(text):
            return Reading(MISSING)
        # "none" may mean a healthy eye or a missing value.
        vague = is_unknown(text) and key not in self._names
        grade = None if vague else self.grade_of_name(text)
        if grade is not None:
            return Reading(GRADED, grade)
        return Reading(UNKNOWN if number_of(text) is None else OUTSIDE)

    def grade_of_name(self, name: str) -> int | None:
        """The grade for the name of a folder, or for a cell that says one; None for others."""
        key = label_key(name)
        if key in self.mapped:
            return self.mapped[key]
        if key in self._names:
            return self._names[key]
        number = number_of(name)
        if self.joined or not self.class_names:
            grade = icdr_grade(name)
            return self.joined.get(grade, None) if self.joined and grade is not None else grade
        if number is not None:
            numbered = any(number_of(name) is not None for name in self.class_names)
            return int(number) if number in range(self.size) and not numbered else None
        # With --class_names No_DR ... a cell "Normal" means No_DR: both are ICDR's grade 0.
        word = grade_of(name)
        alike = [at for at, own in enumerate(self.class_names) if word == grade_of(own)]
        return alike[0] if word is not None and len(alike) == 1 else None

    @property
    def _names(self) -> dict[str, int]:
        return {label_key(name): grade for grade, name in enumerate(self.class_names)}


def label_key(text: str) -> str:
    """A label as it is compared: "2", "2.0" and "2,0" are one label, so are "No DR" and "no_dr"."""
    number = number_of(text)
    return f"{number:g}" if number is not None else comparable(text) or text.strip()


def icdr_grade(text: str) -> int | None:
    """ICDR's grade by number, by name, or by both (`2 - Moderate NPDR`) where they agree."""
    number = number_of(text)
    if number is not None:
        return int(number) if number in range(NUM_GRADES) else None
    word = comparable(text)
    if word[:1].isdecimal() and grade_of(word[1:]) == int(word[0]):
        return int(word[0])
    return grade_of(text)
