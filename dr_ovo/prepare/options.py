"""The options of prepare_dataset.py, their help texts, defaults and checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dr_ovo.choices import MAX_MEGAPIXELS
from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.label_files.label_text import refuse_packed
from dr_ovo.settings.option import positive

SMALLEST, LARGEST = 64, 4096  # pixels per side of a shrunken photograph


def _about(parse: Callable[[str], Any], help: str, metavar: str = "") -> dict[str, Any]:
    return {"parse": parse, "help": help, "metavar": metavar or None}


def _column(what: str) -> Any:
    return field(default="", metadata=_about(str, f"column of {what}", "NAME"))


def _many(parse: Callable[[str], Any], help: str, metavar: str) -> Any:
    return field(default=(), metadata=_about(parse, help, metavar))


def _switch(help: str) -> Any:
    return field(default=False, metadata=_about(bool, help))


@dataclass(frozen=True)
class PrepareOptions:
    """The options; the command line is built from the fields. Raises UserError for conflicts."""

    images: Path | None = field(
        default=None,
        metadata=_about(Path, "folder of photographs (with --labels), or a MedMNIST .npz", "DIR"),
    )
    labels: tuple[Path, ...] = _many(
        Path,
        "CSV with one row per photograph; of several, each is the split that its name says",
        "CSV",
    )
    from_tree: Path | None = field(
        default=None,
        metadata=_about(
            Path,
            "folders of grades, with or without train/ val/ test/, which are kept",
            "DIR",
        ),
    )
    output: Path | None = field(
        default=None, metadata=_about(Path, "the new dataset folder", "DIR")
    )
    image_column: str = _column("file names [found by usual names]")
    grade_column: str = _column("grades 0 to 4 [found by usual names]")
    patient_column: str = _column(
        "patients [found by usual names, else from file names such as 10_left]; none: ignore it"
    )
    eye_column: str = _column(
        "eyes [found by usual names, else from file names such as 10_left]; none: ignore it"
    )
    group_column: str = _column("visits or sites: a group stays in one split")
    split_column: str = _column("official splits, kept [found by usual names]; none: split again")
    gradable_column: str = _column(
        "0 or no for photographs without a grade [found by usual names]; none: ignore it"
    )
    class_names: tuple[str, ...] = _many(
        str, "classes other than ICDR's five grades, mildest first: No_DR DR", "NAME"
    )
    grade_map: tuple[str, ...] = _many(
        str,
        "what labels mean: R0=0 R1=1 R2=3 R3=4; 1,2,3=NPDR joins grades to a class; other=- "
        "says no grade",
        "LABEL=GRADE",
    )
    skip_ungraded: bool = _switch("leave out rows with a number outside the scale, and list them")
    skip_missing: bool = _switch("leave out rows whose photograph is not there, and list them")
    exclude: tuple[Path, ...] = _many(
        Path, "folders of photographs: what they have too is left out", "DIR"
    )
    val_fraction: float = field(
        default=0.1, metadata=_about(float, "share of photographs for val [0.1]")
    )
    test_fraction: float = field(
        default=0.2, metadata=_about(float, "share of photographs for test [0.2]")
    )
    seed: int = field(default=42, metadata=_about(int, "seed of the split [42]"))
    preprocess: int | None = field(
        default=None, metadata=_about(int, "crop to the disc and resize to SIZE px", "SIZE")
    )
    max_megapixels: float = field(
        default=MAX_MEGAPIXELS,
        metadata=_about(
            positive, f"a larger photograph counts as unreadable [{MAX_MEGAPIXELS:g}]", "N"
        ),
    )
    balance: bool = _switch("write weights for --sampler balanced; no picture is copied")
    dry_run: bool = _switch("show splits and what would be dropped; write nothing")

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
        for flag, path in (("--images", self.images), ("--from_tree", self.from_tree)):
            if path is not None:
                refuse_packed(flag, path)
        self._check_source()
        self._check_output()

    def _check_source(self) -> None:
        if self.images is not None and not self.is_medmnist and not self.labels:
            raise UserError(f"--images {self.images} needs --labels CSV, one row per photograph.")
        if self.images is not None and not self.is_medmnist:
            return
        source = "--from_tree" if self.from_tree else "--images FILE.npz"
        if self.labels:
            raise UserError(f"{source} already has grades: leave --labels out.")
        given = [role for role, name in self.columns.items() if name]
        if given and not (given == ["split"] and self.from_tree and self.split_column == "none"):
            raise UserError(
                f"{source} has no columns: leave --{given[0]}_column out"
                + (" (only --split_column none is allowed)." if self.from_tree else ".")
            )
        for flag in ("skip_ungraded", "skip_missing"):
            if getattr(self, flag):
                raise UserError(f"{source} has no rows of labels: leave --{flag} out.")
        if self.shrinks and self._changed():
            raise UserError(
                f"--from_tree with --preprocess only shrinks: leave {self._changed()[0]} out, or "
                "prepare without --preprocess first (links take no space), then shrink the result."
            )

    def _check_output(self) -> None:
        source, output = (self.images or self.from_tree), self.output
        assert source is not None
        assert output is not None
        if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
            raise UserError(f"--output {output} is inside {source}: choose a folder outside it.")
        for folder in map(Path.resolve, self.exclude):
            for other in (source.resolve(), output.resolve()):
                if folder.is_relative_to(other) or other.is_relative_to(folder):
                    raise UserError(
                        f"--exclude {folder} and {other} lie inside one another: give a folder "
                        "that lies apart from the photographs and from --output."
                    )

    def _changed(self) -> list[str]:
        names = (
            "split_column", "class_names", "grade_map", "exclude", "val_fraction",
            "test_fraction", "seed", "balance",
        )  # fmt: skip
        defaults = {option.name: option.default for option in dataclasses.fields(self)}
        return [f"--{name}" for name in names if getattr(self, name) != defaults[name]]

    @property
    def folder(self) -> Path:
        """The new dataset folder."""
        assert self.output is not None
        return self.output

    @property
    def is_medmnist(self) -> bool:
        """Whether the source is a MedMNIST file."""
        return self.images is not None and self.images.suffix.lower() == ".npz"

    @property
    def shrinks(self) -> bool:
        """Whether the pictures of a dataset folder are only to be shrunk."""
        return self.from_tree is not None and self.preprocess is not None

    @property
    def columns(self) -> dict[str, str]:
        """Role -> the column that its flag names, "" without."""
        roles = ("image", "grade", "patient", "eye", "group", "split", "gradable")
        return {role: getattr(self, f"{role}_column") for role in roles}


def limit_of_size(options: PrepareOptions) -> dict[str, float]:
    """The limit among the settings that determine a folder's content; left out where it is usual,
    as in folders of version 0.1.0."""
    limit = options.max_megapixels
    return {} if limit == MAX_MEGAPIXELS else {"max_megapixels": limit}


@dataclass(frozen=True)
class Fractions:
    """The shares of photographs for val and test. Raises UserError for impossible ones."""

    val: float
    test: float

    def __post_init__(self) -> None:
        if not (self.val > 0 and self.test > 0 and self.val + self.test < 1):
            raise UserError(
                f"--val_fraction {self.val} and --test_fraction {self.test}: expected both above "
                "0 and their sum below 1."
            )
