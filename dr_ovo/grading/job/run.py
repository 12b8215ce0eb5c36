"""Photographs without labels to rows: what `predict.py` and `--mode inference` have in common."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from msgspec import convert

from dr_ovo import __version__
from dr_ovo.batches.reading import written_meanwhile
from dr_ovo.dataset.image_files import not_read
from dr_ovo.dataset.input_images import InputImages, PathNames, find_images
from dr_ovo.distributed.launch import Launch
from dr_ovo.distributed.ranks import Ranks
from dr_ovo.distributed.shared_folder import require_shared
from dr_ovo.errors import DONE, WAY_ON, MachineError, Terminated, UserError, disk_advice, log
from dr_ovo.files import last_written
from dr_ovo.grading.job.unfinished import Unfinished, output_lock
from dr_ovo.grading.reading import Reading, unreadable
from dr_ovo.grading.row_files import Row
from dr_ovo.grading.rules import SCOPE, Rules
from dr_ovo.inference.ensemble import Ensemble, open_ensemble
from dr_ovo.inference.photograph_reading import PhotographReader, open_reader
from dr_ovo.logs import Progress
from dr_ovo.outputs import MEASURE_BATCH
from dr_ovo.photographs.damage import Damage, describe
from dr_ovo.results.made_from import checkpoint_digests
from dr_ovo.settings.command_line import Settings
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.setup import choose_device
from dr_ovo.writable import check_writable_file

GROUP = 32 * MEASURE_BATCH  # photographs; what a stop loses at most


@dataclass(frozen=True)
class _Job:
    """The photographs to be graded, the groups of them that are done, and where it is written."""

    found: InputImages
    unfinished: Unfinished
    done: frozenset[int]

    @property
    def todo(self) -> list[int]:
        """The numbers of the groups that are not done."""
        return [number for number in range(self.count) if number not in self.done]

    @property
    def count(self) -> int:
        """The number of groups."""
        return -(-len(self.found.images) // GROUP)

    def positions(self, number: int) -> np.ndarray:
        """(n,) the places of a group's photographs."""
        return np.arange(number * GROUP, min(len(self.found.images), (number + 1) * GROUP))


class Target(Protocol):
    """Where a run writes; `of_damaged`: what becomes of files that can't be read."""

    of_damaged: ClassVar[str]

    @property
    def file(self) -> Path:
        """The file that is locked, and beside which unfinished work is kept."""

    def write(self, finished: Finished) -> None:
        """Writes everything."""


@dataclass(frozen=True)
class Finished:
    """What a target writes: the rules, the photographs' rows, how many of them could be read, and
    the others, which are among the rows, too."""

    rules: Rules
    rows: GradedRows
    count: int
    damaged: Sequence[Damage]


class GradedRows:
    """The rows of all photographs, by their places, in a nameless file: one in memory at a time.
    Raises MachineError where there is no room for it."""

    def __init__(self, images: PathNames, unfinished: Unfinished) -> None:
        self.images = images
        self._begins = np.zeros(len(images), np.int64)
        try:
            self._file = tempfile.TemporaryFile(dir=unfinished.output.parent)  # noqa: SIM115
            for group in unfinished.groups():
                found = [(place, content) for place, content in group["rows"]]
                found += [(place, asdict(unreadable(why))) for place, why in group["damaged"]]
                for place, content in found:
                    self._begins[place] = self._file.tell()
                    self._file.write(json.dumps([content, group["date"]]).encode() + b"\n")
        except OSError as error:
            raise MachineError(
                f"{unfinished.output.parent}: a file of rows could not be written: "
                f"{error.strerror or error}. {disk_advice(error.errno)}"
            ) from error

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> Row:
        if not 0 <= place < len(self):
            raise IndexError(place)
        self._file.seek(int(self._begins[place]))
        content, date = json.loads(self._file.readline())
        return Row(self.images[place], convert(content, Reading), date)

    def __iter__(self) -> Iterator[Row]:
        return (self[place] for place in range(len(self)))


def grade_photographs(
    settings: Settings,
    launch: Launch,
    target: Callable[[Ensemble, PathNames], Target],
    coverage: float,
) -> int:
    """Grades every photograph of `--input`; several models are averaged, or combined as the
    manifest of `--ensemble` says. `target` is given the photographs; on ranks but the first, none.

    Damaged files are listed. What is graded is kept in groups, so that a run that was stopped goes
    on; of several ranks each takes whole groups, by turns. Raises UserError if nothing can be read.
    """
    config = settings.config
    found = find_images(config.input) if launch.is_first else InputImages(PathNames(), [])
    device = choose_device(config)
    ensemble = open_ensemble(settings, device)
    rules, written = rules_of(ensemble, coverage), target(ensemble, found.images)
    WAY_ON.set("run the same command again: it goes on from there")
    with contextlib.ExitStack() as held:
        ranks, job = launch.join(
            lambda: _prepare(config, ensemble, rules, found, written.file, held)
        )
        output, images = job.unfinished.output, job.found.images
        require_shared(ranks, output.parent, images)
        own = job.todo[ranks.index :: ranks.count]
        arguments = (device, config.num_workers, config.max_megapixels)
        try:
            with open_reader(ensemble, images, *arguments) as reader:
                _grade(ensemble, rules, reader, job, own, ranks)
        except (KeyboardInterrupt, Terminated):
            if ranks.is_first:
                log.warning("Stopped. What is graded is kept: run the same command again.")
            raise
        ranks.meet()
        if ranks.is_first:
            _finish(rules, job, written)
    return DONE


