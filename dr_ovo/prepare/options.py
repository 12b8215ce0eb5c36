"""The options of `prepare_dataset.py`: one frozen dataclass; its command line follows from it."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError

SMALLEST, LARGEST = 64, 4096  # pixels a side of a shrunken photograph
ABOUT = (
    "Makes a dataset folder, train/ val/ test/ with a folder per grade and manifest.json, from "
    "photographs and their grades: no patient, group or look-alike in two splits. With --from_tree "
    "and --preprocess it shrinks a dataset folder, changes nothing else and looks for no leaks."
)


def _about(parse: Callable[[str], Any], help: str, metavar: str = "") -> dict[str, Any]:
    return {"parse": parse, "help": help, "metavar": metavar or None}


def _column(what: str) -> Any:
    return field(default="", metadata=_about(str, f"column of {what}", "NAME"))


@dataclass(frozen=True)
class PrepareOptions:
    """What to prepare from what. Raises UserError for options that don't go together."""

    images: Path | None = field(
        default=None,
        metadata=_about(Path, "folder of photographs (with --labels), or a MedMNIST .npz", "DIR"),
    )
    labels: Path | None = field(
        default=None, metadata=_about(Path, "CSV with a row for each photograph", "CSV")
    )
    from_tree: Path | None = field(
        default=None,
        metadata=_about(
            Path, "folder of grades, with or without train/ val/ test/, which are kept", "DIR"
        ),
    )
    output: Path | None = field(
        default=None, metadata=_about(Path, "the new dataset folder", "DIR")
    )
    image_column: str = _column("file names [by its usual names]")
    grade_column: str = _column("grades 0 to 4 [by its usual names]")
    patient_column: str = _column("patients [by its usual names, else from names as 10_left]; none")
    eye_column: str = _column("eyes [by its usual names, else from names as 10_left]; none")
    group_column: str = _column("visits or sites: a group stays in one split")
    split_column: str = _column("official splits, kept [by its usual names]; none: split anew")
    val_fraction: float = field(
        default=0.1, metadata=_about(float, "share of photographs for val [0.1]")
    )
    test_fraction: float = field(
        default=0.2, metadata=_about(float, "share of photographs for test [0.2]")
    )
    seed: int = field(default=42, metadata=_about(int, "another seed, another split [42]"))
    preprocess: int | None = field(
        default=None, metadata=_about(int, "crop to the disc and resize to SIZE px", "SIZE")
    )
    balance: bool = field(
        default=False,
        metadata=_about(bool, "sampling weights for --sampler balanced; copies nothing"),
    )
    dry_run: bool = field(
        default=False, metadata=_about(bool, "show splits and what would be dropped; write nothing")
    )

    def __post_init__(self) -> None:
        if self.output is None:
            raise UserError("--output is missing: name the new dataset folder.")
        if (self.images is None) == (self.from_tree is None):
            raise UserError(
                "Give one source: --images DIR with --labels CSV, --images FILE.npz, or "
                "--from_tree DIR."
            )
        if self.preprocess is not None and not SMALLEST <= self.preprocess <= LARGEST:
            raise UserError(
                f"--preprocess {self.preprocess}: expected {SMALLEST} to {LARGEST} pixels."
            )
        if self.seed < 0:
            raise UserError(f"--seed {self.seed}: expected 0 or more.")
        Fractions(self.val_fraction, self.test_fraction)
        self._check_source()
        self._check_output()

    def _check_source(self) -> None:
        if self.images is not None and not self.is_medmnist and self.labels is None:
            raise UserError(f"--images {self.images} needs --labels CSV, a row for each picture.")
        if self.images is not None and not self.is_medmnist:
            return
        source = "--from_tree" if self.from_tree else "--images FILE.npz"
        if self.labels:
            raise UserError(f"{source} has its grades already: leave --labels out.")
        given = [role for role, name in self.columns.items() if name]
        if given and not (given == ["split"] and self.from_tree and self.split_column == "none"):
            raise UserError(
                f"{source} has no columns: leave --{given[0]}_column out"
                + (" (but --split_column none splits a tree anew)." if self.from_tree else ".")
            )
        if self.shrinks and self._changed():
            raise UserError(
                f"--from_tree with --preprocess only shrinks: leave {self._changed()[0]} out, or "
                "prepare without --preprocess first (links cost no room), then shrink the result."
            )

    def _check_output(self) -> None:
        source, output = (self.images or self.from_tree), self.output
        assert source is not None
        assert output is not None
        if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
            raise UserError(f"--output {output} is inside {source}: choose a folder outside it.")

    def _changed(self) -> list[str]:
        names = ("split_column", "val_fraction", "test_fraction", "seed", "balance")
        usual = {option.name: option.default for option in dataclasses.fields(self)}
        return [f"--{name}" for name in names if getattr(self, name) != usual[name]]

    @property
    def folder(self) -> Path:
        """The new dataset folder."""
        assert self.output is not None
        return self.output

    @property
    def is_medmnist(self) -> bool:
        """Whether the source is one file of small pictures."""
        return self.images is not None and self.images.suffix.lower() == ".npz"

    @property
    def shrinks(self) -> bool:
        """Whether a dataset folder is only to be shrunk."""
        return self.from_tree is not None and self.preprocess is not None

    @property
    def columns(self) -> dict[str, str]:
        """Role -> the column that a flag names, "" where none does."""
        roles = ("image", "grade", "patient", "eye", "group", "split")
        return {role: getattr(self, f"{role}_column") for role in roles}


def parse_options(argv: Sequence[str], prog: str = "prepare_dataset.py") -> PrepareOptions:
    """The options on a command line. Raises UserError; a flag that is unknown ends it (exit 2)."""
    parser = argparse.ArgumentParser(prog=prog, description=ABOUT)
    for option in dataclasses.fields(PrepareOptions):
        about, name = option.metadata, f"--{option.name}"
        if about["parse"] is bool:
            parser.add_argument(name, action="store_true", help=about["help"])
        else:
            words = {"help": about["help"], "metavar": about["metavar"]}
            parser.add_argument(name, type=about["parse"], default=option.default, **words)
    return PrepareOptions(**vars(parser.parse_args(argv)))


@dataclass(frozen=True)
class Fractions:
    """The shares of photographs that go to val and test. Raises UserError for impossible ones."""

    val: float
    test: float

    def __post_init__(self) -> None:
        if not (self.val > 0 and self.test > 0 and self.val + self.test < 1):
            raise UserError(
                f"--val_fraction {self.val} and --test_fraction {self.test}: both above 0, and "
                "below 1 together."
            )
