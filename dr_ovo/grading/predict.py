"""`predict.py`: a folder with rows for photographs, eyes and patients, a summary and a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dr_ovo.dataset.input_images import PathNames, common_folder
from dr_ovo.distributed.launch import Launch
from dr_ovo.document.page import page, write_page
from dr_ovo.errors import UserError, log
from dr_ovo.explanations.explain import strips_of
from dr_ovo.explanations.explained import Explainer, rivals_of
from dr_ovo.explanations.writing import earlier_maps, remove_maps
from dr_ovo.files import write_json
from dr_ovo.grading.first_reader import COLUMNS, Compared, FirstReader, compare, read_first_reader
from dr_ovo.grading.job.run import Finished, GradedRows, grade_photographs
from dr_ovo.grading.row_files import Cells, Row, photograph_cells, subject_cells, write_rows
from dr_ovo.grading.rules import Rules
from dr_ovo.grading.sheet import sheet, statements, worst
from dr_ovo.grading.subjects import Owners, Subject, eyes, patients
from dr_ovo.grading.workload import own_test
from dr_ovo.inference.ensemble import Ensemble
from dr_ovo.photographs.thumbnail import Thumbnail
from dr_ovo.predictions.verdict import Verdict
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.maps_file import FILE as MAPS_FILE
from dr_ovo.results.maps_file import FOLDER as MAPS
from dr_ovo.settings.command_line import Settings
from dr_ovo.tables import table, wrapped
from dr_ovo.training.setup import choose_device
from dr_ovo.writable import check_writable_folder

SCHEMA = 1


@dataclass(frozen=True)
class Request:
    """Where to write, the coverage of the sets, the first reader's file, if there is one, and the
    step of maps in pixels of the network's input; None: no maps."""

    output: Path
    coverage: float
    first_reader: Path | None
    map_stride: int | None = None


@dataclass
class _Folder:
    """The folder of a reading."""

    of_damaged: ClassVar[str] = "are ungradable"
    request: Request
    evaluated: ResultsFolder
    reader: FirstReader | None = None
    explainer: Explainer | None = None
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.request.output / "photographs.csv"

    def write(self, finished: Finished) -> None:
        """Writes the files; the page last."""
        rules, rows = finished.rules, finished.rows
        owners = Owners(rows.images)
        self._write("photographs", _photographs(self._counted(rows), owners, rules))
        self._write("eyes", self._subjects("eyes", eyes(owners, rows), rules))
        self._write("patients", self._subjects("patients", patients(owners, rows), rules))
        compared = self._compare(owners, rows, rules)
        summary = self._summary(finished, compared)
        write_json(self.request.output / "summary.json", summary)
        shown = [(owners.name(place), *owners.of(place), row) for place, row in worst(rows)]
        strips = self._strips([row for *_, row in shown])
        adds_up = self.explainer is None or self.explainer.adds_up
        report = sheet(rules, summary, shown, finished.damaged, strips, adds_up=adds_up)
        about = f"{rules.members} network{'s' * (rules.members > 1)}, version {rules.version}"
        write_page(page(report.title, about, [report]), self.request.output / "sheet.html")
        self._say(rules, summary)

    def _strips(self, rows: Sequence[Row]) -> dict[Path, Thumbnail]:
        """Of the photographs on the page the maps, where they are wanted; writes these."""
        graded = [row for row in rows if row.reading.grade is not None]
        if self.explainer is None or not graded:
            if (self.request.output / MAPS / MAPS_FILE).is_file():  # of an earlier reading
                remove_maps(self.request.output / MAPS)
            return {}
        paths = [row.path for row in graded]
        grades = np.array([row.reading.grade for row in graded])
        rivals = rivals_of(np.array([row.reading.probabilities for row in graded]), grades)
        asked = grades.tolist(), rivals.tolist()
        strips = strips_of(self.request.output / MAPS, self.explainer, paths, *asked)
        return {path: one for path, one in zip(paths, strips, strict=True) if one is not None}

    def _compare(self, owners: Owners, rows: GradedRows, rules: Rules) -> Compared | None:
        reader, path = self.reader, self.request.output / "disagreements.csv"
        path.unlink(missing_ok=True)  # of an earlier reading
        if reader is None:
            return None
        compared = compare(eyes(owners, rows), reader.by_place(rows.images), rules)
        write_rows(path, compared.disagreements, columns=COLUMNS)
        return compared

    def _counted(self, rows: GradedRows) -> Iterator[Any]:
        counter = self.counts.setdefault("photographs", Counter())
        for row in rows:
            counter[row.reading.verdict] += 1
            yield row

    def _subjects(self, kind: str, subjects: Iterator[Subject], rules: Rules) -> Iterator[Cells]:
        counter = self.counts.setdefault(kind, Counter())
        for one in subjects:
            counter[one.reading.verdict] += 1
            own: Cells = {"patient": one.patient}
            if one.eye is not None:
                own["eye"] = one.eye
            own |= {"pictures": len(one.places), "pictures_used": one.used}
            yield subject_cells(own, one.reading, one.date, rules)

    def _write(self, name: str, cells: Iterator[Cells]) -> None:
        folder = self.request.output
        write_rows(folder / f"{name}.csv", cells, folder / f"{name}.jsonl")

    def _summary(self, finished: Finished, compared: Compared | None) -> dict[str, Any]:
        rules = finished.rules
        summary: dict[str, Any] = {
            "schema": SCHEMA,
            "models": rules.models,
            "version": rules.version,
            "marks": list(rules.marks),
            "counts": {kind: dict(counter) for kind, counter in self.counts.items()},
            "own_test": own_test(self.evaluated, rules),
            "damaged": [{"file": str(one.path), "reason": one.reason} for one in finished.damaged],
        }
        if compared is not None:
            count = len(compared.disagreements)
            summary["first_reader"] = {**compared.report, "disagreements": count}
        return summary

    def _say(self, rules: Rules, summary: dict[str, Any]) -> None:
        counts = summary["counts"]
        rows = [
            [str(verdict), *(f"{counts[kind].get(verdict, 0):,}" for kind in counts)]
            for verdict in Verdict
        ]
        log.info("%s", table(["verdict", *counts], rows))
        for said in statements(rules, summary)[:-1]:  # the last is said at the end
            log.info("%s", wrapped(said))
        log.info(
            "Written to %s: sheet.html, summary.json, %sand photographs, eyes and patients as .csv "
            "and .jsonl",
            self.request.output,
            "" if self.explainer is None else "maps, ",
        )


def predict(settings: Settings, launch: Launch, request: Request) -> int:
    """Grades the photographs of `--input` into a folder."""

    def target(ensemble: Ensemble, images: PathNames) -> _Folder:
        if ensemble.calibration is None:
            raise UserError(
                f"There are no operating points: {ensemble.uncalibrated}. A verdict needs them."
            )
        reader = None
        if request.first_reader is not None and launch.is_first:
            folder, classes = common_folder(images), ensemble.class_names
            reader = read_first_reader(request.first_reader, folder, images, classes)
        explainer = None
        if request.map_stride is not None and launch.is_first:
            check_writable_folder(request.output / MAPS, "--output")
            earlier_maps(request.output / MAPS)  # other files there are refused now, not at the end
            explainer = Explainer(ensemble, choose_device(settings.config), request.map_stride)
        return _Folder(request, ensemble.evaluated, reader, explainer)

    return grade_photographs(settings, launch, target, request.coverage)


def _photographs(rows: Iterator[Any], owners: Owners, rules: Rules) -> Iterator[Cells]:
    for place, row in enumerate(rows):
        yield photograph_cells(row, *owners.of(place), rules)
