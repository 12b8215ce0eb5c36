#!/usr/bin/env python3
"""Compares heads and losses (one-vs-one, softmax, ordinal) on the same data, budget and seeds.

Finished runs in OUTPUT are not repeated; an interrupted run is resumed. The tables are computed
from the test predictions, as means over the seeds; the reference head is softmax.
usage: python benchmarks/heads.py --dataset NAME=FOLDER ... --output OUTPUT
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np

from dr_ovo.document.document import Column, Report, Section, Table
from dr_ovo.document.screen_and_files import report_text, write_report
from dr_ovo.errors import MachineError, UserError, run
from dr_ovo.results.alignment import align
from dr_ovo.results.model_results import ModelResults, read_results
from dr_ovo.statistics.differences import (
    Difference,
    Metric,
    exchange_test,
    holm,
    pooled,
)
from dr_ovo.statistics.intervals import estimates
from dr_ovo.statistics.model_statistics import (
    accuracy_statistic,
    balanced_accuracy_statistic,
    kappa_statistic,
    macro_auc_statistic,
)
from dr_ovo.statistics.weighted_statistics import Resampled, Statistic, mean_of

HERE = Path(__file__).resolve().parents[1]
HEADS = {
    "one-vs-one, shared": ["--head", "ovo", "--ovo_mode", "shared"],
    "one-vs-one, independent": ["--head", "ovo", "--ovo_mode", "independent"],
    "softmax": ["--head", "softmax"],
    "ordinal": ["--head", "ordinal"],
}
LOSSES = {
    "focal, weighted": [],
    "plain": ["--enable_focal_loss", "false", "--enable_class_weights", "false",
              "--label_smoothing", "0"],
}  # fmt: skip
REFERENCE = "softmax"
METRICS: dict[str, tuple[str, Metric]] = {
    "kappa": ("decimal", kappa_statistic),
    "accuracy": ("percent", accuracy_statistic),
    "balanced accuracy": ("percent", balanced_accuracy_statistic),
    "macro AUC": ("decimal", macro_auc_statistic),
}
EPOCHS = {"idrid": 12, "retinamnist28": 4}


def train_and_evaluate(dataset: Path, folder: Path, options: list[str]) -> None:
    """Trains and evaluates one run in `folder` unless it is finished; resumes it if interrupted."""
    if (folder / "evaluation.json").is_file():
        return
    trainer = [sys.executable, str(HERE / "ensemble_5class_trainer.py")]
    folders = ["--dataset_path", str(dataset), "--output_dir", str(folder)]
    training = [*trainer, "--mode", "train", *folders, *options]
    if (folder / "resume").is_dir():
        training.append("--resume")
    for command in (training, [*trainer, "--mode", "evaluate", *folders]):
        print(" ".join(command[1:]), flush=True)
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise MachineError(f"{folder}: exit {ended.returncode}\n{ended.stderr[-2000:]}")


def settings(args: argparse.Namespace, epochs: int, seed: int) -> list[str]:
    """The options that all runs share."""
    return [
        "--base_models", "tf_efficientnet_lite0", "--img_size", str(args.img_size),
        "--epochs", str(epochs), "--warmup_epochs", "1", "--patience", str(epochs),
        "--batch_size", "8", "--gradient_accumulation_steps", "2", "--learning_rate", "5e-4",
        "--train_sample", "0", "--num_workers", "1", "--seed", str(seed), "--keep_epoch", "best",
    ]  # fmt: skip


def summary(name: str, runs: dict[tuple[str, str], list[ModelResults]]) -> Section:
    """The tables of one dataset: figures per head and loss, and differences from softmax."""
    first = next(iter(runs.values()))[0]
    patients = first.test.patient_ids
    tree: list[Statistic] = []
    for models in runs.values():
        tree += [_mean(metric, models) for _, metric in METRICS.values()]
    found = iter(estimates(tree, patients))
    figures = []
    for (head, loss), models in runs.items():
        cells = [next(found).to_json() for _ in METRICS]
        val = float(np.mean([_value(kappa_statistic(m.val), len(m.val.targets)) for m in models]))
        seeds = [_value(kappa_statistic(m.test), len(patients)) for m in models]
        seed_range = f"{min(seeds):.3f} to {max(seeds):.3f}"
        figures.append([head, loss, *cells, seed_range, val])
    columns = [Column("head", "head"), Column("loss", "loss")]
    columns += [Column(key.replace(" ", "_"), key, form) for key, (form, _) in METRICS.items()]
    columns += [
        Column("seeds", "kappa of the seeds"),
        Column("val_kappa", "kappa on val", "decimal"),
    ]
    tables = [Table(f"heads_{name}", f"Test figures, {len(patients)} images", columns, figures)]
    tables.append(differences(name, runs, patients))
    return Section(name, tables=tables)


def differences(
    name: str, runs: dict[tuple[str, str], list[ModelResults]], patients: np.ndarray
) -> Table:
    """Each head minus softmax under the same loss, paired by image, p values Holm-corrected."""
    pairs = [(key, (REFERENCE, key[1])) for key in runs if key[0] != REFERENCE]
    pairs = [(key, other) for key, other in pairs if other in runs]
    comparisons = list(itertools.product(pairs, METRICS.values()))
    tree = [
        Difference("", _mean(m, runs[key]), _mean(m, runs[other]))
        for (key, other), (_, m) in comparisons
    ]
    shown = [estimate.to_json() for estimate in estimates(tree, patients)]
    p_values = holm([_p_value(m, runs[key], runs[other]) for (key, other), (_, m) in comparisons])
    rows, width = [], len(METRICS)
    for number, (key, _) in enumerate(pairs):
        part = slice(number * width, (number + 1) * width)
        cells = zip(shown[part], p_values[part], strict=True)
        rows.append([*key, *(cell for pair in cells for cell in pair)])
    columns = [Column("head", "head"), Column("loss", "loss")]
    for key, (form, _) in METRICS.items():
        columns += [
            Column(key.replace(" ", "_"), key, f"signed_{form}"),
            Column(f"p_{key}", "p", "p"),
        ]
    title = f"Difference from {REFERENCE} under the same loss, paired; p corrected (Holm)"
    return Table(f"heads_{name}_differences", title, columns, rows)


def _mean(metric: Metric, models: list[ModelResults]) -> Resampled:
    return mean_of([metric(model.test) for model in models], "undefined for a seed")


def _p_value(metric: Metric, models: list[ModelResults], others: list[ModelResults]) -> float:
    parts = [pooled(metric, a.test, b.test) for a, b in zip(models, others, strict=True)]
    return exchange_test(mean_of(parts, ""), models[0].test.patient_ids)


def _value(statistic: Statistic, count: int) -> float:
    return float(statistic.compute(np.ones((count, 1)))[0])


def main() -> int:
    """Runs whatever is missing, then prints and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", nargs="+", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--output", type=Path, required=True, help="where the runs are kept")
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=list(HEADS))
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=list(LOSSES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, help="[idrid 12, retinamnist28 4, others 12]")
    parser.add_argument("--img_size", type=int, default=112)
    args = parser.parse_args()
    sections = []
    for text in args.dataset:
        name, _, folder = text.partition("=")
        if not Path(folder).is_dir():
            raise UserError(f"--dataset {text}: expected NAME=FOLDER; there is no folder {folder}.")
        runs: dict[tuple[str, str], list[ModelResults]] = {}
        for seed, loss, head in itertools.product(args.seeds, args.losses, args.heads):
            epochs = args.epochs or EPOCHS.get(name, 12)
            results = (
                args.output / name / f"{head}_{loss}_{seed}".replace(", ", "_").replace(" ", "_")
            )
            options = [*settings(args, epochs, seed), *HEADS[head], *LOSSES[loss]]
            train_and_evaluate(Path(folder), results, options)
            runs.setdefault((head, loss), []).append(read_results(results, results.name))
        aligned = iter(align([m for models in runs.values() for m in models], intersect=False))
        runs = {key: [next(aligned) for _ in models] for key, models in runs.items()}
        sections.append(summary(name, runs))
    report = Report(
        "heads", "One-vs-one against softmax and ordinal heads", {"schema": 1}, sections
    )
    print(report_text(report))
    write_report(report, args.output)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
