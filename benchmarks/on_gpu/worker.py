"""A process for one measurement: python -m benchmarks.on_gpu.worker [MODULE ...]

It imports the modules, and only then reads what to do: a line of JSON on stdin. So it can be
started while the measurement before is still running.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import sys
import traceback
from pathlib import Path
from typing import Any

NOT_HERE, FAILED = "not_here", "failed"


def main(preloaded: list[str]) -> int:
    """Runs the measurement that stdin names; 1 where it fails. Its rows, and what went wrong, are
    lines of JSON in the file that it names, each there as soon as it is known."""
    faulthandler.enable()
    for name in preloaded:
        importlib.import_module(name)
    text = sys.stdin.readline()
    if not text:  # no measurement is left
        return 0
    job = json.loads(text)
    faulthandler.dump_traceback_later(max(0.5, job["seconds"] - 1))  # where it hangs, for the log
    answers = Path(job["answers"])
    try:
        _measure(job, answers)
    except Exception as error:
        from benchmarks.results import NotMeasured

        traceback.print_exc()
        what = NOT_HERE if isinstance(error, NotMeasured) else FAILED
        said = " ".join(f"{type(error).__name__}: {error}".split())
        _write(answers, {what: str(error) if what == NOT_HERE else said})
        return int(what == FAILED)
    return 0


def _measure(job: dict[str, Any], answers: Path) -> None:
    module = importlib.import_module(job["module"])
    setting = module.Setting.from_json(job["setting"])
    module.measure(setting, job["argument"], lambda row: _write(answers, {"row": row}))


def _write(answers: Path, content: dict[str, Any]) -> None:
    line = json.dumps(content, allow_nan=False) + "\n"
    with answers.open("a", encoding="utf-8") as file:
        file.write(line)


if __name__ == "__main__":
    from dr_ovo.logs import start_log

    start_log()
    sys.exit(main(sys.argv[1:]))
