"""`python -m dr_ovo COMMAND`: the parts of the toolkit that have no script of their own."""

from __future__ import annotations

import argparse
import importlib
import sys

from dr_ovo.errors import run

# Each module has `add_arguments(parser)` and `command(arguments) -> exit code`.
COMMANDS = {
    "audit": (
        "dr_ovo.audit.command",
        "finds what makes the scores on a dataset too good: copies, shared patients, filters",
    ),
    "doctor": (
        "dr_ovo.doctor.command",
        "says whether this machine and a dataset are ready for training",
    ),
    "simulate": (
        "dr_ovo.reporting.simulated_results",
        "writes results of simulated models, to try the reports on",
    ),
    "synthetic": ("dr_ovo.data.synthetic", "draws a dataset of synthetic fundus photographs"),
}


def main() -> int:
    """Parses the command line, imports the one module that it needs and runs it."""
    words = [f"  {name:<12}{what}" for name, (_, what) in COMMANDS.items()]
    top = argparse.ArgumentParser(
        prog="python -m dr_ovo",
        description="commands:\n" + "\n".join(words),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    name = top.parse_args(sys.argv[1:2]).command
    module_name, what = COMMANDS[name]
    module = importlib.import_module(module_name)
    parser = argparse.ArgumentParser(prog=f"python -m dr_ovo {name}", description=what)
    module.add_arguments(parser)
    arguments = parser.parse_args(sys.argv[2:])
    return run(lambda: module.command(arguments))


if __name__ == "__main__":
    sys.exit(main())
