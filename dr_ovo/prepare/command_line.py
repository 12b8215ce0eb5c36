"""Reads the command line of prepare_dataset.py."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

from dr_ovo.prepare.options import PrepareOptions

ABOUT = (
    "Creates a dataset folder (train/ val/ test/ with a folder per grade, and manifest.json) from "
    "photographs and their grades; no patient, group or look-alike is in two splits. With "
    "--from_tree and --preprocess it only shrinks the pictures of a dataset folder and does not "
    "check for leaks."
)


def parse_options(argv: Sequence[str], prog: str = "prepare_dataset.py") -> PrepareOptions:
    """The options of a command line. Raises UserError; an unknown flag exits with code 2."""
    parser = argparse.ArgumentParser(prog=prog, description=ABOUT)
    for option in dataclasses.fields(PrepareOptions):
        about, flag = option.metadata, f"--{option.name}"
        if about["parse"] is bool:
            parser.add_argument(flag, action="store_true", help=about["help"])
            continue
        texts: dict[str, Any] = {"help": about["help"], "metavar": about["metavar"]}
        if isinstance(option.default, tuple):  # a flag given again adds to its values
            texts |= {"nargs": "+", "action": "extend", "default": []}
        else:
            texts |= {"default": option.default}
        parser.add_argument(flag, type=about["parse"], **texts)
    given: dict[str, Any] = vars(parser.parse_args(argv))
    given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    return PrepareOptions(**given)
