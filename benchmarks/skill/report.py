"""docs/results.md, from the predictions that are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.skill.analysis import (
    PERCENT,
    by_rule,
    constant_folds,
    decoded,
    figures,
    kappa_difference,
    log_losses,
    read_across,
    rounded,
)
from benchmarks.skill.arms import BASELINE, LARGE, RECOMMENDED, SEEDS, SMALL, STAGES, Run
from benchmarks.skill.saved import Saved, load, load_test
from dr_ovo.decoding.decoders import VOTES
from dr_ovo.decoding.heads import EXPECTED, head_of
from dr_ovo.grading.workload import workload
from dr_ovo.predictions.conformal import covered
from dr_ovo.predictions.operating_points import CONDITIONS
from dr_ovo.predictions.predictions_file import Predictions, take
from dr_ovo.statistics.differences import unpaired_difference
from dr_ovo.statistics.intervals import Estimate, estimates
from dr_ovo.statistics.weighted_statistics import Proportion
from dr_ovo.training.resume.epoch_choice import RULES

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
patient; differences are paired by picture and seed. Time is of one network out of five, on one core
of a machine that did other work as well. On some 390 pictures the noise of a paired kappa is about
.016, so effects below .045 can't be seen there.

One comparison was named beforehand: the recipe `recommended` against the guide, by kappa out of
fold. All others are exploratory, and the recipe was chosen by the arms with seed 1.
"""
HEADINGS = (
    *("kappa", "accuracy", "balanced accuracy", "macro AUC"),
    *("referable sensitivity", "referable specificity"),
)
FEWER = HEADINGS[:4]  # of tables with many rows
WITHOUT = "one-vs-one, plain"  # without any option of training
READ = (BASELINE, "one-vs-one, plain", "regression, plain")  # arms that are read as eyes
WORK = {
    "no_person": "negative: no person",
    "missed": "missed among them",
    "positive": "referable at once",
    "refer_to_a_person": "for a person",
}
SMALL_STAGES = (1, 2, 4)
EARLY = 4  # a patience that ends most of these trainings
Arms = Mapping[str, Mapping[int, Saved]]  # by arm and seed


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
            first = {arm: seeds[SEEDS[0]] for arm, seeds in own.items() if SEEDS[0] in seeds}
            parts += [_arms(own), _stopped(own), _options(own), _decoders(first)]
            parts += [_rules(first), _readings(first)]
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


def _missing(dataset: str, stages: Iterable[int]) -> str:
    left: dict[str, list[str]] = {}
    for run in _runs(dataset, stages):
        if load(run) is None:
            left.setdefault(run.arm, []).append(str(run.seed))
    arms = [f"{arm} (seed {', '.join(seeds)})" for arm, seeds in left.items()]
    return f"Not trained yet: {'; '.join(arms)}.\n" if arms else ""


def _arms(arms: Arms, base: str = BASELINE) -> str:
    """The figures of every arm, and how far its kappa is from that of one of them."""
    rows = []
    for arm, seeds in arms.items():
        found = [decoded(saved) for saved in seeds.values()]
        losses = [
            log_losses(p, saved.folds) for p, saved in zip(found, seeds.values(), strict=True)
        ]
        minutes = np.mean([saved.seconds for saved in seeds.values()]) / 60 / 5
        rows.append([
            arm, " ".join(map(str, seeds)), *_cells(found, HEADINGS),
            _lead(seeds, arms.get(base, {}), decoded) if arm != base else "",
            f"{np.mean([loss.raw for loss in losses]):.2f}",
            f"{np.mean([loss.tempered for loss in losses]):.2f}", f"{minutes:.1f}",
        ])  # fmt: skip
    heads = [
        *("arm", "seeds", *HEADINGS, "kappa minus the guide's"),
        *("log loss", "tempered", "minutes"),
    ]
    return _table(heads, rows)


def _lead(
    seeds: Mapping[int, Saved], others: Mapping[int, Saved], way: Callable[[Saved], Predictions]
) -> str:
    """The mean difference in kappa over the seeds that both have."""
    both = [seed for seed in seeds if seed in others]
    if not both:
        return "-"
    pairs = [way(seeds[seed]) for seed in both], [way(others[seed]) for seed in both]
    return _signed(kappa_difference(*pairs))


def _options(arms: Arms) -> str:
    """What each option of training adds to the arm without it."""
    plain = arms.get(WITHOUT, {})
    rows = [
        [arm.removeprefix(f"{WITHOUT}, "), _lead(seeds, plain, decoded)]
        for arm, seeds in arms.items()
        if arm.startswith(f"{WITHOUT}, ")
    ]
    title = f"**Options of training: kappa minus that of {WITHOUT}, seed {SEEDS[0]}**\n\n"
    return title + _table(["option", "difference"], rows) if plain and rows else ""


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
            lead = _signed(kappa_difference(one, other))
            rows.append([arm, " ".join(map(str, both)), str(int(kept.sum())), lead])
    return (
        "**Members that stopped learning**\n\nThey give every picture the same answer, and count "
        f"in the table above: {'; '.join(named)}. The arms on the folds in which no member of "
        "either arm stopped:\n\n"
        + _table(["arm", "seeds", "pictures", "kappa minus the guide's"], rows)
    )


