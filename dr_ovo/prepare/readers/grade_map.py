"""--class_names and --grade_map: the scale that a user describes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from dr_ovo.dataset.words import NUM_GRADES, number_of
from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.grade_scale import GradeScale, icdr_grade, label_key
from dr_ovo.settings.checks import check_class_names

NO_GRADE = "-"  # `--grade_map other=-`: the label says that there is no grade
MAP_EXAMPLE = "--grade_map R0=0 R1=1 R2=3 R3=4"


def scale_of(class_names: Sequence[str], grade_map: Sequence[str]) -> GradeScale:
    """The scale that --class_names and --grade_map describe.

    A right side of the map is a grade, a class, or NO_GRADE. A name that is neither a grade nor in
    `class_names` makes a class: ICDR's grades that no rule names stay classes of their own, and all
    are ordered by their lowest grade; classes made of other labels are in the order of the rules.
    Raises UserError for rules that can't be read or contradict each other.
    """
    rules = [parse_rule(item) for item in grade_map]
    labels = {label: target for many, target in rules for label in many}
    if sum(len(many) for many, _ in rules) > len({label_key(label) for label in labels}):
        raise UserError(f"--grade_map {' '.join(grade_map)}: a label has two meanings.")
    named = [target for target in labels.values() if target != NO_GRADE]
    if not class_names and all(icdr_grade(target) is not None for target in named):
        return GradeScale((), _numbered(labels, icdr_grade))
    if not class_names:
        _refuse_numbers(named)
    grades = {label: icdr_grade(label) for label, to in labels.items() if to != NO_GRADE}
    joins = bool(named) and all(grade is not None for grade in grades.values())
    names = tuple(class_names) or _derived_names(labels, grades if joins else {})
    _check_names(names)
    plain = GradeScale(names)
    unknown = [target for target in named if plain.grade_of_name(target) is None]
    if unknown:
        raise UserError(
            f"--grade_map: {unknown[0]} is not one of the classes ({', '.join(names)}). Name a "
            f"class, its number from 0 to {len(names) - 1}, or {NO_GRADE} for no grade."
        )
    mapped = _numbered(labels, plain.grade_of_name)
    return GradeScale(names, mapped, _joined(names, labels, mapped) if joins else {})


def parse_rule(item: str) -> tuple[list[str], str]:
    """The labels on the left of a rule such as `1,2,3=NPDR`, and what stands on its right. Raises
    UserError for what is no rule."""
    left, equals, target = item.rpartition("=")
    labels = [label.strip() for label in left.split(",")]
    if not equals or not target.strip() or not all(labels):
        raise UserError(
            f"--grade_map {item}: expected LABEL=GRADE or LABEL,LABEL=CLASS, such as "
            f"{MAP_EXAMPLE}, or 1,2,3=NPDR."
        )
    return labels, target.strip()


def _check_names(names: Sequence[str]) -> None:
    check_class_names(names, len(names))
    if len(names) < 2 or len({label_key(name) for name in names}) < len(names):
        raise UserError(f"--class_names {' '.join(names)}: expected two or more different names.")


def _refuse_numbers(targets: Iterable[str]) -> None:
    for target in targets:
        if number_of(target) is not None and icdr_grade(target) is None:
            raise UserError(
                f"--grade_map ...={target}: expected a grade from 0 to {NUM_GRADES - 1}, the name "
                f"of a class, or {NO_GRADE} for no grade."
            )


def _numbered(
    labels: Mapping[str, str], grade_of_target: Callable[[str], int | None]
) -> dict[str, int | None]:
    return {
        label_key(label): None if target == NO_GRADE else grade_of_target(target)
        for label, target in labels.items()
    }


def _derived_names(labels: Mapping[str, str], grades: Mapping[str, int | None]) -> tuple[str, ...]:
    """The classes that a map makes; `grades`: ICDR's grades of its labels, where all have one."""
    if not grades:
        return tuple(dict.fromkeys(to for to in labels.values() if to != NO_GRADE))
    own = [str(grade) for grade in range(NUM_GRADES) if grade not in _grades_of(labels)]
    lowest = {name: int(name) for name in own}
    for label, grade in grades.items():
        assert grade is not None
        lowest[labels[label]] = min(grade, lowest.get(labels[label], grade))
    return tuple(sorted(lowest, key=lambda name: lowest[name]))


def _grades_of(labels: Iterable[str]) -> set[int]:
    return {grade for label in labels if (grade := icdr_grade(label)) is not None}


def _joined(
    names: Sequence[str], labels: Mapping[str, str], mapped: Mapping[str, int | None]
) -> dict[int, int]:
    """ICDR's grade -> class. Grades that no rule names go to the classes that none names, in
    order; where their numbers differ, they have no class."""
    joined = {
        grade: target
        for label in labels
        if (grade := icdr_grade(label)) is not None
        and (target := mapped[label_key(label)]) is not None
    }
    free = [grade for grade in range(NUM_GRADES) if grade not in _grades_of(labels)]
    rest = [number for number in range(len(names)) if number not in joined.values()]
    if len(free) == len(rest):
        joined |= dict(zip(free, rest, strict=True))
    return joined
