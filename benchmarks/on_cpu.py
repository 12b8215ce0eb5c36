"""What it gains on a CPU that evaluation passes few images at a time (`dr_ovo/full_memory.py`), and
that freed memory stays with the process (`dr_ovo/freed_memory.py`).

    python -m benchmarks.on_cpu [NAME ...] [--size 224] [--rounds 5] [--threads 1]

For each network a training step of 8 images (forward, backward, AdamW; nothing frozen) and the
evaluation of a batch of 32, by turns in three processes: one as PyTorch and the C library are, one
that evaluates in parts, and one that keeps its memory as well, as the toolkit does. Each ratio is
time of the first over time of another, by the clock: median of the rounds, and the smallest and
largest of them. Memory is the peak of each process.
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection

import torch

from benchmarks.timing import Spread, interleaved
from dr_ovo.errors import UserError, run
from dr_ovo.freed_memory import keep_freed_memory
from dr_ovo.full_memory import at_once
from dr_ovo.models.architectures import resolve_architecture
from dr_ovo.models.backbone import create_backbone
from dr_ovo.outputs import MEASURE_BATCH
from dr_ovo.tables import say

WINDOW = 8  # images of a training step
TRAIN, EVALUATE, MEMORY = "train", "evaluate", "memory"
COLUMNS = (
    "network, size", "training step, memory kept", "evaluation in parts", "and memory kept",
    "peak memory, MiB: whole", "in parts", "and kept",
)  # fmt: skip


@dataclass(frozen=True)
class Way:
    """How a process works: in parts of few images, and with memory that is kept."""

    in_parts: bool
    kept: bool


WHOLE, PARTS, KEPT = Way(False, False), Way(True, False), Way(True, True)


def main(argv: Sequence[str]) -> int:
    """Measures the networks named; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.on_cpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", default=["tf_efficientnet_lite0"], metavar="NAME")
    parser.add_argument("--size", type=int, default=224, metavar="PIXELS")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    args = parser.parse_args(argv)
    for name in ("size", "rounds", "threads"):
        if (value := getattr(args, name)) < 1:
            raise UserError(f"--{name} {value}: expected 1 or more.")
    say(f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}")
    for name in map(resolve_architecture, args.names):
        ratios, memory = compare(name, args.size, args.rounds, args.threads)
        cells = [f"{one.median:.2f} ({one.low:.2f} - {one.high:.2f})" for one in ratios]
        cells += [str(one) for one in memory]
        say(f"| {name}, {args.size} px | {' | '.join(cells)} |")
    return 0


def compare(name: str, size: int, rounds: int, threads: int) -> tuple[list[Spread], list[int]]:
    """The ratios, and the peak memory in MiB of WHOLE, PARTS and KEPT."""
    with ExitStack() as stack:
        whole, parts, kept = (
            stack.enter_context(_process(name, size, threads, way)) for way in (WHOLE, PARTS, KEPT)
        )
        evaluated = interleaved(
            {"whole": partial(whole, EVALUATE), "parts": partial(parts, EVALUATE),
             "kept": partial(kept, EVALUATE)}, rounds,
        )  # fmt: skip
        memory = [ask(MEMORY) for ask in (whole, parts, kept)]
        trained = interleaved(
            {"whole": partial(whole, TRAIN), "kept": partial(kept, TRAIN)}, rounds
        )
    ratios = [trained.ratio("whole", "kept")]
    ratios += [evaluated.ratio("whole", other) for other in ("parts", "kept")]
    return ratios, memory


@contextmanager
def _process(name: str, size: int, threads: int, way: Way) -> Iterator[Callable[[str], int]]:
    """Within the context: does what it is asked, in a process of its own; gives its peak memory."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, name, size, threads, way), daemon=True)
    process.start()
    theirs.close()

    def ask(what: str) -> int:
        ours.send(what)
        return int(ours.recv())

    try:
        if not ours.recv():
            raise UserError("This C library has no mallopt: there is nothing to compare.")
        yield ask
    finally:
        process.terminate()
        process.join()


def _work(asked: Connection, name: str, size: int, threads: int, way: Way) -> None:
    """What the process does: works as it is `asked`."""
    torch.set_num_threads(threads)
    asked.send(not way.kept or keep_freed_memory())
    trained, evaluated = create_backbone(name, size, None), create_backbone(name, size, None)
    trained.train().to(memory_format=torch.channels_last)
    evaluated.eval()
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-6)
    images = torch.rand(MEASURE_BATCH, 3, size, size)
    window = images[:WINDOW].contiguous(memory_format=torch.channels_last)
    count = at_once(images.device) if way.in_parts else None
    while True:
        what = asked.recv()
        if what == TRAIN:
            trained(window).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        elif what == EVALUATE:
            with torch.inference_mode():
                for part in images.split(count or MEASURE_BATCH):
                    evaluated(part)
        asked.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


if __name__ == "__main__":
    sys.exit(run(lambda: main(sys.argv[1:])))
