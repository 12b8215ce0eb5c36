"""One process of those that train together, or the only one: python -m benchmarks.on_gpu.rank"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.on_gpu.rows import rate
from benchmarks.on_gpu.setting import Setting
from benchmarks.timing import spread
from dr_ovo.distributed.launch import launched
from dr_ovo.errors import DONE, run
from dr_ovo.logs import start_log


def train(job: dict[str, Any], answer: Path) -> int:
    """Trains the epochs of a job; the first process writes images a second into `answer`."""
    setting, flags = Setting.from_json(job["setting"]), tuple(job["flags"])

    def prepare() -> None:
        with setting.training(job["dataset"], flags):
            pass  # the photographs are in the cache now

    with launched() as launch:
        ranks, _ = launch.join(prepare)
        seconds = []
        with setting.training(job["dataset"], flags, ranks) as made:
            for _ in range(1 + job["epochs"]):
                ranks.meet()
                start = time.perf_counter()
                made.train_epoch()
                ranks.meet()
                seconds.append(time.perf_counter() - start)
            images = len(made.loop.data.train)
        if ranks.is_first:
            found = rate(images, spread(np.array(seconds[1:])))
            answer.write_text(json.dumps(asdict(found)))
    return DONE


if __name__ == "__main__":
    start_log()
    content = json.loads(Path(sys.argv[1]).read_text())
    sys.exit(run(lambda: train(content, Path(sys.argv[2]))))
