"""Measures the toolkit on a GPU: the Python of benchmarks/gpu.sh, which sets its paths."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.on_gpu.packages import install_missing
from dr_ovo.doctor.checks import declared_requirements
from dr_ovo.errors import MachineError, UserError, run
from dr_ovo.tables import say
from dr_ovo.writable import check_writable_file

if TYPE_CHECKING:
    from benchmarks.on_gpu.plan import Measurement
    from benchmarks.on_gpu.record import Record
    from benchmarks.on_gpu.running import Workers

ROOT = Path(__file__).resolve().parents[1]
ABOUT = """Measures the toolkit on a GPU: training and inference of the seven architectures, memory,
waiting, a full memory, a killed training, and more. It ends within 9 minutes; called again with the
same --json it goes on with what there was no time for. Exit code 1 where a goal is not met, or a
measurement failed. No setting of the GPU is changed, and nothing is written but a temporary folder
and the JSON file."""
SECONDS, END_SECONDS = 520.0, 8.0  # the latter for the table and the temporary folder
CORES_AHEAD = 4  # from so many on, the next process may load while one measures
PRELOADED = ("benchmarks.on_gpu.setting",)
# Of the caller's, what would change what is measured; and caches, which go to the temporary folder.
DROPPED = ("DR_OVO_", "RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "PYTORCH_", "TORCH_LOGS")
CACHES = ("TMPDIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH", "HF_HOME",
          "MPLCONFIGDIR", "XDG_CACHE_HOME")  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Measures until all is done or the time is over; prints the table."""
    started = time.monotonic()
    args = build_parser().parse_args(argv)
    if args.seconds <= 0:
        raise UserError(f"--seconds {args.seconds:g}: expected more than 0.")
    check_writable_file(args.json, "--json")
    with tempfile.TemporaryDirectory(prefix="gpu_", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        installed = install_missing(declared_requirements(), args.wheels, folder / "packages")
        sys.path.insert(1, str(folder / "packages"))
        record = _measured(args, folder, installed, started + args.seconds - END_SECONDS)
    say(record.markdown(), "", f"written to {record.file}")
    return record.exit_code


def _measured(
    args: argparse.Namespace, folder: Path, installed: list[str], deadline: float
) -> Record:
    from benchmarks.on_gpu.plan import PHOTOGRAPHS, plan
    from benchmarks.on_gpu.record import open_record
    from benchmarks.on_gpu.running import Workers
    from benchmarks.on_gpu.session import measure_all
    from dr_ovo.parallel import available_cores

    setting = {"folder": str(folder), "device": args.device, "quick": args.quick}
    ahead = available_cores() >= CORES_AHEAD
    with Workers(folder, setting, _environment(folder), PRELOADED, ahead=ahead) as workers:
        head = _machine(workers, args.device, deadline)
        head |= {"quick": args.quick, "installed_from_wheels": installed}
        record, said = open_record(args.json, head)
        if said:
            print(said, file=sys.stderr)
        record.write()
        measurements = plan(quick=args.quick)
        if not args.quick and record.to_do(measurements):
            workers.run(PHOTOGRAPHS, _limit(PHOTOGRAPHS, deadline))
        measure_all(measurements, record, workers.run, deadline)
    return record


def _machine(workers: Workers, device: str, deadline: float) -> dict[str, Any]:
    """What a process of its own, which may hang or crash, says of the machine."""
    from benchmarks.on_gpu.plan import MACHINE

    found = workers.run(MACHINE, _limit(MACHINE, deadline))
    if found.rows:
        return found.rows[0]
    error = f"--device {device} can't be measured: {found.reason}"
    raise UserError(error) if found.status == "failed" else MachineError(f"{error}\n{found.log}")


def _limit(measurement: Measurement, deadline: float) -> float:
    return min(measurement.seconds, max(0.0, deadline - time.monotonic()))


def _environment(folder: Path) -> dict[str, str]:
    """The variables of the processes that measure: offline, caches in the temporary folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
    for name in CACHES:
        place = folder / name.lower()
        place.mkdir()
        kept[name] = str(place)
    paths = [str(ROOT), str(folder / "packages"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return kept | {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
    }


def build_parser() -> argparse.ArgumentParser:
    """The command's argument parser."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/gpu.sh",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--wheels", type=Path, metavar="DIR",
                        help="wheels of packages that this Python lacks, for a machine without "
                        "network; they are unpacked into the temporary folder")  # fmt: skip
    parser.add_argument("--json", type=Path, default=Path("gpu.json"), metavar="FILE",
                        help="what was measured, to be gone on with [gpu.json]")  # fmt: skip
    parser.add_argument("--seconds", type=float, default=SECONDS,
                        help=f"when to end [{SECONDS:g}]")  # fmt: skip
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda",
                        help="cpu: only what needs no GPU [cuda]")  # fmt: skip
    parser.add_argument("--quick", action="store_true",
                        help="a tiny network: whether all parts run, in minutes")  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(run(lambda: main(sys.argv[1:])))
