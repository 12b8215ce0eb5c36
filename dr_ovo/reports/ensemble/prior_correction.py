"""Whether what class weights added in training is taken from all members of an ensemble, or none.

As `--mode evaluate` has it for a mean: probabilities of both kinds are not combined.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from dr_ovo.decoding.heads import HEADS
from dr_ovo.errors import UserError
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.made_from import MADE_FROM
from dr_ovo.results.model_results import ModelResults

NUMBERS = tuple(name for name, head in HEADS.items() if head.is_number)


def require_one_prior(models: Sequence[ModelResults]) -> None:
    """Raises UserError where the models' probabilities would be mixed, as `mixed_priors` says."""
    if mixed := mixed_priors(models):
        raise UserError(
            f"The ensemble of these models would mix probabilities: {mixed}. Evaluate all of them "
            "with --prior_correction, or all with --no-prior_correction; or leave some out."
        )


def mixed_priors(models: Sequence[ModelResults]) -> str:
    """Of which models the prior is corrected, and of which not; "" where they are alike. Models
    that answer with a number, of which nothing can be corrected, are like any."""
    folders: dict[bool, list[str]] = {True: [], False: []}
    for model in models:
        if (corrected := _is_corrected(model)) is not None:
            folders[corrected].append(str(model.folder))
    if not all(folders.values()):
        return ""
    on, off = (", ".join(folders[answer]) for answer in (True, False))
    return f"--prior_correction is on for {on} and off for {off}"


def is_any_corrected(models: Sequence[ModelResults]) -> bool:
    """Whether the prior of any model is corrected: of models that are alike, of all that can be."""
    return any(_is_corrected(model) for model in models)


def _is_corrected(model: ModelResults) -> bool | None:
    """Whether the prior of a model is corrected; None where it can't be, or was not recorded."""
    head, folder = model.test.head, ResultsFolder(model.folder)
    if head in HEADS:
        known = folder.evaluation("test").is_file() and not HEADS[head].is_number
        return model.facts.prior_corrected if known else None
    report = folder.read_evaluation("test")
    names = report.get(MADE_FROM, {}).get("checkpoints", {})
    if names and all(PurePosixPath(name).stem.endswith(NUMBERS) for name in names):
        return None
    return report.get("prior_corrected")
