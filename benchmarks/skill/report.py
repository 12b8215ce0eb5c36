"""docs/results.md, from the predictions that are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from benchmarks.skill.analysis import constant_folds, decoded, kappa_difference, log_losses
from benchmarks.skill.arms import BASELINE, LARGE, RECOMMENDED, SEEDS, SMALL, STAGES, Run
from benchmarks.skill.on_test import Tested, Tests, test_table
from benchmarks.skill.same_logits import decoders_table, readings_table, rules_table
from benchmarks.skill.saved import Saved, load, load_test
from benchmarks.skill.table_text import HEADINGS, Arms, cells, signed, table
from dr_ovo.predictions.predictions_file import take

INTRODUCTION = """# Results

What heads, losses and decoders are worth, out of fold: train and val of two public sets, prepared
as in [Measured](measured.md), were divided into 5 folds by patient, and each picture was graded by
the network that did not see it. The fold held out chose nothing: the last epoch is kept.

This page is made from the predictions in `benchmarks/results` by

```bash
python -m benchmarks.ablation --report docs/results.md
```

and those by

```bash
python -m benchmarks.ablation --dataset idrid=./idrid_clean retinamnist28=./retinamnist28 --output R
```

Steps of 16 images, one epoch of warm-up, ImageNet weights. *Plain* is cross-entropy without class
weights and smoothing; the *guide* is the wrappers' loss: focal (gamma 3), class weights, smoothing
0.1. *From RetinaMNIST* begins with the weights of a member of that set's plain arm, which has seen
pictures of 28 px. Figures are means over the seeds that the table names. Intervals are of 95 %, by
patient, for the seeds named; what other seeds would give is not in them. Differences are paired by
picture and seed. Time is of one network out of five, on one core of a machine that did other work
as well. On some 390 pictures the noise of a paired kappa is about .016 with one seed, so effects
below .045 can't be seen there. A member that stopped learning counts in the tables of arms; those
of decoders, epochs and verdicts leave its fold out, and say so.

One comparison was named beforehand: the recipe `recommended` against the guide, by kappa out of
fold. All others are exploratory, and the recipe was chosen by the arms with seed 1, on the same
pictures: of the choice, only test is independent.

Test is read in that comparison alone: by the mean of each arm's five networks, once for each seed,
when they are trained. Out of fold, each picture is graded by one network. Test was read before, by
the networks of [Measured](measured.md) (14 times or more on IDRiD, 23 on RetinaMNIST); no choice on
this page was made by it.
"""
WITHOUT = "one-vs-one, plain"  # without any option of training
SMALL_STAGES = (1, 2, 4)


def write_report(path: Path) -> None:
    """Writes the page, of the runs that there are."""
    parts = [INTRODUCTION, "## The recommended recipe against the guide\n"]
    parts += [_recommended(dataset) for dataset in LARGE]
    for dataset, size in SMALL.items():
        own = _kept(dataset, SMALL_STAGES)
        if own:
            count = len(next(iter(next(iter(own.values())).values())).predictions.targets)
            how = f"{size.network}, {size.pixels} px, {size.epochs} epochs, rate {size.rate:g}"
            parts.append(f"## {dataset}, {count} pictures, {how}\n")
            once = SEEDS[0]
            first = {arm: seeds[once] for arm, seeds in own.items() if once in seeds}
            parts += [_arms(own), _stopped(own), _options(own)]
            parts += [decoders_table({arm: {once: saved} for arm, saved in first.items()})]
            parts += [rules_table(first), readings_table(first)]
            parts.append(_missing(dataset, SMALL_STAGES))
    path.write_text("\n".join(part for part in parts if part), encoding="utf-8")


def _runs(dataset: str, stages: Iterable[int]) -> list[Run]:
    return [run for stage in stages for run in STAGES[stage]() if run.dataset == dataset]


def _kept(dataset: str, stages: Iterable[int]) -> dict[str, dict[int, Saved]]:
    kept: dict[str, dict[int, Saved]] = {}
    for run in _runs(dataset, stages):
        saved = load(run)
        if saved is not None:
            kept.setdefault(run.arm, {})[run.seed] = saved
    return kept


def _tests(dataset: str) -> Tests:
    tests: dict[str, dict[int, Tested]] = {}
    for run in _runs(dataset, (3,)):
        tested = load_test(run)
        if tested is not None:
            tests.setdefault(run.arm, {})[run.seed] = tested
    return tests


def _missing(dataset: str, stages: Iterable[int]) -> str:
    left: dict[str, list[str]] = {}
    for run in _runs(dataset, stages):
        if load(run) is None:
            left.setdefault(run.arm, []).append(str(run.seed))
    arms = [f"{arm} (seed {', '.join(seeds)})" for arm, seeds in left.items()]
    return f"Not trained yet: {'; '.join(arms)}.\n" if arms else ""


def _arms(arms: Arms) -> str:
    """The figures of every arm, and how far its kappa is from the baseline's."""
    rows = []
    for arm, seeds in arms.items():
        found = [decoded(saved) for saved in seeds.values()]
        losses = [
            log_losses(p, saved.folds) for p, saved in zip(found, seeds.values(), strict=True)
        ]
        minutes = np.mean([saved.seconds for saved in seeds.values()]) / 60 / 5
        rows.append([
            arm, " ".join(map(str, seeds)), *cells(found, HEADINGS),
            _lead(seeds, arms.get(BASELINE, {})) if arm != BASELINE else "",
            f"{np.mean([loss.raw for loss in losses]):.2f}",
            f"{np.mean([loss.tempered for loss in losses]):.2f}", f"{minutes:.1f}",
        ])  # fmt: skip
    heads = [
        *("arm", "seeds", *HEADINGS, "kappa minus the guide's"),
        *("log loss", "tempered", "minutes"),
    ]
    return table(heads, rows)


