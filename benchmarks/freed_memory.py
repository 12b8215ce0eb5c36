"""What it gains on the CPU that freed memory stays with the process (`dr_ovo/freed_memory.py`).

    python -m benchmarks.freed_memory [NAME ...] [--size 224] [--rounds 5] [--threads 1]

For each network a training step of 8 images (forward, backward, AdamW; nothing frozen) and the
evaluation of a batch of 32, by turns in a process as it is by default and in one whose memory is
kept. The ratio is time by default over time with memory kept, by the clock: median of the rounds,
and the smallest and largest of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection

import torch

from benchmarks.timing import Spread, interleaved
from dr_ovo.errors import UserError, run
from dr_ovo.freed_memory import keep_freed_memory
from dr_ovo.models.architectures import resolve_architecture
from dr_ovo.models.backbone import create_backbone
from dr_ovo.outputs import MEASURE_BATCH
from dr_ovo.tables import say

WINDOW = 8  # images of a training step
TRAIN, EVALUATE = "training step", "evaluation"


def main(argv: Sequence[str]) -> int:
    """Measures the networks named; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.freed_memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", default=["tf_efficientnet_lite0"], metavar="NAME")
    parser.add_argument("--size", type=int, default=224, metavar="PIXELS")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    args = parser.parse_args(argv)
    say(f"| network, size | {TRAIN} | {EVALUATE} |", "| --- | --- | --- |")
    for name in map(resolve_architecture, args.names):
        found = compare(name, args.size, args.rounds, args.threads)
        cells = [f"{one.median:.2f} ({one.low:.2f} - {one.high:.2f})" for one in found]
        say(f"| {name}, {args.size} px | {' | '.join(cells)} |")
    return 0


def compare(name: str, size: int, rounds: int, threads: int) -> list[Spread]:
    """Time by default over time with memory kept: of a training step, and of an evaluation."""
    with (
        _process(name, size, threads, keep=False) as by_default,
        _process(name, size, threads, keep=True) as kept,
    ):
        times = [
            interleaved(
                {"by default": partial(by_default, work), "kept": partial(kept, work)}, rounds
            )
            for work in (TRAIN, EVALUATE)
        ]
    return [one.ratio("by default", "kept") for one in times]


@contextmanager
def _process(name: str, size: int, threads: int, *, keep: bool) -> Iterator[Callable[[str], None]]:
    """Within the context: does TRAIN or EVALUATE once, in a process of its own."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, name, size, threads, keep), daemon=True)
    process.start()
    theirs.close()

    def ask(work: str) -> None:
        ours.send(work)
        ours.recv()

    try:
        if not ours.recv():
            raise UserError("This C library has no mallopt: there is nothing to compare.")
        yield ask
    finally:
        process.terminate()
        process.join()


def _work(asked: Connection, name: str, size: int, threads: int, keep: bool) -> None:
    """What the process does: works as it is `asked`."""
    torch.set_num_threads(threads)
    asked.send(not keep or keep_freed_memory())
    trained, evaluated = create_backbone(name, size, None), create_backbone(name, size, None)
    trained.train().to(memory_format=torch.channels_last)
    evaluated.eval()
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-6)
    images = torch.rand(MEASURE_BATCH, 3, size, size)
    window = images[:WINDOW].contiguous(memory_format=torch.channels_last)
    while True:
        if asked.recv() == TRAIN:
            trained(window).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        else:
            with torch.inference_mode():
                evaluated(images)
        asked.send(True)


if __name__ == "__main__":
    sys.exit(run(lambda: main(sys.argv[1:])))
