"""Flags of predict.py: from photographs to verdicts on eyes and patients."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dr_ovo.choices import MAP_STRIDES, MAX_MEGAPIXELS
from dr_ovo.distributed.place import place_in_environment
from dr_ovo.errors import UserError
from dr_ovo.grading.models import words_for
from dr_ovo.logs import start_log
from dr_ovo.predictions.conformal import COVERAGE
from dr_ovo.settings.command_line import parse_settings
from dr_ovo.settings.option import positive
from dr_ovo.signals import importing
from dr_ovo.writable import check_writable_folder

LEAST, MOST = 0.5, 0.999  # coverage


def main(argv: Sequence[str], prog: str) -> int:
    """Grades, writes the folder, prints the summary; returns the exit code."""
    args = _parser(prog).parse_args(argv)
    place = place_in_environment()
    start_log(rank=place.rank if place else 0)
    models: Path = args.models
    if not models.exists():
        raise UserError(f"--models {models}: there is no such results folder or ensemble manifest.")
    output: Path = args.output or (models if models.is_dir() else models.parent) / "reading"
    check_writable_folder(output, "--output")
    if args.first_reader is not None and not args.first_reader.exists():
        raise UserError(f"--first_reader {args.first_reader}: there is no such file or folder.")
    words = [
        *words_for(models),
        *("--input", *args.input, "--device", args.device),
        *("--num_workers", str(args.num_workers), "--max_megapixels", str(args.max_megapixels)),
    ]
    if args.map_stride is not None and not args.explain:
        raise UserError("--map_stride is the step of maps: give --explain, too.")
    settings = parse_settings(words, prog)
    with importing():
        from dr_ovo.distributed.launch import launched
        from dr_ovo.grading.predict import Request, predict

    with launched() as launch:
        stride = (args.map_stride or MAP_STRIDES[0]) if args.explain else None
        request = Request(output, args.coverage, args.first_reader, stride)
        return predict(settings, launch, request)


def _coverage(text: str) -> float:
    value = positive(text)
    if not LEAST <= value <= MOST:
        raise argparse.ArgumentTypeError(f"expected a share from {LEAST} to {MOST}, not {text}")
    return value


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="From photographs to verdicts on eyes and patients: referable, "
        "vision-threatening, negative, ungradable, or for a person. By retinopathy grade alone; "
        "macular oedema is not assessed. Research use only; not a medical device.",
    )
    add = parser.add_argument
    add("--models", type=Path, required=True, metavar="DIR|FILE",
        help="an evaluated results folder, or an ensemble manifest")  # fmt: skip
    add("--input", nargs="+", required=True, metavar="FILE|DIR",
        help="photographs, or folders of them")  # fmt: skip
    add("--output", type=Path, metavar="DIR", help="folder for the results [DIR/reading]")
    add("--first_reader", type=Path, metavar="CSV|DIR",
        help="a person's grades of the same photographs: a CSV with file name and grade, or the "
        "photographs in a folder for each grade")  # fmt: skip
    add("--coverage", type=_coverage, default=COVERAGE, metavar="SHARE",
        help=f"of the sets of likely grades [{COVERAGE}]")  # fmt: skip
    add("--explain", action="store_true",
        help="maps of what each place of a photograph contributes to its grade, for those on the "
        "page")  # fmt: skip
    add("--map_stride", type=int, choices=MAP_STRIDES,
        help=f"pixels of the input that a step on a map is [{MAP_STRIDES[0]}]")  # fmt: skip
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... [auto]")
    add("--num_workers", type=int, default=4, metavar="COUNT", help="decoding processes [4]")
    add("--max_megapixels", type=positive, default=MAX_MEGAPIXELS, metavar="MEGAPIXELS",
        help=f"larger photographs are not read [{MAX_MEGAPIXELS}]")  # fmt: skip
    return parser
