"""What logits that are kept say without another training: decoders, rules for the epoch, sets of
likely grades and verdicts. Folds whose member stopped learning are left out, and named: which
constant such a network answers says nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.skill.analysis import (
    by_rule,
    decoded,
    kappa_difference,
    log_losses,
    of_learned_folds,
    read_across,
    rounded,
)
from benchmarks.skill.arms import BASELINE
from benchmarks.skill.saved import Saved
from benchmarks.skill.table_text import FEWER, Arms, cells, shown, signed, table
from dr_ovo.decoding.decoders import VOTES
from dr_ovo.decoding.heads import EXPECTED, head_of
from dr_ovo.grading.workload import workload
from dr_ovo.predictions.conformal import covered
from dr_ovo.predictions.operating_points import CONDITIONS
from dr_ovo.predictions.predictions_file import Predictions
from dr_ovo.statistics.intervals import Estimate, estimates
from dr_ovo.statistics.weighted_statistics import Proportion
from dr_ovo.training.resume.epoch_choice import RULES

READ = (BASELINE, "one-vs-one, plain", "regression, plain")  # arms that are read as eyes
WORK = {
    "no_person": "negative: no person",
    "positive": "referable at once",
    "refer_to_a_person": "for a person",
    "missed": "missed, of all eyes",
    "missed_of_referable": "missed, of referable eyes",
}
EARLY = 4  # a patience that ends most of these trainings
WAYS: dict[str, Callable[[Saved], Predictions]] = {
    "its own": decoded,
    "vote": lambda saved: decoded(saved, "vote"),
    "weighted": lambda saved: decoded(saved, "weighted"),
    "expected, rounded": rounded,
    "expected, fitted thresholds": lambda saved: decoded(saved, EXPECTED),
    "its own, prior corrected": lambda saved: decoded(saved, corrected=True),
}


def decoders_table(arms: Arms) -> str:
    """Stage 0: no trainings."""
    rows = []
    for arm, seeds in arms.items():
        runs, out = of_learned_folds(list(seeds.values()))
        own = [decoded(saved) for saved in runs]
        for name, way in WAYS.items():
            if not all(_fits(name, saved) for saved in runs):
                continue
            found = [way(saved) for saved in runs]
            lead = "" if way is decoded else signed(kappa_difference(found, own))
            losses = [log_losses(p, saved.folds).raw for p, saved in zip(found, runs, strict=True)]
            rows.append([
                _named(arm, out), name, " ".join(map(str, seeds)),
                *cells(found, FEWER), lead, f"{np.mean(losses):.2f}",
            ])  # fmt: skip
    heads = ["arm", "decoder", "seeds", *FEWER, "kappa minus its own", "log loss"]
    return "**Decoders, on the same logits**\n\n" + table(heads, rows)


def _named(arm: str, out: Sequence[int]) -> str:
    """An arm, and which folds are left out."""
    folds = f"fold{'s' if len(out) > 1 else ''} {' '.join(map(str, out))}"
    return f"{arm} without {folds}" if out else arm


def _fits(way: str, saved: Saved) -> bool:
    if way in VOTES:
        return head_of(saved.predictions.head).paired
    return "prior" not in way or bool(saved.prior_shift.any())


def rules_table(arms: Mapping[str, Saved]) -> str:
    """How the rules for the epoch do: half of each fold chooses for the other half."""
    rows = []
    for arm, whole in arms.items():
        if whole.epochs.ndim != 3:
            continue
        (saved,), out = of_learned_folds([whole])
        last = by_rule(saved, "last")
        ways = [(rule, 0) for rule in RULES] + [(rule, EARLY) for rule in ("best", "last")]
        for rule, patience in ways:
            p = by_rule(saved, rule, patience)
            lead = "" if (rule, patience) == ("last", 0) else signed(kappa_difference([p], [last]))
            rows.append([_named(arm, out), rule, str(patience or "-"), *cells([p], FEWER), lead])
    if not rows:
        return ""
    heads = ["arm", "`--keep_epoch`", "patience", *FEWER, "kappa minus last"]
    return (
        "**Which epoch: half of the patients of each fold choose it, and where patience ends a "
        "training, for the other half**\n\n" + table(heads, rows)
    )


def readings_table(arms: Mapping[str, Saved]) -> str:
    """Sets of likely grades, and the work saved, as `predict.py` has them."""
    rows = []
    for arm in READ:
        if arm not in arms:
            continue
        (saved,), out = of_learned_folds([arms[arm]])
        p = decoded(saved)
        eyes = read_across(p, saved.folds)
        work = workload(eyes)
        sets = np.array([one.likely for one in eyes.readings])
        inside = covered(sets, p.targets)
        of = {"all": np.ones(len(inside), bool), "referable": p.targets >= CONDITIONS["referable"]}
        of["other"] = ~of["referable"]
        shares = [Proportion("none", inside, among) for among in of.values()]
        coverage = estimates(shares, p.patient_ids)
        rows.append([
            _named(arm, out), *(shown(one, percent=True) for one in coverage),
            f"{(sets[:, 1] - sets[:, 0] + 1).mean():.2f}",
            *(shown(Estimate(**work[name]), percent=True) for name in WORK),
        ])  # fmt: skip
    if not rows:
        return ""
    heads = ["arm", "covered", "referable", "other", "grades in a set", *WORK.values()]
    return (
        "**Sets of likely grades for a coverage of 90 %, and verdicts; points and sets are of the "
        "other folds**\n\n" + table(heads, rows)
    )
