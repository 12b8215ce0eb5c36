"""`python -m dr_ovo COMMAND`, or `dr_ovo COMMAND`; the root scripts are one command each."""

from __future__ import annotations

import sys

from dr_ovo.signals import end_at_once, importing

# Everything else is imported inside the functions, after `end_at_once`: until then Ctrl-C would
# print a traceback.

# Command -> its module in dr_ovo/commands, and what it does.
COMMANDS = {
    "train": ("trainer", "trains an architecture, or several"),
    "evaluate": ("trainer", "evaluates trained models on val and test"),
    "inference": ("trainer", "grades photographs without labels"),
    "predict": ("predict", "verdicts on photographs, eyes and patients"),
    "explain": ("explain", "maps of what each place of a photograph contributes to its grade"),
    "prepare": ("prepare", "makes a dataset folder from photographs and their grades"),
    "analyze": ("reports.analyze", "shows what checkpoints hold"),
    "compare": ("reports.compare", "which model to trust: intervals and paired tests"),
    "diversity": ("reports.diversity", "how differently models err"),
    "strengths": ("reports.strengths", "where each model is strong, by grade and pair"),
    "ensemble": ("reports.ensemble", "several models as one"),
    "validate": ("reports.validate", "models held against criteria"),
    "report": ("reports.report", "all reports on one page"),
    "card": ("reports.card", "the model card of a results folder"),
    "audit": ("audit", "what makes the scores on a dataset too good: copies, patients, filters"),
    "cache": ("cache", "lists the decoded photographs that are kept, and deletes them"),
    "rerun": ("rerun", "trains again from a results folder, and says what came out the same"),
    "doctor": ("doctor", "whether this machine and a dataset are ready for training"),
    "simulate": ("simulate", "writes results of simulated models, to try the reports on"),
    "synthetic": ("synthetic", "draws a dataset of synthetic fundus photographs"),
}
TRAINER_MODES = ("train", "evaluate", "inference")


def main() -> int:
    """Runs the command that the first argument names; the exit code."""
    end_at_once()
    import argparse
    from pathlib import Path

    from dr_ovo.errors import code_to_end_with, run

    # A Python that was started with -m calls the program __main__.py.
    prog = "python -m dr_ovo" if Path(sys.argv[0]).name == "__main__.py" else "dr_ovo"
    words = [f"  {name:<12}{what}" for name, (_, what) in COMMANDS.items()]
    top = argparse.ArgumentParser(
        prog=prog,
        description="commands:\n" + "\n".join(words),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    name = top.parse_args(sys.argv[1:2]).command
    return code_to_end_with(run(lambda: _command(name, sys.argv[2:], f"{prog} {name}")))


def run_script(module: str) -> int:
    """Runs the command in `dr_ovo/commands/<module>` as the script that was started."""
    end_at_once()
    from pathlib import Path

    from dr_ovo.errors import code_to_end_with, run

    return code_to_end_with(run(lambda: _run(module, sys.argv[1:], Path(sys.argv[0]).name)))


def _command(name: str, argv: list[str], prog: str) -> int:
    module, _ = COMMANDS[name]
    if name in TRAINER_MODES:
        if any(word.partition("=")[0] == "--mode" for word in argv):
            from dr_ovo.errors import UserError

            raise UserError(f"{prog} is --mode {name}: leave --mode out.")
        argv = ["--mode", name, *argv]
    return _run(module, argv, prog)


def _run(module: str, argv: list[str], prog: str) -> int:
    command = _import(module)
    if module.startswith("reports."):  # the others begin a log themselves, or have nothing to say
        with importing():
            from dr_ovo.logs import start_log
        start_log()
    code: int = command.main(argv, prog)
    return code


def _import(module: str):  # type: ignore[no-untyped-def]
    """The one module that a command needs."""
    import importlib

    with importing():
        return importlib.import_module(f"dr_ovo.commands.{module}")


if __name__ == "__main__":
    sys.exit(main())
