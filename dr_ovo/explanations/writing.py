"""A folder of maps: numbers and strip of each photograph, figures of the first, and what is said
of all."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from dr_ovo import __version__
from dr_ovo.errors import MachineError, UserError, disk_advice
from dr_ovo.explanations.explained import QUADRANTS, Explanation
from dr_ovo.explanations.overlay import LARGE_SIDE, figure, pictures, strip
from dr_ovo.files import atomic_write_bytes, write_json
from dr_ovo.json_files import read_as
from dr_ovo.locks.folders import is_lock
from dr_ovo.photographs.thumbnail import Thumbnail
from dr_ovo.results.maps_file import FILE, LINES, PAGE, SCHEMA, MapsFile

FIGURES = 200  # photographs with a figure, which takes ten times as long as the rest
LONGEST = 120  # bytes of a file name, without its suffix
FIGURE, STRIP, VALUES = ".png", ".jpg", ".npy"
SMALLEST_TOTAL = 0.05  # of all that quadrants contribute, below which shares of it mean nothing


@dataclass(frozen=True)
class Mapped:
    """A photograph's path below the common folder, its line in maps.jsonl, and its strip."""

    name: str
    entry: dict[str, Any]
    strip: Thumbnail


@dataclass
class MapsFolder:
    """A folder with the maps of photographs; `names` are their paths below a common folder.

    `about`: what maps.json says of all of them, with the digests of the `checkpoints`.
    """

    root: Path
    names: Sequence[str]
    class_names: Sequence[str]
    marks: Sequence[str]
    about: dict[str, Any]
    count: int = 0  # photographs so far

    def begin(self) -> None:
        """Removes the maps of an earlier run. Raises UserError for a folder with anything else."""
        remove_maps(self.root)
        self.stems = file_stems(self.names)
        about = {"schema": SCHEMA, "version": __version__, "marks": [*self.marks], **self.about}
        about["class_names"] = [*self.class_names]
        write_json(self.root / FILE, {**about, "stems": self.stems})
        atomic_write_bytes(self.root / LINES, b"")

    def add(self, place: int, explanation: Explanation) -> Mapped | None:
        """Writes the files of a photograph; None where it can't be read any more. Raises
        MachineError where the disk refuses."""
        found = pictures(explanation, LARGE_SIDE)
        if found is None:
            return None
        stem, small = self.stems[place], strip(found)
        atomic_write_bytes(self.root / f"{stem}{STRIP}", small.jpeg)
        has_figure = self.count < FIGURES
        if has_figure:
            drawn = figure(explanation, found, self.class_names, self.marks)
            atomic_write_bytes(self.root / f"{stem}{FIGURE}", drawn)
        several = len(explanation.networks) > 1
        networks = []
        for number, seen in enumerate(explanation.networks):
            file = f"{stem}.{number + 1}{VALUES}" if several else f"{stem}{VALUES}"
            atomic_write_bytes(self.root / file, _npy(seen.values))
            networks.append(
                {
                    "values": file,
                    "weight": float(explanation.weights[number]),
                    "answers": seen.outputs.tolist(),
                    "crop": seen.geometry.crop._asdict(),
                    "square": seen.geometry.square._asdict(),
                    "grid": seen.grid._asdict(),
                }
            )
        entry = {
            "file": str(explanation.path.absolute()),
            "grade": explanation.grade,
            "rival": explanation.rival,
            "questions": answers_of(explanation),
            "adds_up": explanation.is_exact,
            "figure": f"{stem}{FIGURE}" if has_figure else None,
            "strip": f"{stem}{STRIP}",
            "networks": networks,
        }
        append_line(self.root / LINES, entry)
        self.count += 1
        return Mapped(self.names[place], entry, small)


def append_line(path: Path, entry: dict[str, Any]) -> None:
    """Adds a line of JSON to a file. Raises MachineError where the disk refuses."""
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(json.dumps(entry, allow_nan=False) + "\n")
    except OSError as error:
        raise MachineError(
            f"{path} could not be written: {error.strerror or error}. {disk_advice(error.errno)}"
        ) from error


def remove_maps(root: Path) -> None:
    """Removes the maps of an earlier run from a folder, if there are any. Raises UserError for a
    folder with anything else."""
    before = earlier_maps(root)
    if before is not None:
        own = (root / LINES, root / PAGE, *_files_of(root, set(before.stems)), root / FILE)
        for file in own:  # the file that names the others last
            file.unlink(missing_ok=True)


def earlier_maps(root: Path) -> MapsFile | None:
    """What an earlier run says of its maps in a folder; None for one that is new or empty. Raises
    UserError for a folder with anything else."""
    path = root / FILE
    if path.is_file():
        return read_as(path, MapsFile, "Remove the folder, or give another --output.")
    if root.is_dir() and any(not is_lock(one.name) for one in root.iterdir()):
        raise UserError(
            f"{root} holds other files, and no {FILE}: give another --output, which is new or "
            "empty."
        )
    return None


def answers_of(explanation: Explanation) -> list[dict[str, Any]]:
    """Each question with its answer, and what the quadrants contribute to it."""
    found = []
    rows = zip(
        explanation.questions, explanation.outputs, explanation.rest, explanation.quadrants,
        strict=True,
    )  # fmt: skip
    for question, output, rest, quadrants in rows:
        total = float(quadrants.sum())
        told = abs(total) > SMALLEST_TOTAL * float(np.abs(quadrants).sum())
        found.append(
            {
                "kind": question.kind,
                "for": question.words,
                "answer": float(output),
                "places": total,
                "rest": float(rest),
                "limit": question.limit,
                "quadrants": {
                    name: {"logit": float(own), "share": float(own) / total if told else None}
                    for name, own in zip(QUADRANTS, quadrants, strict=True)
                },
            }
        )
    return found


def file_stems(names: Iterable[str]) -> list[str]:
    """A file name without suffix for each photograph, by its path below the folder of all: its
    parts joined, and numbered where two would be the same."""
    found: dict[str, None] = {}
    for name in names:
        plain = re.sub(r"[^\w-]+", "_", str(PurePosixPath(name).with_suffix("")))
        stem = plain.encode()[-LONGEST:].decode(errors="ignore")
        own, number = stem, 1
        while own in found:
            number += 1
            own = f"{stem}-{number}"
        found[own] = None
    return list(found)


def _files_of(folder: Path, stems: set[str]) -> list[Path]:
    """The files of these photographs in a folder."""
    named = [(path, re.sub(r"\.\d+$", "", path.stem)) for path in folder.iterdir()]
    kinds = (FIGURE, STRIP, VALUES)
    return [path for path, stem in named if stem in stems and path.suffix in kinds]


def _npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values.astype(np.float64), allow_pickle=False)
    return buffer.getvalue()
