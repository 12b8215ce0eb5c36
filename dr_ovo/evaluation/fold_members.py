"""The members of `--folds` together: their out-of-fold evaluation, calibration and manifest once
all are trained, and the evaluation of their mean on test."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dr_ovo.dataset.image_files import not_read
from dr_ovo.decoded.processes.file_workers import shared_workers
from dr_ovo.decoding.decoders import Fitted
from dr_ovo.decoding.expected_grade import expected_grade, fit_thresholds
from dr_ovo.decoding.grade_scale import unfitted_scale
from dr_ovo.decoding.heads import EXPECTED, decoder_option
from dr_ovo.decoding.tempering import temper
from dr_ovo.distributed.launch import Launch
from dr_ovo.ensembles.combination import ensemble_predictions, tempered
from dr_ovo.ensembles.manifest import Manifest, Member, read_manifest, write_manifest
from dr_ovo.errors import UserError, log
from dr_ovo.evaluation.audit_blocks import audit_blocks
from dr_ovo.evaluation.evaluation import Evaluation, marks, of_the_models, prepare
from dr_ovo.evaluation.evaluation_writing import say_stale, write_evaluation
from dr_ovo.evaluation.out_of_fold import OutOfFold, member_folders, predict_out_of_fold
from dr_ovo.evaluation.split_predictions import predict_split
from dr_ovo.files import file_sha256, write_json
from dr_ovo.inference.ensemble import open_manifest
from dr_ovo.inference.trained_model import seals_of_models, with_decoding_of
from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.predictions.calibration_file import Calibration, load_calibration
from dr_ovo.predictions.conformal import OUT_OF_FOLD, SCALE_FITTED
from dr_ovo.predictions.same_answer import stopped_members
from dr_ovo.results.folder import (
    ENSEMBLE_FILE,
    MEMBER_TEMPERATURES,
    OOF,
    STOPPED,
    ResultsFolder,
)
from dr_ovo.results.made_from import (
    MADE_FROM,
    check_digests,
    checkpoint_digests,
    joint_seals,
    mixture,
    seals_of,
)
from dr_ovo.settings.command_line import DEFAULT, Settings
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.resume.folder_checks import unlike_a_member
from dr_ovo.training.resume.pretrained_file import KEY
from dr_ovo.training.setup import choose_device, resolve_models, results_folder

APPROXIMATE = (
    "Out-of-fold values come from single members: calibrating their mean with them is approximate."
)
FITTED_HERE = (
    "Temperature and operating points were fitted on these predictions: the rates at the points, "
    "and the tempered calibration, are those of the fit."
)
STEP = 0.1  # of what a head says
STEEP = 0.01  # of the expected grade for 1 of what a head says: with less, grades would be ties
DECODED = "decoded"  # key: the settings by which the out-of-fold predictions were decoded


def assemble(settings: Settings) -> list[Evaluation]:
    """Writes the joint files of every architecture whose members are all trained; their evaluations
    out of fold."""
    found = []
    for config in resolve_models(settings.config):
        members = member_folders(config)
        trained_with = with_decoding_of(settings, members[0])
        config = dataclasses.replace(
            config,
            decoder=trained_with.decoder,
            prior_correction=trained_with.prior_correction,
        )
        untrained = [folder.root.name for folder in members if not folder.is_finished()]
        if untrained:
            log.info(
                "%s: not trained yet: %s. The out-of-fold evaluation follows when all are.",
                config.output_dir, ", ".join(untrained),
            )  # fmt: skip
        elif _is_assembled(results_folder(config), config, members):
            log.info("%s is evaluated out of fold: nothing to do.", config.output_dir)
        else:
            found.append(_assemble(config, members, settings.sources))
    return found


def _require_alike(members: Sequence[ResultsFolder]) -> None:
    """Raises UserError for members that were not trained in one way, as earlier versions let be."""
    first = members[0].read_config()["settings"]
    for member in members[1:]:
        if differing := unlike_a_member(member, first):
            raise UserError(
                f"{member.root} and {members[0].root} were trained with other settings:\n  "
                + "\n  ".join(differing)
                + "\nThe members of a cross-validation share all of these. Delete the one that is "
                "not meant, and train it again with --resume."
            )


def _how_decoded(config: TrainConfig) -> dict[str, Any]:
    return {"decoder": config.decoder, "prior_correction": config.prior_correction}


def _is_assembled(
    folder: ResultsFolder, config: TrainConfig, members: Sequence[ResultsFolder]
) -> bool:
    kept = (folder.root / ENSEMBLE_FILE, folder.config, folder.calibration)
    if not all(path.is_file() for path in (*kept, folder.predictions(OOF), folder.evaluation(OOF))):
        return False
    if not _is_one_piece(folder):
        return False
    report = folder.read_evaluation(OOF)
    before = report.get(MADE_FROM, {}).get("checkpoints")
    return before == checkpoint_digests(members) and report.get(DECODED) == _how_decoded(config)


def _is_one_piece(folder: ResultsFolder) -> bool:
    """Whether the out-of-fold evaluation, and what is calibrated on it, is as it was written."""
    problem = _damage(folder)
    if problem:
        log.warning("%s The members are put together again.", problem)
    return not problem


def _damage(folder: ResultsFolder) -> str:
    """Which of these files is damaged or not as it was written, as a sentence; "" for none."""
    manifest = folder.root / ENSEMBLE_FILE
    reads: dict[Path, Callable[[], object]] = {
        folder.evaluation(OOF): lambda: folder.read_evaluation(OOF),
        folder.config: folder.read_config,
        manifest: lambda: read_manifest(manifest),
    }
    for path, read in reads.items():
        try:
            read()
        except UserError:
            return f"{path} is damaged, or was changed."
    return mixture(folder, OOF)


def _assemble(
    config: TrainConfig, members: Sequence[ResultsFolder], sources: Mapping[str, str]
) -> Evaluation:
    folder = results_folder(config)
    _require_alike(members)
    found = predict_out_of_fold(config)
    (folder.root / ENSEMBLE_FILE).unlink(missing_ok=True)  # written last: without it, none of this
    write_json(folder.config, _joint_config(config, members, sources))
    chosen = [OUT_OF_FOLD, *([SCALE_FITTED] if found.fitted else [])]
    single = fit_calibration(found.predictions, chosen)
    # The mean is of tempered probabilities, so its operating points are of those, too; the
    # thresholds of its grades stand in its manifest.
    joint = fit_calibration(tempered(found.predictions, single.temperature), chosen)
    joint = dataclasses.replace(joint, grade_thresholds=None)
    extra = {
        DECODED: _how_decoded(config),
        "folds": config.folds,
        "note": FITTED_HERE,
        STOPPED: list(found.stopped),
    }
    split = {OOF: found.predictions}
    seals = joint_seals([(member, seals_of(member)) for member in members])
    report = write_evaluation(folder, split, single, extra, config, seals, kept=joint)
    _write_manifest(folder, members, found, single.temperature, joint, config)
    say_stale(folder, checkpoint_digests(members))
    log.info("%s", APPROXIMATE)
    return Evaluation(f"{config.base_models[0]}, {config.folds} folds", folder.root, report, {})


def _joint_config(
    config: TrainConfig, members: Sequence[ResultsFolder], sources: Mapping[str, str]
) -> dict[str, Any]:
    """config.json of the whole: what all members share."""
    first = members[0].read_config()
    own = ("effective", "counts", "data_hash", "retrained", "resumed", "recovered")
    shared = {key: value for key, value in first.items() if key not in own}
    whole = {**_how_decoded(config), "output_dir": config.output_dir, "fold": 0}
    settings = {**first["settings"], **whole}
    if any(member.read_config().get(KEY) != first.get(KEY) for member in members):
        shared.pop(KEY, None)  # each begins with weights of its own
        settings.pop("pretrained_path", None)
    given = {name: sources[name] for name in whole if sources[name] != DEFAULT}
    found = {**first.get("sources", {}), "output_dir": DEFAULT, **given, "fold": DEFAULT}
    return {**shared, "settings": settings, "sources": found}


def _write_manifest(
    folder: ResultsFolder,
    members: Sequence[ResultsFolder],
    found: OutOfFold,
    temperature: float,
    joint: Calibration,
    config: TrainConfig,
) -> None:
    """The mean of the members, each of this temperature, decoded as their out-of-fold predictions
    were, with the calibration of the mean."""
    predictions = found.predictions
    expected = None
    if predictions.decoder == EXPECTED:
        expected = Fitted(thresholds=_thresholds_of_the_mean(found, temperature))
    rows = tuple(
        Member(
            name=member.root.name,
            folder=member.root,
            architecture=config.base_models[0],
            head=predictions.head,
            decoder=predictions.decoder,
            weight=1 / len(members),
            checkpoints={
                f"models/{path.name}": file_sha256(path)
                for path in sorted(member.models.glob("best_*.pth"))
            },
            temperature=temperature,
            prior_corrected=config.prior_correction,
            fitted=found.fitted,
        )
        for member in members
    )
    names = tuple(map(str, predictions.class_names))
    manifest = Manifest("mean", names, rows, expected)
    marked = [str(mark) for mark in predictions.marks]
    write_manifest(folder.root / ENSEMBLE_FILE, manifest, joint, marked)


def _thresholds_of_the_mean(found: OutOfFold, temperature: float) -> tuple[float, ...] | None:
    """Of the expected grade by the mean of probabilities of that temperature, fitted out of fold.
    On fewer than 200 images members that all say a number get its nearest grade, if the expected
    one grows there; None: rounding."""
    predictions = found.predictions
    values = expected_grade(temper(found.probabilities, temperature))
    fitted = fit_thresholds(values, predictions.targets, predictions.num_classes)
    if fitted is not None or found.fitted is None or found.fitted.scale is None:
        return fitted
    points = np.array(unfitted_scale(predictions.num_classes).cutpoints)
    below, at, above = (
        expected_grade(temper(found.fitted.scale.probabilities(points + step), temperature))
        for step in (-STEP, 0, STEP)
    )
    grows = np.minimum(at - below, above - at) >= STEEP * STEP
    return tuple(at.tolist()) if grows.all() else None


def evaluate_folds(settings: Settings, launch: Launch, manifest: Path) -> list[Evaluation]:
    """Evaluates the mean of the members on test; calibrated out of fold.

    Raises UserError for `--splits val`, from which the members learned.
    """
    if "test" not in settings.config.splits:
        raise UserError(
            "--splits val: the members of --folds learned from val. Their evaluation out of fold "
            "is in evaluation_oof.json; for test: --splits test."
        )
    device = choose_device(settings.config)
    ensemble = open_manifest(manifest, settings, device)
    folder, meta = ResultsFolder(manifest.parent), ensemble.models[0].meta
    config = dataclasses.replace(
        of_the_models(settings.config, meta),
        decoder=decoder_option(ensemble.decoders[0]),
        prior_correction=ensemble.fitted[0].prior_shift is not None,
    )
    check_digests(folder, [OOF])
    calibration = load_calibration(folder.calibration)
    ranks, (index, skipped) = launch.join(
        lambda: prepare(config, ensemble.models, [folder], ("test",))
    )
    predictions = [
        predict_split(model, index, "test", device, config, marks(model, index), ranks)
        for model in ensemble.models
    ]
    if not ranks.is_first:
        return []
    with shared_workers(processes=config.num_workers > 0):
        blocks = audit_blocks(
            ensemble.models[0].folder, index.root, index.splits["test"], config.grades
        )
    pairs = zip(predictions, ensemble.temperatures, strict=True)
    mean = ensemble_predictions(
        [tempered(each, temperature) for each, temperature in pairs],
        ensemble.method, ensemble.weights, ensemble.expected,
    )  # fmt: skip
    names = [model.folder.root.name for model in ensemble.models]
    extra = {
        "skipped_images": [str(damage.path) for damage in skipped],
        "members": names,
        MEMBER_TEMPERATURES: dict(zip(names, ensemble.temperatures, strict=True)),
        "note": APPROXIMATE,
        STOPPED: stopped_members(zip(names, predictions, strict=True)),
    }
    seals = seals_of_models(ensemble.models)
    report = write_evaluation(folder, {"test": mean}, calibration, extra | blocks, config, seals)
    log.info("%s", APPROXIMATE)
    title = f"{meta['architecture']}, mean of {len(ensemble.models)} members"
    return [Evaluation(title, folder.root, report, {}, not_read(index.others))]