def rules_of(ensemble: Ensemble, coverage: float) -> Rules:
    """The rules that an ensemble's folder or manifest holds."""
    folders = [model.folder for model in ensemble.models]
    digests = json.dumps(checkpoint_digests(folders), sort_keys=True)
    return Rules(
        class_names=tuple(ensemble.class_names),
        calibration=ensemble.calibration,
        uncalibrated=ensemble.uncalibrated,
        coverage=coverage,
        models=hashlib.sha256(digests.encode()).hexdigest(),
        members=len(ensemble.models),
        marks=tuple(ensemble.marks),
        no_gate=tuple(gate.why_not for gate in ensemble.gates if gate.nearest is None),
    )


def _prepare(
    config: TrainConfig,
    ensemble: Ensemble,
    rules: Rules,
    found: InputImages,
    output: Path,
    held: contextlib.ExitStack,
) -> _Job:
    """Checks the output, and looks for what an earlier run has graded. The output is locked until
    what is `held` ends. Raises UserError where another run has it."""
    check_writable_file(output, "--output")
    output.parent.mkdir(parents=True, exist_ok=True)
    held.enter_context(output_lock(output))
    unfinished = Unfinished(output, _description(config, ensemble, rules, found.images))
    done = frozenset(unfinished.begin())
    if done:
        graded = sum(min(GROUP, len(found.images) - number * GROUP) for number in done)
        log.info("going on: %d of %d photographs are graded", graded, len(found.images))
    return _Job(found, unfinished, done)


def _description(
    config: TrainConfig, ensemble: Ensemble, rules: Rules, images: Iterable[Path]
) -> dict[str, Any]:
    """What the rows depend on; what it says of the images can be read once."""
    return {
        "version": __version__,
        "group": GROUP,
        "max_megapixels": config.max_megapixels,
        "images": ([str(path), last_written(path)] for path in images),
        "models": [
            [str(path), last_written(path)]
            for model in ensemble.models
            for path in sorted(model.folder.models.glob("best_*.pth"))
        ],
        "decoders": list(ensemble.decoders),
        "method": ensemble.method,
        "weights": ensemble.weights.tolist(),
        "temperatures": list(ensemble.temperatures),
        "fitted": [repr(fitted) for fitted in (*ensemble.fitted, ensemble.expected)],
        "rules": repr(rules),
    }


def _grade(
    ensemble: Ensemble,
    rules: Rules,
    reader: PhotographReader,
    job: _Job,
    numbers: Sequence[int],
    ranks: Ranks,
) -> None:
    """Grades groups of photographs, and keeps each."""
    images = job.found.images
    progress = Progress("grading", sum(len(job.positions(number)) for number in numbers))
    try:
        for number in numbers:
            positions = job.positions(number)
            read = reader.read(positions)
            readings: list[Reading] = []
            if len(read.positions):
                readings = rules.read(*ensemble.grade(read.logits), read.gated)
            kept = {
                "date": datetime.now(UTC).date().isoformat(),
                "rows": [
                    [place, asdict(one)]
                    for place, one in zip(read.positions.tolist(), readings, strict=True)
                ],
                "damaged": [[int(place), why] for place, why in read.damaged.items()],
                "changed": [str(images[place]) for place in sorted(read.changed)],
            }
            job.unfinished.add(ranks.index, number, kept)
            progress.update(len(positions), lambda: "grading")
    finally:
        progress.close()


def _finish(rules: Rules, job: _Job, target: Target) -> None:
    """Writes the rows of all groups, and says what was left out. Raises UserError if nothing could
    be read, and MachineError if a group is not there."""
    numbers = [group["number"] for group in job.unfinished.groups()]
    if numbers != [*range(job.count)]:
        missing = sorted({*range(job.count)} - {*numbers})
        raise MachineError(
            f"Of {job.count} groups of photographs {len(missing)} are not in the files beside "
            f"{job.unfinished.output}, though they were graded: were files removed meanwhile, or "
            "does a process write to another disk? Run the same command again: it goes on from "
            "there."
        )
    damaged: list[Damage] = []
    changed: list[Path] = []
    graded = 0
    images = job.found.images
    for group in job.unfinished.groups():
        graded += len(group["rows"])
        damaged += [Damage(images[place], why) for place, why in group["damaged"]]
        changed += map(Path, group["changed"])
    if not graded:
        job.unfinished.remove()
        raise UserError(
            f"None of the --input files can be read as a photograph:\n{describe(damaged)}"
        )
    target.write(Finished(rules, GradedRows(images, job.unfinished), graded, damaged))
    job.unfinished.remove()
    if damaged:
        count = len(damaged)
        said = target.of_damaged
        log.warning("%d files can't be read and %s:\n%s", count, said, describe(damaged))
    if job.found.others:
        log.warning("%s", not_read(job.found.others))
    if changed:
        log.warning("%s", written_meanwhile(changed))
    if "LEAKY" in rules.marks:
        log.warning("LEAKY: trained on a dataset with leaks; expect worse results than reported.")
    log.info("%s Research use only; not a medical device.", SCOPE)
