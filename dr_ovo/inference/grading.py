"""`--mode inference`: grades photographs without labels, with one model or an ensemble."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dr_ovo import __version__
from dr_ovo.batches.reading import written_meanwhile
from dr_ovo.dataset.image_files import not_read
from dr_ovo.distributed.launch import Launch
from dr_ovo.distributed.ranks import Ranks
from dr_ovo.distributed.shared_folder import require_shared
from dr_ovo.errors import DONE, WAY_ON, MachineError, Terminated, UserError, log
from dr_ovo.files import last_written
from dr_ovo.inference.ensemble import Ensemble, open_ensemble
from dr_ovo.inference.inference_csv import write_csv
from dr_ovo.inference.input_images import InputImages, PathNames, find_images
from dr_ovo.inference.photograph_reading import PhotographReader, open_reader
from dr_ovo.inference.unfinished import Unfinished, output_lock
from dr_ovo.logs import Progress
from dr_ovo.outputs import MEASURE_BATCH
from dr_ovo.photographs.damage import Damage, describe
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


def inference(settings: Settings, launch: Launch) -> int:
    """Grades every readable photograph of `--input`; several models are averaged, or combined as
    the manifest of `--ensemble` says.

    Damaged files are listed and skipped. What is graded is kept in groups, so that a run that was
    stopped goes on; of several ranks each takes whole groups, by turns. Raises UserError if nothing
    can be read.
    """
    config = settings.config
    if config.output:
        check_writable_file(Path(config.output), "--output")
    found = find_images(config.input) if launch.is_first else InputImages(PathNames(), [])
    device = choose_device(config)
    ensemble = open_ensemble(settings, device)
    WAY_ON.set("run the same command again: it goes on from there")
    with contextlib.ExitStack() as held:
        ranks, job = launch.join(lambda: _prepare(config, ensemble, found, held))
        output, images = job.unfinished.output, job.found.images
        require_shared(ranks, output.parent, images)
        own = job.todo[ranks.index :: ranks.count]
        arguments = (device, config.num_workers, config.max_megapixels)
        try:
            with open_reader(ensemble, images, *arguments) as reader:
                _grade(ensemble, reader, job, own, ranks)
        except (KeyboardInterrupt, Terminated):
            if ranks.is_first:
                log.warning("Stopped. What is graded is kept: run the same command again.")
            raise
        ranks.meet()
        if ranks.is_first:
            _finish(ensemble, job)
    return DONE


def _prepare(
    config: TrainConfig, ensemble: Ensemble, found: InputImages, held: contextlib.ExitStack
) -> _Job:
    """Checks the output, and looks for what an earlier run has graded. The output is locked until
    what is `held` ends. Raises UserError where another run has it."""
    output = Path(config.output) if config.output else ensemble.folder / "inference.csv"
    check_writable_file(output, "--output")
    output.parent.mkdir(parents=True, exist_ok=True)
    held.enter_context(output_lock(output))
    unfinished = Unfinished(output, _description(config, ensemble, found.images))
    done = frozenset(unfinished.begin())
    if done:
        graded = sum(min(GROUP, len(found.images) - number * GROUP) for number in done)
        log.info("going on: %d of %d photographs are graded", graded, len(found.images))
    return _Job(found, unfinished, done)


def _description(config: TrainConfig, ensemble: Ensemble, images: Iterable[Path]) -> dict[str, Any]:
    """What the grades depend on; what it says of the images can be read once."""
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
    }


def _grade(
    ensemble: Ensemble, reader: PhotographReader, job: _Job, numbers: Sequence[int], ranks: Ranks
) -> None:
    """Grades groups of photographs, and keeps each."""
    images = job.found.images
    progress = Progress("grading", sum(len(job.positions(number)) for number in numbers))
    try:
        for number in numbers:
            positions = job.positions(number)
            read = reader.read(positions)
            rows: list[list[Any]] = []
            if len(read.positions):
                grades, probabilities = ensemble.grade(read.logits)
                rows = [
                    [str(images[place]), ensemble.class_names[grade], *map(float, each)]
                    for place, grade, each in zip(
                        read.positions, grades, probabilities, strict=True
                    )
                ]
            kept = {
                "rows": rows,
                "damaged": [[str(images[place]), why] for place, why in read.damaged.items()],
                "changed": [str(images[place]) for place in sorted(read.changed)],
            }
            job.unfinished.add(ranks.index, number, kept)
            progress.update(len(positions), lambda: "grading")
    finally:
        progress.close()


def _finish(ensemble: Ensemble, job: _Job) -> None:
    """Writes the CSV from all groups, and says what was left out. Raises UserError if nothing could
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
    for group in job.unfinished.groups():
        graded += len(group["rows"])
        damaged += [Damage(Path(path), why) for path, why in group["damaged"]]
        changed += map(Path, group["changed"])
    if not graded:
        job.unfinished.remove()
        raise UserError(
            f"None of the --input files can be read as a photograph:\n{describe(damaged)}"
        )
    output, marks = job.unfinished.output, ensemble.marks
    write_csv(output, _rows(job.unfinished), ensemble.class_names, marks)
    job.unfinished.remove()
    log.info("%d photographs graded: %s", graded, output)
    if damaged:
        count = len(damaged)
        log.warning("%d files can't be read and are left out:\n%s", count, describe(damaged))
    if job.found.others:
        log.warning("%s", not_read(job.found.others))
    if changed:
        log.warning("%s", written_meanwhile(changed))
    if "LEAKY" in marks:
        log.warning("LEAKY: trained on a dataset with leaks; expect worse results than reported.")
    log.info("Research use only; not a medical device.")


def _rows(unfinished: Unfinished) -> Iterator[tuple[str, str, list[float]]]:
    for group in unfinished.groups():
        yield from ((path, grade, values) for path, grade, *values in group["rows"])
