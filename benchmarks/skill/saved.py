"""The predictions of the ablation as they are kept beside the benchmarks: a file for the pictures
of a set, and one for each run, with its logits."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.skill.arms import FOLDS, Run
from benchmarks.skill.recorded_training import FOLDER as EPOCHS_FOLDER
from dr_ovo.decoding.heads import head_of
from dr_ovo.errors import MachineError, UserError
from dr_ovo.files import write_json
from dr_ovo.pairs import class_pairs
from dr_ovo.predictions.predictions_file import Predictions, load_predictions
from dr_ovo.results.history import training_seconds
from dr_ovo.settings.command_line import parse_settings
from dr_ovo.settings.option import Fixed
from dr_ovo.settings.train_config import fixed_values

RESULTS = Path(__file__).resolve().parents[1] / "results"


@dataclass(frozen=True, eq=False)
class Saved:
    """A run: its out-of-fold predictions, the fold (N,) of each picture, the logits after each
    epoch (E, N, K) of the runs that keep them (E = 0 otherwise), and the shift (folds, K) that
    class weights gave to the logits of each member."""

    predictions: Predictions
    folds: np.ndarray
    epochs: np.ndarray
    prior_shift: np.ndarray
    seconds: float


def rows_file(dataset: str) -> Path:
    """The pictures of a set: ids, patients, grades, folds."""
    return RESULTS / dataset / "pictures.npz"


def run_file(run: Run) -> Path:
    """The logits of a run."""
    return RESULTS / run.dataset / f"{run.name}.npz"


def test_files(run: Run) -> tuple[Path, Path]:
    """What the mean of a run's members says of test: its predictions, and parts of its report."""
    file = run_file(run)
    return file.with_name(f"{file.stem}_test.npz"), file.with_name(f"{file.stem}_test.json")


def save(run: Run, folder: Path, *, with_epochs: bool) -> None:
    """Keeps what a finished cross-validation in `folder` says. Raises MachineError where its
    pictures or folds are not those of the other runs."""
    predictions = load_predictions(folder / "predictions_oof.npz")
    division = json.loads((folder / "folds.json").read_text(encoding="utf-8"))["files"]
    folds = np.array([division[sample][0] for sample in predictions.sample_ids], np.int8)
    pictures = {
        "sample_ids": predictions.sample_ids,
        "patient_ids": predictions.patient_ids,
        "targets": predictions.targets.astype(np.int8),
        "folds": folds,
        "class_names": predictions.class_names,
    }
    file = rows_file(run.dataset)
    if file.is_file():
        with np.load(file) as known:
            if any(not np.array_equal(known[name], values) for name, values in pictures.items()):
                raise MachineError(f"{folder} has other pictures or folds than {file}.")
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, **pictures)
    if run.on_test:
        _save_test(run, folder)
    checkpoints = [_checkpoint(folder / f"fold_{fold}") for fold in range(1, FOLDS + 1)]
    np.savez_compressed(
        run_file(run),
        head=predictions.head,
        settings=json.dumps(settings_of(run)),
        logits=predictions.logits.astype(np.float32),
        epochs=_epochs(folder, predictions, folds) if with_epochs else np.zeros(0, np.float16),
        prior_shift=np.array([shift for shift, _ in checkpoints]),
        seconds=sum(_seconds(folder / f"fold_{fold}") for fold in range(1, FOLDS + 1)),
        version=checkpoints[0][1],
    )


def settings_of(run: Run) -> dict[str, Any]:
    """The settings that decide a run, from its arguments, recipes and today's defaults."""
    return fixed_values(parse_settings(run.arguments).config, Fixed.IN_A_RUN)


def is_kept(run: Run) -> bool:
    """Whether a run is kept. Raises UserError for one that was trained with other settings, also
    where its arguments are the same and a recipe or a default has changed."""
    file = run_file(run)
    if not file.is_file():
        return False
    with np.load(file) as kept:
        before = json.loads(str(kept["settings"]))
    now = settings_of(run)
    if differing := [
        f"--{name}: {value} there, {now.get(name)} now"
        for name, value in before.items()
        if now.get(name) != value
    ]:
        raise UserError(
            f"{file} was trained with other settings:\n  " + "\n  ".join(differing) + "\nRemove "
            "it, and the folder of its training, to train it again."
        )
    return True


def load(run: Run) -> Saved | None:
    """A run that is kept; None for another. Raises UserError as `is_kept` does."""
    if not is_kept(run):
        return None
    with np.load(rows_file(run.dataset)) as pictures, np.load(run_file(run)) as kept:
        head, logits = str(kept["head"]), kept["logits"].astype(np.float64)
        classes = pictures["class_names"]
        probabilities = head_of(head).probabilities(logits, len(classes), None)
        count = len(logits)
        predictions = Predictions(
            head=head,
            decoder=head_of(head).decoders[0],
            class_names=classes,
            sample_ids=pictures["sample_ids"],
            patient_ids=pictures["patient_ids"],
            eyes=np.full(count, ""),
            quality=np.full(count, np.nan),
            calibration=np.zeros(count, bool),
            targets=pictures["targets"],
            predicted=probabilities.argmax(axis=1),
            pairs=np.array(class_pairs(len(classes)) if head_of(head).paired else [], np.int64),
            logits=logits,
            probabilities=probabilities,
        )
        return Saved(
            replace(predictions),
            pictures["folds"].astype(np.int64),
            kept["epochs"].astype(np.float64),
            kept["prior_shift"],
            float(kept["seconds"]),
        )


def load_test(run: Run) -> tuple[Predictions, dict[str, Any]] | None:
    """The predictions of the mean on test, and `statistics_only`, `audited` and `leaky` of its
    report; None for a run that reads no test or is not kept."""
    predictions, report = test_files(run)
    if not run.on_test or not is_kept(run):
        return None
    return load_predictions(predictions), json.loads(report.read_text(encoding="utf-8"))


def _save_test(run: Run, folder: Path) -> None:
    predictions, report = test_files(run)
    with np.load(folder / "predictions_test.npz") as found:
        np.savez_compressed(predictions, **found)
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    write_json(report, {name: evaluation[name] for name in ("statistics_only", "audited", "leaky")})


def _epochs(folder: Path, predictions: Predictions, folds: np.ndarray) -> np.ndarray:
    """(E, N, K) the logits after each epoch, each picture by the member that did not see it."""
    found: list[np.ndarray] = []
    for fold in range(1, FOLDS + 1):
        files = sorted((folder / f"fold_{fold}" / EPOCHS_FOLDER).glob("epoch_*.npy"))
        found.append(np.stack([np.load(file) for file in files]))
    result = np.zeros((len(found[0]), *predictions.logits.shape), np.float16)
    for fold, logits in enumerate(found, 1):
        result[:, folds == fold] = logits  # val's order is that of the sample ids
    return result


def _checkpoint(folder: Path) -> tuple[list[float], str]:
    """The shift of the logits of a member, in the order of its logits, and the version."""
    metas = [json.loads(p.read_text(encoding="utf-8")) for p in (folder / "models").glob("*.json")]
    metas.sort(key=lambda meta: tuple(meta["pairs"]))
    shift: list[Any] = [value for meta in metas for value in meta["prior_shift"]]
    return shift, metas[0]["version"]


def _seconds(folder: Path) -> float:
    seconds = training_seconds(folder / "history.csv")
    assert seconds is not None  # this version writes them
    return seconds
