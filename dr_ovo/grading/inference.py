"""`--mode inference`: one CSV with a row for each photograph that could be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dr_ovo.distributed.launch import Launch
from dr_ovo.errors import log
from dr_ovo.grading.job.run import Finished, grade_photographs
from dr_ovo.grading.row_files import photograph_cells, write_rows
from dr_ovo.grading.subjects import Owners
from dr_ovo.predictions.conformal import COVERAGE
from dr_ovo.settings.command_line import Settings
from dr_ovo.writable import check_writable_file


@dataclass(frozen=True)
class _Table:
    """A CSV of photographs."""

    of_damaged: ClassVar[str] = "are left out"
    file: Path

    def write(self, finished: Finished) -> None:
        """Writes the CSV."""
        owners = Owners(finished.rows.images)
        rows = (
            photograph_cells(row, *owners.of(place), finished.rules)
            for place, row in enumerate(finished.rows)
            if row.reading.grade is not None
        )
        write_rows(self.file, rows)
        if finished.rules.uncalibrated:
            log.warning("No operating points, so no verdicts: %s", finished.rules.uncalibrated)
        log.info("%d photographs graded: %s", finished.count, self.file)


def inference(settings: Settings, launch: Launch) -> int:
    """Grades the photographs of `--input`."""
    output = settings.config.output
    if output:
        check_writable_file(Path(output), "--output")
    return grade_photographs(
        settings,
        launch,
        lambda ensemble, _: _Table(Path(output) if output else ensemble.folder / "inference.csv"),
        COVERAGE,
    )
