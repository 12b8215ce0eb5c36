"""`--grade_map` of an evaluation: which grades of the model are which class of another data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dr_ovo.dataset.words import number_of
from dr_ovo.decoding.tempering import log_probabilities
from dr_ovo.errors import UserError
from dr_ovo.predictions.predictions_file import Predictions, take
from dr_ovo.prepare.readers.grade_map import parse_rule
from dr_ovo.prepare.readers.grade_scale import GradeScale, label_key

EXAMPLE = "--grade_map 0=0 1,2,3=NPDR 4=PDR"


@dataclass(frozen=True)
class ClassMap:
    """The C `grades` of a model, and the M classes that a data set makes of them: their `names`
    (M,), mildest first, and the class of each grade, `class_of` (C,), which never decreases."""

    grades: tuple[str, ...]
    names: tuple[str, ...]
    class_of: tuple[int, ...]

    @property
    def merges(self) -> bool:
        """Whether a class holds several grades."""
        return len(self.names) < len(self.grades)

    def members(self, number: int) -> list[int]:
        """The grades in a class, the mildest first."""
        return [grade for grade, own in enumerate(self.class_of) if own == number]

    def hidden(self, grade: int) -> str:
        """Why a grade can't be told from others in the data set; "" where it is a class."""
        members = self.members(self.class_of[grade])
        if len(members) == 1:
            return ""
        return f"{self._listed(members)} are one class there, {self.names[self.class_of[grade]]}"

    def hidden_boundary(self, grade: int) -> str:
        """Why `grade` and worse can't be told from milder grades; "" where a class begins there."""
        return self.hidden(grade) if self.class_of[grade - 1] == self.class_of[grade] else ""

    def summed(self, probabilities: np.ndarray) -> np.ndarray:
        """The probabilities (N, M) of the classes, from those of the grades (N, C)."""
        if not self.merges:
            return probabilities
        belongs = np.array(self.class_of)[:, None] == np.arange(len(self.names))
        return np.asarray(probabilities @ belongs)

    def class_of_folder(self, folder: str) -> int | None:
        """The class for the name of a folder, by that name or by ICDR's words; None for others."""
        keys = [label_key(name) for name in self.names]
        if label_key(folder) in keys:
            return keys.index(label_key(folder))
        return GradeScale(self.names).grade_of_name(folder) if number_of(folder) is None else None

    def _listed(self, grades: Sequence[int]) -> str:
        *first, last = (self.grades[grade] for grade in grades)
        return f"grades {', '.join(first)} and {last}"


def class_map(grades: Sequence[str], grade_map: Sequence[str]) -> ClassMap:
    """The classes that the rules of `--grade_map` make of a model's grades; without any, its own.

    Raises UserError for rules that can't be read, for a grade in two rules or in none, and for a
    class whose grades are not neighbours.
    """
    names = tuple(grades)
    if not grade_map:
        return ClassMap(names, names, tuple(range(len(names))))
    said, scale = f"--grade_map {' '.join(grade_map)}", GradeScale(names)
    target_of: dict[int, str] = {}
    for labels, target in map(parse_rule, grade_map):
        for label in labels:
            grade = scale.grade_of_name(label)
            if grade is None:
                raise UserError(
                    f"{said}: {label} is not one of the model's grades ({', '.join(names)}). These "
                    f"stand on the left, and the classes of --external on the right: {EXAMPLE}."
                )
            if grade in target_of:
                raise UserError(f"{said}: grade {names[grade]} stands in two rules.")
            target_of[grade] = target
    if missing := [name for grade, name in enumerate(names) if grade not in target_of]:
        raise UserError(
            f"{said}: no rule says what grade {', '.join(missing)} is in --external. Every grade "
            f"of the model needs a class, such as in {EXAMPLE}."
        )
    keys = [label_key(target_of[grade]) for grade in range(len(names))]
    classes = list(dict.fromkeys(keys))
    numbers = tuple(classes.index(key) for key in keys)
    if list(numbers) != sorted(numbers):
        raise UserError(
            f"{said}: the grades of a class must be neighbours, so that the classes have an order."
        )
    if len(classes) < 2:
        raise UserError(f"{said}: expected two or more classes.")
    return ClassMap(names, tuple(target_of[keys.index(key)] for key in classes), numbers)


def require_classes(classes: ClassMap, folders: Iterable[str], root: str, *, mapped: bool) -> None:
    """Raises UserError where the `folders` at `root` are not these classes: for a folder that is
    none, and, unless the user `mapped` them, for a class without a folder."""
    folders = sorted(folders)
    found = {folder: classes.class_of_folder(folder) for folder in folders}
    unknown = [folder for folder, number in found.items() if number is None]
    absent = [n for i, n in enumerate(classes.names) if i not in found.values()]
    if not unknown and (mapped or not absent):
        return
    if mapped:
        raise UserError(
            f"--external {root}: {', '.join(unknown)} is none of the classes that --grade_map "
            f"names ({', '.join(classes.names)}). Name every folder with photographs on the right "
            f"of a rule, such as in {EXAMPLE}."
        )
    same = " ".join(f"{name}={name}" for name in classes.grades)
    raise UserError(
        f"--external {root} has the classes {', '.join(folders) or 'none'}, and the model has "
        f"{', '.join(classes.grades)}. Say which grades of the model are which class there, grades "
        f"of one class with commas: {EXAMPLE}. If the grades are the same and some have no "
        f"photograph: --grade_map {same}."
    )


@dataclass(frozen=True, eq=False)
class Merged:
    """A model's predictions in the classes of a data set: `of_classes` has M classes.

    `of_grades` has the model's own grades, with the mildest grade of a photograph's class as its
    true grade: right for what depends only on grades that are classes by themselves, or on a
    boundary between classes.
    """

    classes: ClassMap
    of_classes: Predictions
    of_grades: Predictions

    def take(self, keep: np.ndarray) -> Merged:
        """The photographs at the positions, or of the mask, `keep`."""
        return Merged(self.classes, take(self.of_classes, keep), take(self.of_grades, keep))


def merged(predictions: Predictions, classes: ClassMap, targets: np.ndarray) -> Merged:
    """Predictions (N, C) merged into classes, of which `targets` (N,) are the true ones.

    The probability of a class is the sum of its grades', its grade follows from the predicted one.
    """
    mildest = np.array([classes.members(number)[0] for number in range(len(classes.names))])
    of_grades = replace(predictions, targets=mildest[targets])
    if not classes.merges:
        return Merged(classes, of_grades, of_grades)
    probabilities = classes.summed(predictions.probabilities)
    of_classes = replace(
        predictions,
        head="ensemble",
        class_names=np.array(classes.names),
        targets=targets,
        predicted=np.array(classes.class_of)[predictions.predicted],
        pairs=np.zeros((0, 2), dtype=np.int64),
        logits=log_probabilities(probabilities),
        probabilities=probabilities,
    )
    return Merged(classes, of_classes, of_grades)