def _lead(seeds: Mapping[int, Saved], others: Mapping[int, Saved]) -> str:
    """The mean difference in kappa over the seeds that both have."""
    both = [seed for seed in seeds if seed in others]
    if not both:
        return "-"
    ours, theirs = [[decoded(runs[seed]) for seed in both] for runs in (seeds, others)]
    return signed(kappa_difference(ours, theirs))


def _by_seed(arms: Arms) -> str:
    """The difference in kappa of the comparison named beforehand, with each seed."""
    base, ours = arms.get(BASELINE, {}), arms.get(RECOMMENDED, {})
    leads = [
        kappa_difference([decoded(ours[seed])], [decoded(base[seed])]).value
        for seed in ours
        if seed in base
    ]
    shown = ", ".join(f"{lead:+.3f}" for lead in leads if lead is not None)
    return f"Kappa minus the guide's, seed by seed: {shown}.\n" if shown else ""


def _options(arms: Arms) -> str:
    """What each option of training adds to the arm without it."""
    plain = arms.get(WITHOUT, {})
    rows = [
        [arm.removeprefix(f"{WITHOUT}, "), _lead(seeds, plain)]
        for arm, seeds in arms.items()
        if arm.startswith(f"{WITHOUT}, ")
    ]
    title = f"**Options of training: kappa minus that of {WITHOUT}, seed {SEEDS[0]}**\n\n"
    return title + table(["option", "difference"], rows) if plain and rows else ""


def _stopped(arms: Arms) -> str:
    """Which members stopped learning, and what arms lead the baseline by where none of either
    did; "" where all learned."""
    named = [
        f"{arm}, seed {seed}: fold {' '.join(map(str, folds))}"
        for arm, seeds in arms.items()
        for seed, saved in seeds.items()
        if (folds := constant_folds(saved))
    ]
    if not named:
        return ""
    base, rows = arms.get(BASELINE, {}), []
    for arm, seeds in arms.items():
        both = [seed for seed in seeds if seed in base]
        if arm == BASELINE or not both:
            continue
        pairs = [seeds[seed] for seed in both], [base[seed] for seed in both]
        out = {fold for each in pairs for saved in each for fold in constant_folds(saved)}
        kept = ~np.isin(pairs[0][0].folds, list(out))
        if out and kept.any():
            one, other = ([take(decoded(saved), kept) for saved in each] for each in pairs)
            lead = signed(kappa_difference(one, other))
            rows.append([arm, " ".join(map(str, both)), str(int(kept.sum())), lead])
    return (
        "**Members that stopped learning**\n\nThey give every picture the same answer, and count "
        f"in the table above: {'; '.join(named)}. The arms on the folds in which no member of "
        "either arm stopped:\n\n"
        + table(["arm", "seeds", "pictures", "kappa minus the guide's"], rows)
    )


def _recommended(dataset: str) -> str:
    """The comparison that was named beforehand, out of fold and on test."""
    size, arms = LARGE[dataset], _kept(dataset, (3,))
    how = f"{size.network}, {size.pixels} px, {size.epochs} epochs, rate {size.rate:g}"
    parts = [f"### {dataset}, {how}\n", _missing(dataset, (3,))]
    if arms:
        parts += ["**Out of fold**\n", _arms(arms), _by_seed(arms), _stopped(arms)]
        parts += [decoders_table(arms)]
        parts += [test_table(arms, _tests(dataset))]
    return "\n".join(part for part in parts if part)
