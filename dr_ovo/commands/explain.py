"""Flags of `python -m dr_ovo explain`: which places of a photograph carry its grade."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dr_ovo.choices import MAP_STRIDES, MAX_MEGAPIXELS
from dr_ovo.errors import UserError
from dr_ovo.grading.models import words_for
from dr_ovo.logs import start_log
from dr_ovo.results.maps_file import FOLDER
from dr_ovo.settings.command_line import parse_settings
from dr_ovo.settings.option import positive
from dr_ovo.signals import importing
from dr_ovo.writable import check_writable_folder


def main(argv: Sequence[str], prog: str) -> int:
    """Maps, writes the folder; returns the exit code."""
    args = _parser(prog).parse_args(argv)
    start_log()
    models: Path = args.models
    if not models.exists():
        raise UserError(f"{models}: there is no such results folder or ensemble manifest.")
    output: Path = args.output or (models if models.is_dir() else models.parent) / FOLDER
    check_writable_folder(output, "--output")
    words = [
        *words_for(models),
        *("--input", *args.input, "--device", args.device),
        *("--num_workers", str(args.num_workers), "--max_megapixels", str(args.max_megapixels)),
    ]
    settings = parse_settings(words, prog)
    with importing():
        from dr_ovo.explanations.explain import Request, explain

    return explain(settings, Request(output, args.map_stride))


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Maps of what each place of a photograph contributes to its grade, and to that "
        "grade against the most probable other one. A map shows what the network used, not where "
        "lesions are. Research use only; not a medical device.",
    )
    add = parser.add_argument
    add("models", type=Path, metavar="RESULTS_DIR",
        help="results folder of a trained model, or an ensemble manifest")  # fmt: skip
    add("--input", nargs="+", required=True, metavar="FILE|DIR",
        help="photographs, or folders of them")  # fmt: skip
    add("--output", type=Path, metavar="DIR", help=f"folder for the maps [RESULTS_DIR/{FOLDER}]")
    add("--map_stride", type=int, choices=MAP_STRIDES, default=MAP_STRIDES[0],
        help="pixels of the network's input that a step on a map is; the finer maps do not add up "
        f"to the logits [{MAP_STRIDES[0]}]")  # fmt: skip
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... [auto]")
    add("--num_workers", type=int, default=4, metavar="COUNT", help="decoding processes [4]")
    add("--max_megapixels", type=positive, default=MAX_MEGAPIXELS, metavar="MEGAPIXELS",
        help=f"larger photographs are not read [{MAX_MEGAPIXELS}]")  # fmt: skip
    return parser
