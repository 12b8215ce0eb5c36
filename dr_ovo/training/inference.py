"""`--mode inference`: a CSV of grades and probabilities for photographs without labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dr_ovo.atomic import atomic_write_text
from dr_ovo.cli import Settings
from dr_ovo.data.damage import Damage, describe
from dr_ovo.data.index import IMAGE_SUFFIXES
from dr_ovo.decoding.decode import decode
from dr_ovo.errors import DONE, UserError, log
from dr_ovo.training.predict import TrainedModel, open_models, predict
from dr_ovo.training.setup import choose_precision, joint_folder
from dr_ovo.training.step import Precision


def inference(settings: Settings) -> int:
    """Grades every photograph of `--input` that can be read; several models: their mean.

    Damaged files are listed and passed over. Raises UserError where nothing can be read.
    """
    config = settings.config
    if Path(config.output or "-").is_dir():
        raise UserError(f"--output {config.output} is a folder: expected a file, such as out.csv.")
    paths = _find_images(config.input)
    precision = choose_precision(config)
    models = open_models(settings, precision)
    positions, grades, probabilities, damaged = _grade(
        models, paths, precision, config.decoder, config.num_workers
    )
    if damaged:
        log.warning("%d files can't be read and are left out:\n%s", len(damaged), describe(damaged))
    folder = models[0].folder.root if len(models) == 1 else joint_folder(config)
    output = Path(config.output) if config.output else folder / "inference.csv"
    names = models[0].meta["class_names"]
    _write_csv(
        output, [paths[i] for i in positions], [names[g] for g in grades], probabilities, names
    )
    log.info("%d photographs graded: %s", len(positions), output)
    log.info("Research use only; not a medical device.")
    return DONE


def _find_images(inputs: Sequence[str]) -> list[Path]:
    """The files named, and the images in the folders named; raises UserError where none are."""
    if not inputs:
        raise UserError("--mode inference needs --input: images, or folders of images.")
    paths: list[Path] = []
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            paths += sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        elif path.exists():
            paths.append(path)
        else:
            raise UserError(f"--input {path}: there is no such file or folder.")
    if not paths:
        raise UserError(f"--input {' '.join(inputs)}: no images (.jpg .jpeg .png .tif .tiff).")
    return list(dict.fromkeys(paths))


def _grade(
    models: Sequence[TrainedModel],
    paths: Sequence[Path],
    precision: Precision,
    decoder: str,
    num_workers: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[Damage]]:
    """Positions (n,), grades (n,) and probabilities (n, C) of the readable paths; the others."""
    predicted, probabilities = [], []
    for model in models:
        answers = predict(model, paths, precision, num_workers)
        damaged = [Damage(paths[i], reason) for i, reason in sorted(answers.damaged.items())]
        if not len(answers.positions):
            raise UserError(
                f"None of the --input files can be read as a photograph:\n{describe(damaged)}"
            )
        accuracy = model.meta["pair_accuracy"] if model.meta["head"] == "ovo" else None
        grades, shares = decode(
            model.meta["head"],
            answers.logits,
            model.meta["num_classes"],
            decoder,
            None if accuracy is None else np.array(accuracy, dtype=np.float64),
        )
        predicted.append(grades)
        probabilities.append(shares)
    mean = np.mean(probabilities, axis=0)
    chosen = predicted[0] if len(models) == 1 else mean.argmax(axis=1)
    return answers.positions, chosen, mean, damaged


def _write_csv(
    output: Path,
    paths: Sequence[Path],
    grades: Sequence[str],
    probabilities: np.ndarray,
    class_names: Sequence[str],
) -> None:
    """A row a photograph: file, grade, and the probability of each grade."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "grade", *(f"probability_{name}" for name in class_names)])
    for path, grade, row in zip(paths, grades, probabilities, strict=True):
        writer.writerow([path, grade, *(f"{value:.6f}" for value in row)])
    output.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(output, text.getvalue())
