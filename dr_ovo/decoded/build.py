"""Decodes the photographs that a cache lacks, in processes, and adds their rows to it.

Rows are on the disk before the index names them, so that a process that is killed at any time
leaves no entry without its row. What it has finished is kept, and the next one goes on from there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from dr_ovo.decoded.about import write_about
from dr_ovo.decoded.decoded_rows import open_rows
from dr_ovo.decoded.filling import Filling, open_filling
from dr_ovo.decoded.places import ROWS, store_folder
from dr_ovo.decoded.processes.decoder import CRASHED, Decoder, Stalled, ThisProcess, no_answer
from dr_ovo.decoded.processes.pool import JOBS_A_PROCESS, MEMORY, DecodingPool
from dr_ovo.decoded.processes.watch import STALLED_SECONDS
from dr_ovo.decoded.row_decoding import Decode, Job, Outcome, Task, close_rows, decode_row
from dr_ovo.decoded.row_file import pixels_of
from dr_ovo.decoded.space import size_text
from dr_ovo.errors import MachineError, UserError, log
from dr_ovo.parallel import Ahead, available_cores
from dr_ovo.photographs.damage import Damage
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.photographs.quality import decode_with_quality

SHA256 = re.compile(r"[0-9a-f]{64}")
PHOTOGRAPHS_A_PROCESS = 4  # fewer are not worth the half second in which another one starts


@dataclass(frozen=True)
class Built:
    """How many rows were added. `damaged` files have none; nor have `changed` ones, whose content
    is no longer what was expected. `refusal`: why not all others were added, "" where they were."""

    added: int = 0
    damaged: tuple[Damage, ...] = ()
    changed: tuple[Path, ...] = ()
    refusal: str = ""


def build(
    files: Mapping[Path, str],
    preprocessing: Preprocessing,
    cache: Path,
    workers: int | None = None,
    *,
    decode: Decode = decode_with_quality,
    memory: int = MEMORY,
) -> Built:
    """Adds rows for those of the files (path -> sha256 of its content) that have none yet.

    `cache` is the cache folder, `workers` the largest number of processes (None: one per core; 0:
    this process decodes), `memory` the bytes that each of them may take. A file that is damaged,
    crashes the decoder or takes too much memory is among the `damaged`. A disk that refuses ends
    the building with a warning, and what was added stays. Raises MachineError where decoding
    stands still.
    """
    wanted = _by_content(files)
    with open_rows(cache, preprocessing, used=False) as there:
        missing = {sha256: paths for sha256, paths in wanted.items() if sha256 not in there}
    if not missing:
        return Built()
    store = store_folder(cache, preprocessing)
    with ExitStack() as opened:
        try:
            filling = opened.enter_context(open_filling(store, pixels_of(preprocessing.size)))
            write_about(store, preprocessing, len(filling))
        except (OSError, MachineError, UserError) as error:
            built = Built(refusal=str(getattr(error, "strerror", None) or error))
        else:
            missing = {sha256: paths for sha256, paths in wanted.items() if sha256 not in filling}
            work = partial(decode_row, Task(store / ROWS, preprocessing, decode))
            processes = _processes(len(missing), workers)
            log.info("Decoding into %s: %s", store, size_text(len(missing), preprocessing.size))
            built = _fill(filling, missing, work, processes, memory)
            with suppress(MachineError):
                write_about(store, preprocessing, len(filling))
    if built.refusal:
        log.warning(
            "The cache of decoded photographs %s can't take more: %s. %d of %d photographs are not "
            "in it, and are decoded whenever they are read.",
            store, built.refusal, len(missing) - built.added, len(wanted),
        )  # fmt: skip
    return built


def _processes(photographs: int, workers: int | None) -> int:
    """How many processes decode; 0: this one does."""
    useful = -(-photographs // PHOTOGRAPHS_A_PROCESS)
    most = available_cores() if workers is None else min(workers, available_cores())
    return min(most, useful)


def _by_content(files: Mapping[Path, str]) -> dict[str, list[Path]]:
    """The files of each content, by its sha256; those without one can't be read and are left
    out."""
    found: dict[str, list[Path]] = {}
    for path, sha256 in files.items():
        if SHA256.fullmatch(sha256):
            found.setdefault(sha256, []).append(path)
    return found


def _fill(
    filling: Filling,
    missing: Mapping[str, list[Path]],
    work: Callable[[Job], Outcome],
    processes: int,
    memory: int,
) -> Built:
    """Adds the rows of contents (sha256 -> the files that have it), with a progress bar."""
    before = len(filling)
    damaged: list[Damage] = []
    changed: list[Path] = []
    jobs = filling.jobs({sha256: paths[0] for sha256, paths in missing.items()})
    bar = tqdm(
        desc="decoding photographs", total=len(missing), unit="img", disable=None, leave=False
    )
    try:
        with bar, closing(_outcomes(jobs, work, processes, memory)) as outcomes:
            for job, outcome in outcomes:
                filling.take(job, outcome)
                paths = missing[job.sha256]
                damaged += [Damage(path, outcome.damage) for path in paths if outcome.damage]
                changed += paths if outcome.changed else []
                bar.update()
    finally:
        filling.finish()
    return Built(len(filling) - before, tuple(damaged), tuple(changed), filling.refusal)


def _outcomes(
    jobs: Iterable[Job], work: Callable[[Job], Outcome], processes: int, memory: int
) -> Generator[tuple[Job, Outcome], None, None]:
    """Each job and its outcome, in order; by this process for 0 `processes`.

    Raises MachineError where a file gives no answer.
    """
    decoder: Decoder[Job, Outcome] = (
        DecodingPool(work, processes, memory=memory, timeout=STALLED_SECONDS)
        if processes
        else ThisProcess(work)
    )

    def do(job: Job) -> tuple[Job, Outcome]:
        (outcome,) = decoder.do([job])
        return job, outcome or Outcome(damage=CRASHED)

    threads = JOBS_A_PROCESS * processes
    try:
        with Ahead(do, threads, threads) as ahead:
            try:
                yield from ahead.results(jobs)
            finally:
                decoder.close()  # before the threads, which would wait for its processes
    except Stalled as stalled:
        raise no_answer(stalled) from None
    finally:
        close_rows()
