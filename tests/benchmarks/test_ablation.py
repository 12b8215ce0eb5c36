"""The ablation: its arms, what is kept of a run, and what is said of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.skill import report, running, saved
from benchmarks.skill.analysis import (
    by_rule,
    constant_folds,
    decoded,
    kappa_difference,
    log_losses,
    of_learned_folds,
    rounded,
    tempered_across,
)
from benchmarks.skill.arms import ARMS, FOLDS, SMALL, Run, first_stage, fourth_stage
from benchmarks.skill.recorded_training import Recording
from benchmarks.skill.same_logits import decoders_table, readings_table, rules_table
from benchmarks.skill.saved import Saved, load, save, settings_of
from dr_ovo.decoding.decoders import decode
from dr_ovo.errors import UserError
from dr_ovo.pairs import class_pairs
from dr_ovo.predictions.predictions_file import Predictions, take
from dr_ovo.settings.command_line import parse_settings
from dr_ovo.training.epochs import loop
from tests.fixtures.trainings import one_thread, small, small_weights, trainer

__all__ = ["one_thread", "small", "small_weights", "trainer"]


def made(logits: np.ndarray, targets: np.ndarray, epochs: np.ndarray | None = None) -> Saved:
    """A kept softmax run of these logits, its pictures dealt to the folds by turns."""
    count = len(targets)
    predicted, probabilities = decode("softmax", logits, 5)
    names = np.array([f"train/{number:04}.jpg" for number in range(count)])
    predictions = Predictions(
        head="softmax", decoder="argmax", class_names=np.array([*"01234"]), sample_ids=names,
        patient_ids=names, eyes=np.full(count, ""), quality=np.full(count, np.nan),
        calibration=np.zeros(count, bool), targets=targets, predicted=predicted,
        pairs=np.zeros((0, 2)), logits=logits, probabilities=probabilities,
    )  # fmt: skip
    folds = np.arange(count) % FOLDS + 1
    kept = np.zeros(0) if epochs is None else epochs
    return Saved(predictions, folds, kept, np.zeros((FOLDS, 5)), 1.0)


def noisy(seed: int, noise: float, count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are right but for noise, and grades."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 5, count)
    return 3 * np.eye(5)[targets] + rng.normal(0, noise, (count, 5)), targets


def test_the_trainer_takes_every_arm():
    assert len(first_stage()) == 2 * len(ARMS) <= 20
    names = {run.name for run in first_stage()}
    assert len(names) == 2 * len(ARMS)
    for run in [*first_stage(), *fourth_stage()]:
        config = parse_settings(run.arguments).config
        assert (config.folds, config.keep_epoch, config.seed) == (FOLDS, "last", 1)
        assert config.epochs == SMALL[run.dataset].epochs


def test_log_loss_is_tempered_by_the_other_folds():
    logits, targets = noisy(0, 1.0)
    sharp = made(logits * 5, targets)
    losses = log_losses(decoded(sharp), sharp.folds)
    assert losses.tempered < losses.raw
    # One picture's own label does not choose the temperature of its fold.
    other = targets.copy()
    other[sharp.folds == 1] = (other[sharp.folds == 1] + 1) % 5
    changed = dataclasses.replace(
        sharp, predictions=dataclasses.replace(sharp.predictions, targets=other)
    )

    before, after = (
        tempered_across(each.predictions, each.folds)[sharp.folds == 1] for each in (sharp, changed)
    )
    assert np.array_equal(before, after)


def test_thresholds_of_a_fold_come_from_the_others():
    logits, targets = noisy(1, 2.0)
    run = made(logits, targets)
    crossed = decoded(run, "expected")
    assert not np.array_equal(crossed.predicted, rounded(run).predicted)
    other = targets.copy()
    own = run.folds == 2
    other[own] = 4 - other[own]
    changed = made(logits, other)
    assert np.array_equal(decoded(changed, "expected").predicted[own], crossed.predicted[own])


def test_the_votes_on_a_fold_are_weighted_by_the_others():
    logits, targets = noisy(4, 2.0)
    run = made(logits, targets)
    pairs = class_pairs(5)
    signed = np.stack([logits[:, b] - logits[:, a] for a, b in pairs], axis=1)
    of_pairs = dataclasses.replace(run.predictions, head="ovo", pairs=pairs, logits=signed)
    run = dataclasses.replace(run, predictions=of_pairs, prior_shift=np.zeros((FOLDS, 10)))
    own = run.folds == 2
    accuracy = []
    for (a, b), scores in zip(pairs, signed[~own].T, strict=True):
        ours = np.isin(targets[~own], (a, b))
        accuracy.append(np.mean((scores[ours] > 0) == (targets[~own][ours] == b)))
    expected, _ = decode("ovo", signed[own], 5, "weighted", np.array(accuracy))
    assert decoded(run, "weighted").predicted[own].tolist() == expected.tolist()


def test_members_that_stopped_learning_are_named_and_their_folds_left_out():
    logits, targets = noisy(3, 2.0)
    good, worse = made(logits, targets), made(noisy(3, 4.0)[0], targets)
    assert constant_folds(good) == []
    same = worse.predictions.logits.copy()
    same[worse.folds == 2] = same[1]
    flat = made(same, targets)
    assert constant_folds(flat) == [2]
    assert report._stopped({report.BASELINE: {1: worse}, "other": {1: good}}) == ""
    text = report._stopped({report.BASELINE: {1: flat}, "other": {1: good}})
    assert f"{report.BASELINE}, seed 1: fold 2." in text
    kept = worse.folds != 2
    parts = [take(decoded(one), kept) for one in (good, worse)]
    lead = kappa_difference(parts[:1], parts[1:])
    assert f"| other | 1 | 240 | {lead.value:+.3f} ({lead.low:+.3f} to {lead.high:+.3f}) |" in text


def test_tables_on_the_same_logits_leave_out_a_member_that_stopped_learning():
    """Which constant an epoch of it answers is no merit of a rule or of a decoder."""
    logits, targets = noisy(3, 2.0)
    early, late = logits.copy(), logits.copy()
    own = np.arange(len(targets)) % FOLDS + 1 == 2
    early[own], late[own] = logits[1], -logits[1]
    flat = made(late, targets, np.stack([early, late]))
    ((learned,), out) = of_learned_folds([flat])
    assert out == [2]
    assert learned.epochs.shape == (2, 240, 5)
    assert np.array_equal(learned.predictions.targets, targets[~own])
    assert of_learned_folds([made(logits, targets)])[1] == []
    arm, named = report.BASELINE, f"{report.BASELINE} without fold 2"
    for text in (
        decoders_table({arm: {1: flat}}), rules_table({arm: flat}), readings_table({arm: flat}),
    ):  # fmt: skip
        assert f"| {named} |" in text
        assert f"| {arm} |" not in text
    # On the other folds the two epochs are alike, and so is what any rule keeps.
    assert rules_table({arm: flat}).count("| - |\n") == 5  # no difference
    constant = np.tile(logits[1], (len(targets), 1))
    assert of_learned_folds([made(constant, targets)])[1] == []  # none would be left


def test_a_prior_that_was_added_is_taken_away():
    logits, targets = noisy(2, 1.0)
    shift = np.array([0.0, 1.0, 2.0, -1.0, -2.0])
    shifted = dataclasses.replace(made(logits + shift, targets), prior_shift=np.tile(shift, (5, 1)))
    corrected = decoded(shifted, corrected=True)
    assert corrected.predicted.tolist() == made(logits, targets).predictions.predicted.tolist()


def test_rules_choose_by_other_pictures():
    good, targets = noisy(3, 0.5)
    bad, _ = noisy(4, 3.0)
    epochs = np.stack([bad, good, bad])
    run = made(bad, targets, epochs)
    for rule in ("best", "steady", "log_loss"):
        assert np.array_equal(by_rule(run, rule).logits, good)
    assert np.array_equal(by_rule(run, "last").logits, bad)
    found = kappa_difference([by_rule(run, "best")], [by_rule(run, "last")])
    assert found.low is not None
    assert found.low > 0


@pytest.fixture
def kept_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(saved, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.mark.usefixtures("kept_in")
def test_a_run_that_begins_with_another(tmp_path, monkeypatch):
    (run,) = (run for run in fourth_stage() if run.begins_with)
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(running, "_call", lambda *words: calls.append(words))
    monkeypatch.setattr(running, "save", lambda *_, **__: None)
    with pytest.raises(UserError, match="--dataset retinamnist28=FOLDER"):
        running.train_missing([run], {"idrid": tmp_path}, tmp_path, 1)
    running.train_missing([run], {"idrid": tmp_path, "retinamnist28": tmp_path}, tmp_path, 1)
    source, own = calls
    assert source[-2:] == ("--fold", "1")
    folder = tmp_path / "retinamnist28" / "one-vs-one_plain_lite0_64_seed1"
    assert source[source.index("--output_dir") + 1] == folder
    assert own[-2:] == ("--pretrained_path", folder / "fold_1")


def test_what_options_add_is_against_the_arm_without_them():
    logits, targets = noisy(5, 2.0)
    plain, better = made(logits, targets), made(noisy(5, 1.0)[0], targets)
    arms = {report.WITHOUT: {1: plain}, f"{report.WITHOUT}, drop path": {1: better}}
    lead = kappa_difference([decoded(better)], [decoded(plain)])
    row = f"| drop path | {lead.value:+.3f} ({lead.low:+.3f} to {lead.high:+.3f}) |"
    assert row in report._options(arms)
    assert report._options({report.BASELINE: {1: plain}}) == ""


def test_the_lead_of_the_recipe_by_seed():
    logits, targets = noisy(5, 2.0)
    guide, better = made(logits, targets), made(noisy(5, 1.0)[0], targets)
    lead = kappa_difference([decoded(better)], [decoded(guide)]).value
    text = report._by_seed({
        report.BASELINE: {1: guide, 2: better, 3: guide},
        report.RECOMMENDED: {1: better, 2: guide},
    })  # fmt: skip
    assert lead > 0
    assert text == f"Kappa minus the guide's, seed by seed: {lead:+.3f}, {-lead:+.3f}.\n"
    assert report._by_seed({report.BASELINE: {1: guide}}) == ""


@pytest.mark.slow
def test_a_run_is_kept_and_read(kept_in, small, trainer, draw_dataset, tmp_path, monkeypatch):
    """From a real cross-validation, with its logits after each epoch."""
    monkeypatch.setattr(loop, "Validation", Recording)
    data = draw_dataset(tmp_path / "data", images=4, height=48)
    flags = (
        "--dataset_path", data, "--output_dir", tmp_path / "out", "--epochs", 2, "--folds", FOLDS,
        "--keep_epoch", "last", "--warmup_epochs", 0, "--allow_leaks",
    )  # fmt: skip
    outcome = trainer(*small, *flags)
    assert outcome.code == 0, outcome.stderr
    run = Run("idrid", "one-vs-one, guide", 1, SMALL["idrid"], ())
    assert load(run) is None
    save(run, tmp_path / "out", with_epochs=True)
    kept = load(run)
    assert kept is not None
    assert kept.predictions.logits.shape == (40, 10)
    assert kept.predictions.pairs.tolist() == [list(pair) for pair in class_pairs(5)]
    assert kept.epochs.shape == (2, 40, 10)
    # The last epoch is the one that was kept; it is stored in 16 bits.
    assert kept.epochs[-1] == pytest.approx(kept.predictions.logits, abs=2e-2)
    division = json.loads((tmp_path / "out" / "folds.json").read_text())["files"]
    expected = [division[sample][0] for sample in kept.predictions.sample_ids]
    assert kept.folds.tolist() == expected
    other = dataclasses.replace(run, flags=("--label_smoothing", "0"))
    with pytest.raises(UserError, match=r"--label_smoothing: 0\.1 there, 0\.0 now"):
        load(other)
    # The same words mean other settings where a default, or a recipe, has changed since.
    monkeypatch.setattr(saved, "settings_of", lambda _: settings_of(run) | {"ovo_dropout": 0.9})
    with pytest.raises(UserError, match=r"--ovo_dropout: 0\.28 there, 0\.9 now"):
        load(run)
    monkeypatch.undo()
    monkeypatch.setattr(saved, "RESULTS", kept_in)
    report.write_report(tmp_path / "results.md")
    page = (tmp_path / "results.md").read_text()
    assert "## idrid, 40 pictures, tf_efficientnet_lite0, 112 px, 12 epochs, rate 0.0005" in page
    assert page.count("| one-vs-one, guide |") >= 8
