"""Two processes under torchrun, each with a card of its own, against one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.on_gpu.rows import Emit, row
from benchmarks.on_gpu.setting import LARGE, SMALL, Setting
from benchmarks.timing import Spread

EPOCHS = 3  # after a first one, which counts for nothing
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


def measure(setting: Setting, mode: str, emit: Emit) -> None:
    """Images a second of both: shared in steps of twice the usual batch, or independent."""
    if mode == "shared":
        steps = ("--batch_size", str(2 * setting.batch), "--micro_batch", str(setting.batch))
        flags, dataset = setting.large_steps("resnet50", *steps), LARGE
    else:
        flags, dataset = setting.flags("resnet50", "--ovo_mode", mode), SMALL
    found = {}
    for count, launcher in ((1, ()), (2, TORCHRUN)):
        found[count] = _rate(setting, dataset, flags, launcher)
        name = f"processes_{count}_{mode}"
        emit(row(name, found[count], "images/s"))
    emit(row(f"processes_gain_{mode}", found[2].median / found[1].median, "two / one"))


def _rate(
    setting: Setting, dataset: str, flags: tuple[str, ...], launcher: tuple[str, ...]
) -> Spread:
    """Images a second, as the first process writes them down."""
    job, answer = setting.folder / "ranks.json", setting.folder / "ranks_answer.json"
    job.write_text(
        json.dumps(
            {"setting": setting.to_json(), "dataset": dataset, "flags": flags, "epochs": EPOCHS}
        )
    )
    answer.unlink(missing_ok=True)
    module = "benchmarks.on_gpu.rank"
    words = [sys.executable, *launcher, "-m", module, str(job), str(answer)]
    subprocess.run(words, stdin=subprocess.DEVNULL, check=True)
    return Spread(**json.loads(Path(answer).read_text()))
