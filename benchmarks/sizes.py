"""Memory, disk and time of the seven architectures: python -m benchmarks.sizes

With the settings of their wrappers, random weights, on the CPU. Counted: parameters, the bytes that
follow from them, floating-point operations (a multiplication and its addition are two). Measured:
what autograd keeps of a micro-batch in float32, and the trainer's images per second of processor
time. Predicted: the hours of an epoch on one core, which are the photographs over that rate.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.network_sizes import MICRO_BATCHES, Sizes, measure
from benchmarks.on_gpu.setting import Setting
from benchmarks.timing import torch_threads
from dr_ovo.decoded.space import required_bytes
from dr_ovo.errors import UserError, run
from dr_ovo.files import write_json
from dr_ovo.models.architectures import SEVEN
from dr_ovo.tables import magnitude, say
from dr_ovo.writable import check_writable_file

PHOTOGRAPHS = (35_126, 88_702)  # EyePACS: its train, and all of it


def main(argv: Sequence[str], prog: str = "python -m benchmarks.sizes") -> int:
    """Prints a table of memory, one of disk, one of time."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Memory, disk and time of the seven architectures."
    )
    parser.add_argument("--photographs", type=int, nargs="+", default=PHOTOGRAPHS, metavar="N",
                        help="of which the tables speak [35126 88702]")  # fmt: skip
    parser.add_argument("--only", nargs="+", default=SEVEN, choices=SEVEN, metavar="NAME",
                        help=f"only these architectures, of {', '.join(SEVEN)}")  # fmt: skip
    parser.add_argument("--threads", type=int, default=1, metavar="N",
                        help="threads that compute the network [1]")  # fmt: skip
    parser.add_argument("--quick", action="store_true",
                        help="a tiny network in place of each: whether it runs")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes the values, too")
    args = parser.parse_args(argv)
    if min(*args.photographs, args.threads) < 1:
        raise UserError("--photographs and --threads: expected 1 or more.")
    if args.json:
        check_writable_file(args.json, "--json")
    with tempfile.TemporaryDirectory(prefix="sizes_") as folder, torch_threads(args.threads):
        setting = Setting(Path(folder), "cpu", args.quick)
        found = [_measured(setting, name) for name in args.only]
    say("\n\n".join(table(found, args.photographs) for table in (memory, disk, duration)))
    if args.json:
        write_json(args.json, {"photographs": [*args.photographs], "sizes": [*map(asdict, found)]})
    return 0


def _measured(setting: Setting, name: str) -> Sizes:
    """The sizes of an architecture; says that they are there."""
    found = measure(setting, name)
    print(f"{name}: {found.rate:.2f} images/s of a core", file=sys.stderr, flush=True)
    return found


def memory(found: Sequence[Sizes], _photographs: Sequence[int]) -> str:
    """The table of memory."""
    header = ("architecture", "input, px", "trained", "frozen", "weights and optimizer",
              "ten classifiers", *(f"activations of {n}" for n in MICRO_BATCHES))  # fmt: skip
    return _table(header, found, lambda one: (
        f"{one.size}", magnitude(one.trained), magnitude(one.frozen),
        *(magnitude(count, "B") for count in
          (one.memory, one.memory_independent, *one.kept.values())),
    ))  # fmt: skip


def disk(found: Sequence[Sizes], photographs: Sequence[int]) -> str:
    """The table of disk space."""
    needs = ("checkpoints", "a state", "at most in training")
    header = ("architecture", *(f"cache of {count:,}" for count in photographs), *needs,
              *(f"{need}, ten classifiers" for need in needs))  # fmt: skip
    return _table(header, found, lambda one: tuple(
        magnitude(count, "B") for count in (
            *(required_bytes(number, one.size) for number in photographs),
            *(value for need in (one.shared, one.independent) for value in vars(need).values()),
        )
    ))  # fmt: skip


def duration(found: Sequence[Sizes], photographs: Sequence[int]) -> str:
    """The table of time: counted, measured, predicted."""
    header = ("architecture", "GFLOP an image", "ten classifiers", "images/s of a core, measured",
              *(f"hours for {count:,}, predicted" for count in photographs))  # fmt: skip
    return _table(header, found, lambda one: (
        f"{one.operations / 1e9:.1f}", f"{one.operations_independent / 1e9:.1f}",
        f"{one.rate:.2f}", *(f"{count / one.rate / 3600:.1f}" for count in photographs),
    ))  # fmt: skip


def _table(
    header: Sequence[str], found: Sequence[Sizes], cells: Callable[[Sizes], Sequence[str]]
) -> str:
    lines = [header, ("---",) * len(header), *((one.name, *cells(one)) for one in found)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(run(lambda: main(sys.argv[1:])))