def _recommended(dataset: str) -> str:
    """The comparison that was named beforehand, out of fold and on test."""
    size, arms = LARGE[dataset], _kept(dataset, (3,))
    how = f"{size.network}, {size.pixels} px, {size.epochs} epochs, rate {size.rate:g}"
    parts = [f"### {dataset}, {how}\n", _missing(dataset, (3,))]
    if arms:
        parts += ["**Out of fold**\n", _arms(arms), _stopped(arms), _on_test(dataset, arms)]
    return "\n".join(part for part in parts if part)


def _on_test(dataset: str, arms: Arms) -> str:
    """The mean of the five members on test, and what out-of-fold figures promised too much."""
    rows, said = [], {}
    for arm in (BASELINE, RECOMMENDED):
        tests = {run: t for run in _runs(dataset, (3,)) if run.arm == arm and (t := load_test(run))}
        if not tests:
            continue
        found = [predictions for predictions, _ in tests.values()]
        outside = [decoded(arms[arm][run.seed]) for run in tests]
        gap = unpaired_difference(figures(outside)["kappa"], figures(found)["kappa"])
        names = " ".join(str(run.seed) for run in tests)
        rows.append([arm, names, *_cells(found, HEADINGS), _signed(gap)])
        said = next(iter(tests.values()))[1]
    if not rows:
        return ""
    alone = {name: Estimate(**each) for name, each in said["statistics_only"].items()}
    notes = [
        f"Audit: {'the files that training audited' if said['audited'] else 'none'}"
        f"{', LEAKY' if said['leaky'] else ''}.",
        "By image statistics alone: kappa "
        f"{_shown(alone['quadratic_kappa'], percent=False)}, accuracy "
        f"{_shown(alone['accuracy'], percent=True)}, macro AUC "
        f"{_shown(alone['macro_auc'], percent=False)}.",
    ]
    heads = ["arm", "seeds", *HEADINGS, "kappa out of fold minus on test"]
    lines = ["**Test, the mean of the five members**\n", _table(heads, rows), *notes, ""]
    return "\n".join(lines)


def _decoders(arms: Mapping[str, Saved]) -> str:
    """Stage 0: no trainings."""
    ways: dict[str, Callable[[Saved], Predictions]] = {
        "its own": decoded,
        "vote": lambda saved: decoded(saved, "vote"),
        "weighted": lambda saved: decoded(saved, "weighted"),
        "expected, rounded": rounded,
        "expected, fitted thresholds": lambda saved: decoded(saved, EXPECTED),
        "its own, prior corrected": lambda saved: decoded(saved, corrected=True),
    }
    rows = []
    for arm, saved in arms.items():
        own = decoded(saved)
        for name, way in ways.items():
            paired = head_of(saved.predictions.head).paired
            if (name in VOTES and not paired) or ("prior" in name and not saved.prior_shift.any()):
                continue
            p = way(saved)
            lead = "" if name == "its own" else _signed(kappa_difference([p], [own]))
            losses = log_losses(p, saved.folds)
            rows.append([arm, name, *_cells([p], FEWER), lead, f"{losses.raw:.2f}"])
    heads = ["arm", "decoder", *FEWER, "kappa minus its own", "log loss"]
    return f"**Decoders, on the same logits, seed {SEEDS[0]}**\n\n" + _table(heads, rows)


def _rules(arms: Mapping[str, Saved]) -> str:
    """How the rules for the epoch do: half of each fold chooses for the other half."""
    rows = []
    for arm, saved in arms.items():
        if saved.epochs.ndim != 3:
            continue
        last = by_rule(saved, "last")
        ways = [(rule, 0) for rule in RULES] + [(rule, EARLY) for rule in ("best", "last")]
        for rule, patience in ways:
            p = by_rule(saved, rule, patience)
            lead = "" if (rule, patience) == ("last", 0) else _signed(kappa_difference([p], [last]))
            rows.append([arm, rule, str(patience or "-"), *_cells([p], FEWER), lead])
    if not rows:
        return ""
    heads = ["arm", "`--keep_epoch`", "patience", *FEWER, "kappa minus last"]
    return (
        "**Which epoch: half of the patients of each fold choose it, and where patience ends a "
        "training, for the other half**\n\n" + _table(heads, rows)
    )


def _readings(arms: Mapping[str, Saved]) -> str:
    """Sets of likely grades, and the work saved, as `predict.py` has them."""
    rows = []
    for arm in READ:
        if arm not in arms:
            continue
        saved = arms[arm]
        p = decoded(saved)
        eyes = read_across(p, saved.folds)
        work = workload(eyes)
        sets = np.array([one.likely for one in eyes.readings])
        inside = covered(sets, p.targets)
        of = {"all": np.ones(len(inside), bool), "referable": p.targets >= CONDITIONS["referable"]}
        of["other"] = ~of["referable"]
        shares = [Proportion("none", inside, among) for among in of.values()]
        rows.append([
            arm, *(_shown(one, percent=True) for one in estimates(shares, p.patient_ids)),
            f"{(sets[:, 1] - sets[:, 0] + 1).mean():.2f}",
            *(_shown(Estimate(**work[name]), percent=True) for name in WORK),
        ])  # fmt: skip
    if not rows:
        return ""
    heads = ["arm", "covered", "referable", "other", "grades in a set", *WORK.values()]
    return (
        "**Sets of likely grades for a coverage of 90 %, and verdicts; points and sets are of the "
        "other folds**\n\n" + _table(heads, rows)
    )


def _cells(seeds: Sequence[Predictions], names: Sequence[str]) -> list[str]:
    found = figures(seeds)
    return [_shown(found[name], percent=name in PERCENT) for name in names]


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
