"""docs/results.md, from the predictions that are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.skill.analysis import (
    PERCENT,
    by_rule,
    decoded,
    figures,
    kappa_difference,
    log_losses,
    rounded,
)
from benchmarks.skill.arms import BASELINE, SMALL, Run, first_stage
from benchmarks.skill.saved import Saved, load
from dr_ovo.decoding.heads import EXPECTED
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.statistics.intervals import Estimate
from dr_ovo.training.resume.epoch_choice import RULES

INTRODUCTION = """# Results

What heads, losses and decoders are worth, out of fold: train and val of two public sets, prepared
as in [Measured](measured.md), were divided into 5 folds by patient, and each picture was graded by
the network that did not see it. The fold held out chose nothing: the last epoch is kept. Test was
not read.

This page is made from the predictions in `benchmarks/results` by

```bash
python -m benchmarks.ablation --report docs/results.md
```

and those by

```bash
python -m benchmarks.ablation --dataset idrid=./idrid_clean retinamnist28=./retinamnist28 --output R
```

`tf_efficientnet_lite0` with ImageNet weights, steps of 16 images, one epoch of warm-up, seed 1.
*Plain* is cross-entropy without class weights and smoothing; the *guide* is the wrappers' loss:
focal (gamma 3), class weights, smoothing 0.1. Intervals are of 95 %, by patient; differences are
paired by picture. On some 390 pictures the noise of a paired kappa is about .016, so effects below
.045 can't be seen there. One seed does not tell a recipe from luck: the arms are exploratory.
"""
HEADINGS = ("kappa", "accuracy", "balanced accuracy", "macro AUC")


def write_report(path: Path) -> None:
    """Writes the page, of the runs that there are."""
    parts = [INTRODUCTION]
    for dataset, size in SMALL.items():
        runs = {run: saved for run in first_stage() if (saved := load(run)) is not None}
        own = {run: saved for run, saved in runs.items() if run.dataset == dataset}
        if own:
            count = len(next(iter(own.values())).predictions.targets)
            how = f"{size.pixels} px, {size.epochs} epochs, rate {size.rate:g}"
            parts.append(f"## {dataset}, {count} pictures, {how}")
            parts += [_arms(own), _decoders(own), _rules(own), _missing(dataset, own)]
    path.write_text("\n".join(part for part in parts if part), encoding="utf-8")


def _arms(runs: dict[Run, Saved]) -> str:
    base = next((decoded(saved) for run, saved in runs.items() if run.arm == BASELINE), None)
    rows = []
    for run, saved in runs.items():
        p = decoded(saved)
        losses = log_losses(p, saved.folds)
        lead = "" if base is None or run.arm == BASELINE else _signed(kappa_difference([p], [base]))
        cells = [f"{losses.raw:.2f}", f"{losses.tempered:.2f}"]
        rows.append([run.arm, *_cells(p), lead, *cells])
    heads = [
        *("arm", *HEADINGS, "kappa minus the guide's"),
        *("log loss", "tempered"),
    ]
    return _table(heads, rows)


def _missing(dataset: str, runs: dict[Run, Saved]) -> str:
    left = [run.arm for run in first_stage() if run.dataset == dataset and run not in runs]
    return f"Not trained yet: {'; '.join(left)}.\n" if left else ""


def _decoders(runs: dict[Run, Saved]) -> str:
    """Stage 0: no trainings."""
    ways: dict[str, Callable[[Saved], Predictions]] = {
        "its own": decoded,
        "expected, rounded": rounded,
        "expected, fitted thresholds": lambda saved: decoded(saved, EXPECTED),
        "its own, prior corrected": lambda saved: decoded(saved, corrected=True),
    }
    rows = []
    for run, saved in runs.items():
        own = decoded(saved)
        for name, way in ways.items():
            if "prior" in name and not saved.prior_shift.any():
                continue
            p = way(saved)
            lead = "" if name == "its own" else _signed(kappa_difference([p], [own]))
            losses = log_losses(p, saved.folds)
            rows.append([run.arm, name, *_cells(p), lead, f"{losses.raw:.2f}"])
    heads = ["arm", "decoder", *HEADINGS, "kappa minus its own", "log loss"]
    return "**Decoders, on the same logits**\n\n" + _table(heads, rows)


def _rules(runs: dict[Run, Saved]) -> str:
    """How the rules for the epoch do: half of each fold chooses for the other half."""
    rows = []
    for run, saved in runs.items():
        if saved.epochs.ndim != 3:
            continue
        last = by_rule(saved, "last")
        for rule in RULES:
            p = by_rule(saved, rule)
            lead = "" if rule == "last" else _signed(kappa_difference([p], [last]))
            rows.append([run.arm, rule, *_cells(p), lead])
    if not rows:
        return ""
    heads = ["arm", "`--keep_epoch`", *HEADINGS, "kappa minus last"]
    return (
        "**Which epoch: half of the patients of each fold choose it for the other half**\n\n"
        + _table(heads, rows)
    )


def _cells(p: Predictions) -> list[str]:
    found = figures([p])
    return [_shown(found[name], percent=name in PERCENT) for name in HEADINGS]


def _shown(estimate: Estimate, *, percent: bool) -> str:
    if estimate.value is None:
        return "-"
    factor, digits, unit = (100, 1, " %") if percent else (1, 3, "")
    value = f"{factor * estimate.value:.{digits}f}{unit}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({factor * estimate.low:.{digits}f} - {factor * estimate.high:.{digits}f})"


def _signed(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "-"
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
