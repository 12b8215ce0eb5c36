"""`python -m dr_ovo rerun RESULTS_DIR --output DIR`: trains again, and compares."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dr_ovo.commands.trainer import run_mode
from dr_ovo.errors import DONE, UserError
from dr_ovo.files import write_json
from dr_ovo.locks.folders import TRAINING, only_writer
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.command_line import parse_settings
from dr_ovo.signals import importing
from dr_ovo.tables import say, table

WIDTH = 40  # characters of a value in the table


def main(argv: Sequence[str], prog: str) -> int:
    """Trains what a results folder holds once more, and says what is equal and what differs."""
    arguments = _parser(prog).parse_args(argv)
    with importing():
        from dr_ovo.training.retraining.rerun import as_json, command_line, differences
    folder, again = ResultsFolder(arguments.results_dir), ResultsFolder(arguments.output)
    if arguments.output.resolve() == arguments.results_dir.resolve():
        raise UserError(f"--output {arguments.output}: expected another folder than RESULTS_DIR.")
    given = {"dataset_path": arguments.dataset_path, "device": arguments.device}
    words = command_line(
        folder, again.root, {name: value for name, value in given.items() if value}
    )
    code = run_mode(parse_settings([*words, *["--resume"] * arguments.resume], prog))
    if code != DONE:
        return code
    with only_writer(again.root, TRAINING):
        findings = differences(folder, again)
        write_json(again.root / "rerun.json", as_json(findings))
    rows = [
        [
            finding.what,
            "equal" if finding.same else "DIFFERS",
            _short(finding.before),
            _short(finding.now),
        ]
        for finding in findings
    ]
    say("", table(["", "", "before", "again"], rows, left=4))
    weights = [finding.same for finding in findings if finding.what.startswith("weights")]
    same = "every weight is equal bit by bit" if all(weights) else "weights differ"
    say("", f"{folder.root} trained again in {again.root}: {same}.")
    return DONE


def _short(text: str) -> str:
    """The beginning of a hash; rerun.json has the whole."""
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("results_dir", type=Path, metavar="RESULTS_DIR",
                        help="results folder of a finished training")  # fmt: skip
    parser.add_argument("--output", type=Path, required=True, metavar="DIR",
                        help="results folder of the new training")  # fmt: skip
    parser.add_argument("--dataset_path", default="", metavar="DIR",
                        help="where the dataset is now [where config.json says]")  # fmt: skip
    parser.add_argument("--device", default="", metavar="DEVICE",
                        help="auto, cpu, cuda or cuda:N [auto]")  # fmt: skip
    parser.add_argument("--resume", action="store_true",
                        help="continue a rerun where it was stopped")  # fmt: skip
    return parser
