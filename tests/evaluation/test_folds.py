"""`--folds`: members, what they say of the pictures that they did not see, and their mean."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dr_ovo.decoding.decoders import Fitted
from dr_ovo.decoding.expected_grade import expected_grade
from dr_ovo.decoding.grade_scale import GradeScale
from dr_ovo.decoding.tempering import temper
from dr_ovo.ensembles.combination import tempered
from dr_ovo.ensembles.manifest import read_manifest
from dr_ovo.errors import UserError
from dr_ovo.evaluation.fold_members import _thresholds_of_the_mean
from dr_ovo.evaluation.out_of_fold import OutOfFold
from dr_ovo.predictions.calibration import fit_calibration
from dr_ovo.predictions.calibration_file import load_calibration
from dr_ovo.predictions.conformal import OUT_OF_FOLD
from dr_ovo.predictions.predictions_file import load_predictions
from dr_ovo.reports.card.card import make_card
from dr_ovo.reports.card.facts import read_card_facts
from dr_ovo.reports.comparison.comparison import compare
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.made_from import check_digests
from dr_ovo.results.model_results import read_results
from dr_ovo.results.result_sets import open_results
from tests.fixtures.predictions import predictions_of
from tests.fixtures.sealed import edit
from tests.fixtures.trainings import Outcome

FOLDS = 3
LEARNING = ("--epochs", 2, "--learning_rate", "1e-2", "--warmup_epochs", 0)
QUICK = ("--folds", 2, "--epochs", 1)  # where neither their number nor their epochs matter
PARTS = ("predictions_oof.npz", "evaluation_oof.json", "calibration.json", "ensemble.json")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, draw_dataset) -> Path:
    """Six pictures of each of three grades in train and val."""
    return draw_dataset(tmp_path_factory.mktemp("folds") / "data", grades=3, images=3)


@pytest.fixture(scope="module")
def cross_validate(small, trainer, data):
    """Trains the members of three folds, whose last epoch is kept, with the given flags."""

    def run(folder: Path, *flags: object, dataset: Path = data) -> Outcome:
        return trainer(
            *small, "--dataset_path", dataset, "--num_classes", 3, "--output_dir", folder,
            "--folds", FOLDS, *LEARNING, *flags,
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def whole(cross_validate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished cross-validation; read only."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    outcome = cross_validate(folder)
    assert outcome.code == 0, outcome.stderr
    assert "train and val, out of fold" in outcome.stdout
    return folder


def fold_of(folder: Path) -> dict[str, int]:
    files = json.loads((folder / "folds.json").read_text())["files"]
    return {sample: fold for sample, (fold, _) in files.items()}


def members(folder: Path) -> list[ResultsFolder]:
    return [ResultsFolder(folder / f"fold_{fold}") for fold in range(1, FOLDS + 1)]


def weights_of(folder: ResultsFolder) -> bytes:
    (path,) = folder.models.glob("*.pth")
    state = torch.load(path, weights_only=True)["state_dict"]
    return b"".join(tensor.numpy().tobytes() for tensor in state.values())


def probabilities_of(trainer, folder: Path, photographs: Path, tmp_path: Path) -> np.ndarray:
    """(N, 3): what inference says of photographs, in the order of their paths."""
    output = tmp_path / f"{folder.name}.csv"
    outcome = trainer(
        "--mode", "inference", "--output_dir", folder, "--device", "cpu", "--num_workers", 0,
        "--input", photographs, "--output", output,
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    with output.open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
    return np.array([[float(row[f"probability_{grade}"]) for grade in range(3)] for row in rows])


def test_each_picture_is_graded_by_the_member_that_did_not_see_it(whole):
    predictions = load_predictions(whole / "predictions_oof.npz")
    assert len(predictions.targets) == 18
    folds = np.array([fold_of(whole)[sample] for sample in predictions.sample_ids])
    for fold, folder in enumerate(members(whole), 1):
        own = folds == fold
        assert np.bincount(predictions.targets[own]).tolist() == [2, 2, 2]
        # A member's val is the fold that it holds out: its last row is of the same pictures.
        with folder.history.open(newline="") as file:
            last = list(csv.DictReader(file))[-1]
        accuracy = np.mean(predictions.predicted[own] == predictions.targets[own])
        assert float(last["val_accuracy"]) == pytest.approx(accuracy)
        counts = folder.read_config()["counts"]
        assert sum(counts["train"].values()) == 12
    assert not predictions.calibration.any()
    assert predictions.marks.tolist() == []
    assert json.loads((whole / "evaluation_oof.json").read_text())["leaky"] is False
    assert not (whole / "predictions_test.npz").exists()


def test_the_whole_says_where_its_own_settings_came_from(whole):
    sources = json.loads((whole / "config.json").read_text())["sources"]
    assert (sources["folds"], sources["output_dir"]) == ("command line", "command line")
    assert (sources["fold"], sources["decoder"]) == ("default", "default")


def test_a_fold_held_out_chooses_nothing(whole, cross_validate, data, tmp_path):
    """Other pictures in a fold change the members that learn from them, and not its own."""
    folds = fold_of(whole)
    changed = shutil.copytree(data, tmp_path / "data")
    swapped = [sample for sample, fold in folds.items() if fold == 2]
    first, last = swapped[0], swapped[-1]
    (changed / first).write_bytes((data / last).read_bytes())
    (changed / last).write_bytes((data / first).read_bytes())
    assert cross_validate(tmp_path / "out", dataset=changed).code == 0
    assert fold_of(tmp_path / "out") == folds
    before, after = ([*map(weights_of, members(folder))] for folder in (whole, tmp_path / "out"))
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True, False]


def test_members_one_by_one_are_the_same(whole, cross_validate, contents, tmp_path):
    folder = tmp_path / "out"
    assert cross_validate(folder, "--fold", 3).code == 0
    assert not (folder / "predictions_oof.npz").exists()
    assert [member.root.is_dir() for member in members(folder)] == [False, False, True]
    again = cross_validate(folder)
    assert again.code == 2
    assert "fold_3 holds a finished training" in again.stderr
    assert cross_validate(folder, "--fold", 1).code == 0
    assert cross_validate(folder, "--resume").code == 0
    assert [*map(weights_of, members(folder))] == [*map(weights_of, members(whole))]
    before = load_predictions(whole / "predictions_oof.npz")
    after = load_predictions(folder / "predictions_oof.npz")
    assert np.array_equal(before.logits, after.logits)
    kept = contents(folder)
    finished = cross_validate(folder, "--resume")
    assert finished.code == 0
    assert "evaluated out of fold: nothing to do" in finished.stdout
    assert {n: kept[n] for n in PARTS} == {n: contents(folder)[n] for n in PARTS}


def test_another_division_is_refused(whole, cross_validate, data, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    outcome = cross_validate(folder, "--resume", "--folds", 2)
    assert outcome.code == 2
    assert "divided into 3 folds" in outcome.stderr
    fewer = shutil.copytree(data, tmp_path / "data")
    next(iter((fewer / "train" / "0").iterdir())).unlink()
    outcome = cross_validate(folder, "--resume", dataset=fewer)
    assert outcome.code == 2
    assert "divides other pictures" in outcome.stderr
    (folder / "folds.json").write_text('{"schema": 1, "folds": 3, "files": {"a": [9, 0]}}')
    outcome = cross_validate(folder, "--resume")
    assert outcome.code == 2
    assert "folds.json is damaged" in outcome.stderr


def test_the_mean_on_test(whole, trainer, data, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    flags = ("--dataset_path", data, "--output_dir", folder, "--device", "cpu")
    outcome = trainer("--mode", "evaluate", *flags, "--num_workers", 0)
    assert outcome.code == 0, outcome.stderr
    assert "calibrating their mean with them is approximate" in outcome.stdout
    manifest = read_manifest(folder / "ensemble.json")
    singles = []
    for member in members(folder):
        singles.append(probabilities_of(trainer, member.root, data / "test", tmp_path))
    temperature = manifest.members[0].temperature
    expected = np.mean([temper(each, temperature) for each in singles], axis=0)
    found = load_predictions(folder / "predictions_test.npz")
    # The probabilities in a CSV have six digits, which a sharp temperature magnifies.
    assert found.probabilities == pytest.approx(expected, abs=1e-3)
    assert found.predicted.tolist() == expected.argmax(axis=1).tolist()
    # The mean is of tempered probabilities, and so is all that is fitted for it.
    out_of_fold = load_predictions(folder / "predictions_oof.npz")
    calibration = load_calibration(folder / "calibration.json")
    joint = fit_calibration(tempered(out_of_fold, temperature), [OUT_OF_FOLD])
    assert calibration == dataclasses.replace(joint, grade_thresholds=None)
    alone = json.loads((folder / "evaluation_oof.json").read_text())["calibration"]
    assert alone["temperature"] == temperature
    assert temperature == pytest.approx(fit_calibration(out_of_fold, []).temperature)
    results = read_results(folder, "folds")
    assert results.val.probabilities == pytest.approx(
        temper(out_of_fold.probabilities, temperature)
    )
    report = json.loads((folder / "evaluation.json").read_text())
    assert report["calibration"]["temperature"] == calibration.temperature
    assert report["members"] == ["fold_1", "fold_2", "fold_3"]
    assert report["calibration"]["fitted_on"] == 18
    assert "fitted on 18 images, out of fold" in outcome.stdout
    # What is calibrated out of fold chose nothing in the members, and is no val.
    compared = str(compare(open_results([folder], [], intersect=False)).sections)
    assert "ECE: expected calibration error" in compared
    assert "temperature fitted on train and val, out of fold" in compared
    card = make_card(read_card_facts(folder), {}).markdown
    assert "tempered again" in outcome.stdout
    said = f"were tempered before: fold_1 {temperature:.3f}, fold_2 {temperature:.3f}, fold_3"
    assert said in " ".join(outcome.stdout.split())
    assert "| tempered again |" in card
    assert "| method | mean |" in card
    assert "Each was graded by a network that did not see it" in card
    edit(folder / "evaluation.json", lambda content: content["calibration"].pop("out_of_fold"))
    earlier = make_card(read_card_facts(folder), {}).markdown
    for said in (outcome.stdout, compared, card, earlier):
        assert "to be divided" not in said
    assert not (folder / "predictions_val.npz").exists()

    flags = ("--dataset_path", data, "--output_dir", folder, "--device", "cpu")
    refused = trainer("--mode", "evaluate", "--splits", "val", *flags)
    assert refused.code == 2
    assert "learned from val" in refused.stderr

    graded = trainer(
        "--mode", "inference", "--output_dir", folder, "--device", "cpu", "--num_workers", 0,
        "--input", data / "test", "--output", tmp_path / "grades.csv",
    )  # fmt: skip
    assert graded.code == 0, graded.stderr
    with (tmp_path / "grades.csv").open(newline="") as file:
        rows = {row["file"].split("/test/")[1]: row["grade"] for row in csv.DictReader(file)}
    grades = dict(zip(found.sample_ids.tolist(), found.predicted.tolist(), strict=True))
    assert rows == {sample: str(grade) for sample, grade in grades.items()}


@pytest.mark.slow
def test_members_with_an_epoch_of_their_own_choice(small, trainer, draw_dataset, tmp_path):
    """They set patients of their own apart, none of the fold held out."""
    data = draw_dataset(tmp_path / "data", grades=3, images=9)
    outcome = trainer(
        *small, "--dataset_path", data, "--num_classes", 3, "--output_dir", tmp_path / "out",
        "--folds", 2, "--allow_leaks", "--keep_epoch", "best", *LEARNING,
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    for folder in members(tmp_path / "out")[:2]:
        counts = folder.read_config()["counts"]
        assert sum(counts["train"].values()) + sum(counts["val"].values()) == 27
        assert all(count >= 1 for count in counts["val"].values())
    assert len(load_predictions(tmp_path / "out" / "predictions_oof.npz").targets) == 54


@pytest.mark.slow
def test_a_part_of_the_dataset(cross_validate, data, tmp_path):
    """A quick check trains on a part of the pictures, and a damaged one may be left out."""
    outcome = cross_validate(tmp_path / "quick", "--debug_mode")
    assert outcome.code == 0, outcome.stderr
    assert len(load_predictions(tmp_path / "quick" / "predictions_oof.npz").targets) == 18
    damaged = shutil.copytree(data, tmp_path / "data")
    next(iter((damaged / "train" / "1").iterdir())).write_bytes(b"no picture")
    assert cross_validate(tmp_path / "out", dataset=damaged).code == 2
    assert not (tmp_path / "out").exists()
    outcome = cross_validate(tmp_path / "out", "--skip_damaged", dataset=damaged)
    assert outcome.code == 0, outcome.stderr
    assert len(load_predictions(tmp_path / "out" / "predictions_oof.npz").targets) == 17


def test_a_dry_run_writes_nothing(cross_validate, tmp_path):
    outcome = cross_validate(tmp_path / "out", "--dry_run")
    assert outcome.code == 0, outcome.stderr
    assert "fold 1: 6 images" in outcome.stdout
    assert outcome.stdout.count("dry run: nothing was written") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_several_architectures(cross_validate, tmp_path):
    outcome = cross_validate(
        tmp_path, "--base_models", "test_efficientnet", "test_resnet", "--folds", 2,
        "--no-pretrained", "--pretrained_path", "",
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    for name in ("test_efficientnet", "test_resnet"):
        folder = tmp_path / f"{name}_3class_results"
        assert len(load_predictions(folder / "predictions_oof.npz").targets) == 18


def test_a_head_that_answers_with_a_number(cross_validate, trainer, data, tmp_path):
    folder = tmp_path / "out"
    assert cross_validate(folder, *QUICK, "--head", "regression").code == 0
    predictions = load_predictions(folder / "predictions_oof.npz")
    assert (predictions.head, predictions.decoder) == ("regression", "expected")
    assert predictions.logits.shape == (18, 1)
    # On fewer than 200 pictures grades are rounded.
    rounded = np.floor(predictions.logits[:, 0] + 0.5).clip(0, 2)
    assert predictions.predicted.tolist() == rounded.tolist()
    (path,) = members(folder)[0].models.glob("*.json")
    assert json.loads(path.read_text())["decoding"] is None  # a member fits nothing
    manifest = read_manifest(folder / "ensemble.json")
    assert manifest.expected is not None
    assert all(member.fitted == manifest.members[0].fitted for member in manifest.members)
    assert manifest.members[0].fitted.scale is not None
    flags = ("--dataset_path", data, "--output_dir", folder, "--device", "cpu")
    assert trainer("--mode", "evaluate", *flags, "--num_workers", 0).code == 0
    test = load_predictions(folder / "predictions_test.npz")
    # Members that all say 0.5 are halfway between the grades 0 and 1, whatever their spread.
    member = manifest.members[0]
    halfway = member.fitted.scale.probabilities(np.array([0.5, 1.5]))
    thresholds = temper(halfway, member.temperature) @ np.arange(3)
    assert manifest.expected.thresholds == pytest.approx(thresholds)
    expected = np.searchsorted(thresholds, test.probabilities @ np.arange(3), side="right")
    assert test.predicted.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("sigma", "shift", "count"), [(1.2, 0.1, 150), (0.4, 0.1, 150), (0.05, 0.3, 150), (1.2, 0, 250)]
)
def test_members_that_say_one_number_give_its_nearest_grade(sigma, shift, count):
    """The expected grade by the probabilities of few pictures lies nearer to the middle; where it
    does not grow with the number, it is rounded."""
    numbers = np.random.default_rng(0).uniform(-0.4, 4.4, count)
    nearest = np.floor(numbers + 0.5).clip(0, 4).astype(int)
    scale = GradeScale((0.5 + shift, 1.5 + shift, 2.5 + shift, 3.5 + shift), sigma)
    probabilities = scale.probabilities(numbers)
    p = predictions_of(nearest, numbers[:, None], head="regression", probabilities=probabilities)
    found = _thresholds_of_the_mean(OutOfFold(p, Fitted(scale), probabilities), 1.5)
    if sigma == 0.05:
        assert found is None
        return
    graded = np.searchsorted(found, expected_grade(temper(probabilities, 1.5)), side="right")
    assert graded.tolist() == nearest.tolist()


def test_a_member_alone_is_not_evaluated(whole, trainer, data):
    """It learned from val, so nothing can be calibrated there."""
    member = members(whole)[0].root
    flags = ("--dataset_path", data, "--output_dir", member, "--device", "cpu")
    outcome = trainer("--mode", "evaluate", *flags)
    assert outcome.code == 2
    assert "is a member of --folds, which learned from val" in outcome.stderr
    assert not (member / "calibration.json").exists()


@pytest.mark.slow
def test_the_decoding_of_the_members_may_be_named_again(cross_validate, trainer, data, tmp_path):
    folder = tmp_path / "out"
    assert cross_validate(folder, "--head", "softmax", "--decoder", "expected").code == 0
    flags = (
        "--mode", "evaluate", "--dataset_path", data, "--output_dir", folder, "--device", "cpu",
        "--num_workers", 0,
    )  # fmt: skip
    before = (folder / "ensemble.json").read_bytes()
    resumed = cross_validate(folder, "--head", "softmax", "--resume")
    assert resumed.code == 0, resumed.stderr
    assert "evaluated out of fold: nothing to do" in resumed.stdout
    assert (folder / "ensemble.json").read_bytes() == before
    same = trainer(*flags, "--decoder", "expected", "--no-prior_correction")
    assert same.code == 0, same.stderr
    other = trainer(*flags, "--decoder", "coupling")
    assert other.code == 2
    assert "decodes its members with expected" in other.stderr
    other = trainer(*flags, "--prior_correction")
    assert other.code == 2
    assert "corrects none of its members" in other.stderr


def test_a_training_without_folds_and_one_with_them_stay_apart(
    whole, cross_validate, contents, tmp_path
):
    folder = shutil.copytree(whole, tmp_path / "out")
    before = contents(folder)
    refused = cross_validate(folder, "--folds", 0, "--resume")
    assert refused.code == 2
    assert "holds a cross-validation" in refused.stderr
    assert "give --folds as before" in refused.stderr
    assert contents(folder) == before
    plain = shutil.copytree(members(whole)[0].root, tmp_path / "plain")
    refused = cross_validate(plain, "--resume")
    assert refused.code == 2
    assert "holds a training without --folds" in refused.stderr
    assert not (plain / "folds.json").exists()


def test_members_are_trained_in_one_way_on_the_same_pictures(whole, cross_validate, data, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    shutil.rmtree(folder / "fold_2")
    other = cross_validate(folder, "--fold", 2, "--head", "softmax", "--seed", 8)
    assert other.code == 2
    assert "--head: ovo there, softmax now" in other.stderr
    assert "--seed" in other.stderr
    changed = shutil.copytree(data, tmp_path / "data")
    first, last = sorted((changed / "train" / "0").iterdir())[:2]
    first.write_bytes(last.read_bytes())
    other = cross_validate(folder, "--fold", 2, "--allow_leaks", dataset=changed)
    assert other.code == 2
    assert "some were replaced under their names" in other.stderr
    assert not (folder / "fold_2").exists()
    kept = json.loads((folder / "fold_3" / "config.json").read_text())
    kept["settings"]["learning_rate"] = 0.5
    assert cross_validate(folder, "--fold", 2).code == 0
    (folder / "fold_3" / "config.json").write_text(json.dumps(kept))
    mixed = cross_validate(folder, "--fold", 1, "--resume", "--decoder", "expected")
    assert mixed.code == 2
    assert "The members of a cross-validation share all of these" in mixed.stderr


def test_members_may_begin_with_weights_of_their_own(whole, cross_validate, tmp_path):
    for fold, before in enumerate(members(whole), 1):
        outcome = cross_validate(tmp_path, "--fold", fold, "--pretrained_path", before.root)
        assert outcome.code == 0, outcome.stderr
    assert (tmp_path / "predictions_oof.npz").is_file()
    config = json.loads((tmp_path / "config.json").read_text())
    assert "pretrained_sha256" not in config
    assert "pretrained_path" not in config["settings"]
    shutil.rmtree(tmp_path / "fold_2")
    without = cross_validate(tmp_path, "--fold", 2, "--pretrained_path", "", "--no-pretrained")
    assert without.code == 2
    assert "--pretrained_path" in without.stderr


@pytest.mark.parametrize("lost", [*PARTS, "config.json", "folds.json"])
def test_a_joint_file_that_is_lost_is_made_again(lost, whole, cross_validate, contents, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    before = contents(folder)
    (folder / lost).unlink()
    (folder / "ensemble.json").unlink(missing_ok=True)
    resumed = cross_validate(folder, "--resume")
    assert resumed.code == 0, resumed.stderr
    after = contents(folder)
    assert after["folds.json"] == before["folds.json"]
    same = [name for name in PARTS if name != "evaluation_oof.json"]  # which names config.json
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert check_digests(ResultsFolder(folder), ["oof"])
    settings = json.loads((folder / "config.json").read_text())["settings"]
    assert (settings["output_dir"], settings["fold"]) == (str(folder), 0)


DAMAGED = {  # the file that is cut -> what is said of it
    "evaluation_oof.json": "{folder}/evaluation_oof.json is damaged, or was changed.",
    "ensemble.json": "{folder}/ensemble.json is damaged, or was changed.",
    "config.json": "{folder}/config.json is damaged, or was changed.",
    "calibration.json": "{folder}/evaluation_oof.json belongs to another calibration.json than the "
    "one that is there now: they were mixed, or it was changed.",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_joint_file_is_made_again(name, whole, cross_validate, tmp_path):
    """It is said in sentences, without a command."""
    folder = shutil.copytree(whole, tmp_path / "out")
    path = folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    resumed = cross_validate(folder, "--resume")
    assert resumed.code == 0, resumed.stderr
    said = " ".join(resumed.stderr.split())
    expected = DAMAGED[name].format(folder=folder)
    assert f"{expected} The members are put together again." in said
    assert "Put its members together" not in said
    assert check_digests(ResultsFolder(folder), ["oof"])


def test_what_can_not_be_put_together_costs_nothing(whole, cross_validate, trainer, data, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    (checkpoint,) = members(folder)[1].models.glob("*.pth")
    checkpoint.rename(tmp_path / "kept.pth")
    refused = cross_validate(folder, "--resume")
    assert refused.code == 2
    assert "has lost its checkpoint" in refused.stderr
    flags = ("--mode", "evaluate", "--dataset_path", data, "--output_dir", folder)
    flags = (*flags, "--device", "cpu", "--num_workers", 0)
    missing = trainer(*flags)
    assert missing.code == 2
    assert "by the command that began them, with --resume" in missing.stderr
    (tmp_path / "kept.pth").rename(checkpoint)
    assert trainer(*flags).code == 0


def test_other_grades_of_the_same_members_make_test_stale(
    whole, cross_validate, trainer, data, tmp_path
):
    folder = shutil.copytree(whole, tmp_path / "out")
    flags = ("--mode", "evaluate", "--dataset_path", data, "--output_dir", folder)
    assert trainer(*flags, "--device", "cpu", "--num_workers", 0).code == 0
    check_digests(ResultsFolder(folder), ["test"])
    again = cross_validate(folder, "--resume", "--decoder", "expected")
    assert again.code == 0, again.stderr
    assert "evaluation.json is stale" in again.stderr
    with pytest.raises(UserError, match=r"belongs to another ensemble\.json"):
        check_digests(ResultsFolder(folder), ["test"])


def test_members_are_found_by_the_root_of_all_results(whole, trainer, data, tmp_path):
    shutil.copytree(whole, tmp_path / "test_efficientnet_3class_results")
    common = ("--mode", "evaluate", "--dataset_path", data, "--output_root", tmp_path)
    common = (*common, "--num_classes", 3, "--device", "cpu", "--num_workers", 0)
    outcome = trainer(*common, "--base_models", "test_efficientnet")
    assert outcome.code == 0, outcome.stderr
    assert "mean of 3 members" in outcome.stdout
    several = trainer(*common, "--base_models", "test_efficientnet", "test_resnet")
    assert several.code == 2
    assert "Name one model at a time" in several.stderr


@pytest.mark.slow
def test_what_was_stopped_or_mixed_is_fixed_by_the_same_commands(
    whole, cross_validate, trainer, data, tmp_path
):
    folder = shutil.copytree(whole, tmp_path / "out")
    flags = ("--dataset_path", data, "--output_dir", folder, "--device", "cpu", "--num_workers", 0)
    evaluation = ("--mode", "evaluate", *flags)
    (folder / "evaluating.json").write_text('{"schema": 1, "splits": ["test"]}')
    assert trainer(*evaluation).code == 0
    assert not (folder / "evaluating.json").exists()

    edit(folder / "calibration.json", lambda content: content.update(temperature=7.0))
    refused = trainer(*evaluation)
    assert refused.code == 2
    assert "belongs to another calibration.json" in refused.stderr
    assert "--resume" in refused.stderr
    inference = ("--mode", "inference", "--output_dir", folder, "--device", "cpu")
    inference = (*inference, "--num_workers", 0, "--input", data / "test")
    inference = (*inference, "--output", tmp_path / "grades.csv")
    assert trainer(*inference).code == 2
    again = cross_validate(folder, "--resume")
    assert again.code == 0, again.stderr
    assert trainer(*evaluation).code == 0
    assert trainer(*inference).code == 0

    content = json.loads((folder / "ensemble.json").read_text())
    content["members"][0]["temperature"] = 3.5
    (folder / "ensemble.json").write_text(json.dumps(content))
    assert trainer(*inference).code == 2
    assert cross_validate(folder, "--resume").code == 0
    assert trainer(*inference).code == 0
