"""Finds the models of a report by name or folder: search places, folder suffix, closest names."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dr_ovo.errors import UserError, log
from dr_ovo.models.architectures import ARCHITECTURES, architecture_of
from dr_ovo.predictions.calibration_file import VAL_OF_FOLDS
from dr_ovo.predictions.predictions_file import MARKS
from dr_ovo.predictions.same_answer import ADVICE, stopped_words
from dr_ovo.results.alignment import align
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.model_results import ModelResults, read_results
from dr_ovo.results.one_piece import say_unverified

SUFFIX = "_5class_results"
PLACES = (".", "./v2.5-model-dr")  # searched for a model given by name only


@dataclass(frozen=True, eq=False)
class ResultSet:
    """Models with the same samples in the same order, on val and on test."""

    models: tuple[ModelResults, ...]

    @property
    def names(self) -> list[str]:
        """The models' names, in the order given."""
        return [model.name for model in self.models]

    @property
    def marks(self) -> list[str]:
        """Warnings that apply to all figures: SYNTHETIC, SIMULATED, LEAKY."""
        return [mark for mark in MARKS if any(mark in one.facts.marks for one in self.models)]

    @property
    def val_words(self) -> str:
        """What stands in place of val: for models of `--folds` train and val, out of fold."""
        return VAL_OF_FOLDS if any(model.out_of_fold for model in self.models) else "val"

    def named(self, name: str) -> ModelResults:
        """The model of that name, alias or timm name. Raises UserError with the closest names."""
        for model in self.models:
            if name in _names_of(model):
                return model
        raise UserError(f"There is no model '{name}' among them.{_nearest(name, self.names)}")


def open_results(
    results_dirs: Sequence[Path], models: Sequence[str], *, intersect: bool, min_models: int = 1
) -> ResultSet:
    """The models in the folders or, where `models` are named, only those, from there or PLACES.

    Raises UserError for models that can't be found or read, for one given twice, for fewer than
    `min_models`, and for models with different grades or, unless `intersect` keeps the common
    ones, different samples.
    """
    folders = _named_folders(results_dirs, models) if models else list(results_dirs)
    if not folders:
        raise UserError(
            "No model is given. Name results folders (--results_dirs ./*_5class_results) or "
            "models (--models coatnet convnext)."
        )
    _refuse_twice(folders)
    found = [read_results(folder, name) for folder, name in _with_names(folders)]
    say_unverified([ResultsFolder(model.folder) for model in found if not model.verified])
    for model in found:
        if model.facts.stopped:
            log.warning("%s: %s %s", model.folder, stopped_words(model.facts.stopped), ADVICE)
    if any(model.out_of_fold for model in found):
        log.info("Models of --folds: what is called val is %s.", VAL_OF_FOLDS)
    if len(found) < min_models:
        raise UserError(
            f"{found[0].folder} alone: this needs at least {min_models} models. Give more with "
            "--results_dirs or --models."
        )
    return ResultSet(tuple(align(found, intersect=intersect)))


def _refuse_twice(folders: Sequence[Path]) -> None:
    seen: set[Path] = set()
    for folder in folders:
        if folder.resolve() in seen:
            raise UserError(f"{folder} is given twice. Give each model once.")
        seen.add(folder.resolve())


def _with_names(folders: Sequence[Path]) -> list[tuple[Path, str]]:
    """Each folder with its model's name: `coatnet`, or `seed1/coatnet` where names repeat."""
    names = {folder: folder.resolve().name.removesuffix(SUFFIX) for folder in folders}
    parents = {folder: folder.resolve().parent for folder in folders}
    # Folders differ, so their names do too once enough parents are prepended.
    while repeated := [f for f in folders if list(names.values()).count(names[f]) > 1]:
        for folder in repeated:
            names[folder] = f"{parents[folder].name}/{names[folder]}"
            parents[folder] = parents[folder].parent
    return list(names.items())


def _named_folders(results_dirs: Sequence[Path], models: Sequence[str]) -> list[Path]:
    """The folder of each named model: among those given, else in PLACES."""
    given = {folder.resolve().name.removesuffix(SUFFIX): folder for folder in results_dirs}
    return [_find(name, given) for name in models]


def _find(name: str, given: dict[str, Path]) -> Path:
    known = architecture_of(name)
    spellings = [name, *((known.alias, known.timm_name) if known else ())]
    for spelling in spellings:
        if spelling in given:
            return given[spelling]
    for place in PLACES:
        for spelling in spellings:
            folder = Path(place, f"{spelling}{SUFFIX}")
            if folder.is_dir():
                return folder
    there = [
        p.name.removesuffix(SUFFIX) for place in PLACES for p in Path(place).glob(f"*{SUFFIX}")
    ]
    places = " or ".join(f"{place}/{spellings[-1 if not known else 1]}{SUFFIX}" for place in PLACES)
    raise UserError(
        f"There are no results of a model '{name}': no such folder among --results_dirs, and no "
        f"{places}.{_nearest(name, [*given, *there, *ARCHITECTURES])}"
    )


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, list(dict.fromkeys(known)), n=5, cutoff=0.4)
    return f" Nearest names: {', '.join(near)}." if near else f" Known: {', '.join(known)}."


def _names_of(model: ModelResults) -> set[str]:
    known = architecture_of(model.facts.architecture) if model.facts.architecture else None
    return {model.name, *((known.alias, known.timm_name) if known else ())}
