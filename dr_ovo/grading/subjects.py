"""Which eye and patient each photograph is of, and what is said of these."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np

from dr_ovo.dataset.input_images import common_folder
from dr_ovo.dataset.patients_and_eyes import patient_and_eye, patients_and_eyes_of
from dr_ovo.grading.reading import Reading, joint_reading
from dr_ovo.grading.row_files import Row


class Rows(Protocol):
    """The rows of photographs by their places."""

    def __getitem__(self, place: int) -> Row: ...


@dataclass(frozen=True)
class Subject:
    """An eye, or a patient where `eye` is None: its `places` among the photographs, how many of
    them count, and what is said of it. `eye` is "" where names don't tell it."""

    patient: str
    eye: str | None
    places: tuple[int, ...]
    used: int
    reading: Reading
    date: str


class Owners:
    """Patient and eye of each photograph by the names of all of them; a photograph whose name tells
    no patient is a patient of its own, and one whose name tells no eye an eye of its own.

    To take two patients for one would mix their verdicts. So where a file's own name says patient
    and eye (`10_left`), folders only add to that.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._top = common_folder(paths)
        self._paths = paths
        places = [PurePosixPath(self.name(place)) for place in range(len(paths))]
        found = patients_and_eyes_of(places)
        names, eyes = [], []
        for place, (patient, eye) in zip(places, found, strict=True):
            of_name, eye_of_name = patient_and_eye(place.stem, "")
            if of_name and patient != of_name:
                patient, eye = f"{patient}/{of_name}" if patient else of_name, eye_of_name
            names.append(patient or str(place))
            eyes.append(eye)
        self.patients, self._patient = np.unique(np.array(names), return_inverse=True)
        self.eyes, self._eye = np.unique(np.array(eyes), return_inverse=True)

    def name(self, place: int) -> str:
        """The path of a photograph below the folder that holds all of them."""
        return os.path.relpath(self._paths[place], self._top)

    def of(self, place: int) -> tuple[str, str]:
        """Patient and eye ("left", "right" or "") of the photograph at a place."""
        return str(self.patients[self._patient[place]]), str(self.eyes[self._eye[place]])

    def eyes_of_patients(self) -> Iterator[list[tuple[str, str, list[int]]]]:
        """For each patient, by name, the eyes: patient, eye and the places of its photographs."""
        order = np.lexsort((np.arange(len(self._eye)), self._eye, self._patient))
        keys = self._patient[order] * len(self.eyes) + self._eye[order]
        eyes = np.split(order, np.flatnonzero(np.diff(keys)) + 1)
        current: list[tuple[str, str, list[int]]] = []
        for places in eyes:
            patient, eye = self.of(int(places[0]))
            if current and current[0][0] != patient:
                yield current
                current = []
            parts = [places.tolist()] if eye else [[place] for place in places.tolist()]
            current += [(patient, eye, part) for part in parts]
        yield current


def eyes(owners: Owners, rows: Rows) -> Iterator[Subject]:
    """The eyes, by patient."""
    for own in owners.eyes_of_patients():
        yield from _eyes(own, rows)


def patients(owners: Owners, rows: Rows) -> Iterator[Subject]:
    """The patients, by name."""
    for own in owners.eyes_of_patients():
        parts = list(_eyes(own, rows))
        yield Subject(
            parts[0].patient,
            None,
            tuple(sorted(place for part in parts for place in part.places)),
            sum(part.used for part in parts),
            joint_reading([part.reading for part in parts]),
            max(part.date for part in parts),
        )


def _eyes(own: Sequence[tuple[str, str, list[int]]], rows: Rows) -> Iterator[Subject]:
    for patient, eye, places in own:
        found = [rows[place] for place in places]
        readings = [row.reading for row in found]
        used = sum(one.gradable for one in readings)
        date = max(row.date for row in found)
        yield Subject(patient, eye, tuple(places), used, joint_reading(readings), date)
