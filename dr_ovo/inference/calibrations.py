"""What evaluations on val left for networks that grade: calibration, temperatures and thresholds.

They are of the probabilities that were evaluated, and are not used for others: where the prior is
corrected now and was not then, or where no thresholds of the expected grade were fitted.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from dr_ovo.decoding.decoders import Fitted
from dr_ovo.decoding.heads import EXPECTED, decoder_option, head_of
from dr_ovo.errors import UserError, log
from dr_ovo.inference.trained_model import TrainedModel, can_be_corrected, fitted_for
from dr_ovo.predictions.calibration_file import Calibration, load_calibration
from dr_ovo.results.folder import GRADE_FROM, MEMBER_TEMPERATURES, ResultsFolder
from dr_ovo.results.made_from import MADE_FROM, check_evaluation_files, checkpoint_digests
from dr_ovo.settings.train_config import TrainConfig

Decoded = tuple[TrainedModel, TrainConfig]  # a model, and the settings by which it is decoded
SAME = 1e-4  # of a temperature: another machine fits one that differs by less


def calibration_or_reason(
    folder: ResultsFolder, pairs: Sequence[Decoded], temperatures: Sequence[float]
) -> tuple[Calibration | None, str]:
    """The calibration that the evaluation on val of just these models, their prior corrected and
    their probabilities tempered as now, left in a folder; or None, and why."""
    if not folder.calibration.is_file():
        return None, f"{folder.root} is not evaluated: --mode evaluate"
    try:
        check_evaluation_files(folder, ["val"])
        calibration = load_calibration(folder.calibration)
    except UserError as error:
        return None, str(error)
    report = folder.read_evaluation("val")
    before = report.get(MADE_FROM, {}).get("checkpoints")
    if not _same_prior(report, pairs):
        # What earlier versions say of a mean need not be so.
        advice = "give the same, or evaluate again" if len(pairs) == 1 else "evaluate them again"
        return None, f"{folder.root} was evaluated with {_prior_of(report)}: {advice}"
    if before is not None and before != _checkpoints(pairs):
        return None, f"{folder.root} was evaluated with other checkpoints: --mode evaluate"
    if not _same_temperatures(report, pairs, temperatures):
        return None, _other_temperatures(folder)
    return calibration, ""


def known_expected(
    folder: ResultsFolder, pairs: Sequence[Decoded], temperatures: Sequence[float]
) -> Fitted | None:
    """What gives the grades of the mean from the expected one, as in its evaluation in a folder;
    None unless all models decode so. Rounding, and said, without an evaluation of the mean of just
    these, decoded so and tempered as now."""
    if not all(is_expected(*pair) for pair in pairs):
        return None
    report = folder.read_evaluation("val")
    known = report.get(MADE_FROM, {}).get("checkpoints") == _checkpoints(pairs)
    if not known or not folder.calibration.is_file():
        log.warning(
            "The mean of these models is not evaluated in %s: its expected grade is rounded. "
            "Evaluate it first, with the same --base_models: --mode evaluate",
            folder.root,
        )
        return Fitted()
    check_evaluation_files(folder, ["val"])
    grade_from = report.get(GRADE_FROM, EXPECTED)  # earlier versions don't say
    if not _same_prior(report, pairs) or grade_from != EXPECTED:
        _say_rounded(folder, grade_from, report)
        return Fitted()
    if not _same_temperatures(report, pairs, temperatures):
        log.warning("%s. Till then expected grades are rounded.", _other_temperatures(folder))
        return Fitted()
    return Fitted(thresholds=load_calibration(folder.calibration).grade_thresholds)


def calibrated_on(models: Sequence[TrainedModel]) -> list[str]:
    """The splits whose evaluations name the calibration."""
    both = all(model.folder.evaluation("val").is_file() for model in models)
    return ["val"] if both else ["val", "test"]


def is_expected(model: TrainedModel, config: TrainConfig) -> bool:
    """Whether a model's grades come from the expected one."""
    return head_of(model.meta["head"]).decoder(config.decoder) == EXPECTED


def known_fitted(model: TrainedModel, config: TrainConfig) -> Fitted:
    """What decodes a model's logits; the thresholds of the expected grade from its calibration.
    Rounding where it has none; and said, where it was evaluated otherwise."""
    fitted = fitted_for(model, corrected=config.prior_correction)
    head, folder = head_of(model.meta["head"]), model.folder
    if head.is_number or not is_expected(model, config) or not folder.calibration.is_file():
        return fitted
    report = _evaluated(folder)
    decoder = report.get("decoder", EXPECTED)
    if not _same_prior(report, [(model, config)]) or decoder != EXPECTED:
        _say_rounded(folder, decoder, report)
        return fitted
    known = load_calibration(folder.calibration)
    return dataclasses.replace(
        fitted, thresholds=known.grade_thresholds, temperature=known.temperature
    )


def known_temperature(model: TrainedModel, config: TrainConfig) -> float:
    """The temperature of a model's probabilities where they are averaged with others; 1, and said,
    of a model that was not evaluated, or whose prior was corrected otherwise."""
    folder, advice = model.folder, "Evaluate it first: --mode evaluate --splits val"
    if not folder.calibration.is_file():
        reason = "has no calibration.json"
    elif not _same_prior(report := _evaluated(folder), [(model, config)]):
        reason = f"was evaluated with {_prior_of(report)}"
        advice = "Give the same, or evaluate it again with these options: --mode evaluate"
    else:
        return load_calibration(folder.calibration).temperature
    log.warning(
        "%s %s: its probabilities are averaged as they are, others tempered. %s",
        folder.root, reason, advice,
    )  # fmt: skip
    return 1.0


def _evaluated(folder: ResultsFolder) -> dict[str, Any]:
    """An evaluation by which a folder's calibration was made, or for which it was used."""
    return folder.read_evaluation("val") or folder.read_evaluation("test")


def _checkpoints(pairs: Sequence[Decoded]) -> dict[str, str]:
    return checkpoint_digests([model.folder for model, _ in pairs])


def _same_prior(report: dict[str, Any], pairs: Sequence[Decoded]) -> bool:
    """Whether the prior of these models, as far as it can be, is corrected as in an evaluation."""
    corrected = {c.prior_correction for model, c in pairs if can_be_corrected(model.meta["head"])}
    return corrected <= {report.get("prior_corrected", False)}


def _same_temperatures(
    report: dict[str, Any], pairs: Sequence[Decoded], temperatures: Sequence[float]
) -> bool:
    """Whether the models have the temperatures by which their mean was evaluated, as far as it
    says: earlier versions don't."""
    before = report.get(MEMBER_TEMPERATURES)
    names = [model.folder.root.resolve().name for model, _ in pairs]
    return before is None or all(
        math.isclose(before.get(name, now), now, rel_tol=SAME)
        for name, now in zip(names, temperatures, strict=True)
    )


def _other_temperatures(folder: ResultsFolder) -> str:
    return (
        f"{folder.root} was evaluated with other temperatures than its models have now: evaluate "
        "them again, together: --mode evaluate"
    )


def _prior_of(report: dict[str, Any]) -> str:
    return f"--prior_correction {str(report.get('prior_corrected', False)).lower()}"


def _say_rounded(folder: ResultsFolder, decoder: str, report: dict[str, Any]) -> None:
    log.warning(
        "%s was evaluated with --decoder %s %s, and its calibration is for that: expected grades "
        "are rounded now. Give the same options, or evaluate again with these: --mode evaluate",
        folder.root, decoder_option(decoder), _prior_of(report),
    )  # fmt: skip
