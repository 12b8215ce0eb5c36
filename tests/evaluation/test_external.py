"""`--mode evaluate --external DIR`: a trained network on another data set."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.stats import ks_2samp
from sklearn.metrics import cohen_kappa_score

from dr_ovo.commands import prepare
from dr_ovo.commands.reports import validate
from dr_ovo.dataset.synthetic_mark import SYNTHETIC_MARK
from dr_ovo.decoding.tempering import temper
from dr_ovo.errors import UserError
from dr_ovo.evaluation.external.external_gates import gates_block
from dr_ovo.evaluation.external.metrics.class_map import class_map, merged
from dr_ovo.evaluation.external.metrics.external_metrics import best_temperature
from dr_ovo.evaluation.external.shift import distance, standardised
from dr_ovo.gates.gated import Gated
from dr_ovo.grading.grader import Grader
from dr_ovo.predictions.calibration_file import load_calibration
from dr_ovo.predictions.metrics import expected_calibration_error
from dr_ovo.predictions.predictions_file import Predictions, load_predictions
from dr_ovo.reports.criteria.external_results import read_external
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.made_from import check_digests
from dr_ovo.statistics.differences import unpaired_difference
from dr_ovo.statistics.intervals import Estimate
from tests.fixtures.slow import slow
from tests.fixtures.trainings import Outcome

THREE = ("0", "NPDR", "PDR")
TO_THREE = ("--grade_map", "0=0", "1,2,3=NPDR", "4=PDR")
CLASS_OF = np.array([0, 1, 1, 1, 2])
NAMES = {"0": "0", "1": "NPDR", "2": "NPDR", "3": "NPDR", "4": "PDR"}


@pytest.fixture(scope="module")
def model(small, tiny_dataset, trainer, tmp_path_factory) -> Path:
    """A network of five grades, evaluated on its own val and test. Read only."""
    folder = tmp_path_factory.mktemp("model") / "out"
    common = ("--dataset_path", tiny_dataset, "--output_dir", folder)
    learning = ("--epochs", 2, "--learning_rate", "1e-2", "--warmup_epochs", 0)
    trained = trainer(*small, *common, *learning)
    assert trained.code == 0, trained.stderr
    evaluated = trainer("--mode", "evaluate", "--device", "cpu", "--num_workers", 0, *common)
    assert evaluated.code == 0, evaluated.stderr
    return folder


@pytest.fixture(scope="module")
def five(tmp_path_factory, draw_dataset) -> Path:
    """45 other photographs, of the same five grades. Read only."""
    return draw_dataset(tmp_path_factory.mktemp("five") / "five", height=80)


@pytest.fixture(scope="module")
def three(five, tmp_path_factory) -> Path:
    """The same photographs in three classes, without splits. Read only."""
    folder = tmp_path_factory.mktemp("three") / "three"
    for path in five.rglob("*.jpeg"):
        (folder / NAMES[path.parent.name]).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / NAMES[path.parent.name] / path.name)
    return folder


@pytest.fixture(scope="module")
def evaluate_in(trainer):
    """Evaluates the model of a results folder on another data set."""

    def run(folder: Path, external: object, *flags: object) -> Outcome:
        return trainer(
            "--mode", "evaluate", "--external", external, "--output_dir", folder, "--device", "cpu",
            "--num_workers", 0, *flags,
        )  # fmt: skip

    return run


@pytest.fixture
def evaluate(evaluate_in, model, tmp_path):
    """Evaluates a copy of the model on another data set; the outcome, and the results folder."""

    def run(external: object, *flags: object, folder: Path | None = None):
        if folder is None:
            folder = tmp_path / "out"
            shutil.copytree(model, folder, dirs_exist_ok=True)
        return evaluate_in(folder, external, *flags), folder

    return run


@dataclass(frozen=True)
class OnBoth:
    """The model evaluated on `five` and, merged, on `three`: what was said, and the folder."""

    five: Outcome
    three: Outcome
    folder: Path


@pytest.fixture(scope="module")
def on_both(evaluate_in, model, five, three, tmp_path_factory) -> OnBoth:
    """Read only."""
    folder = shutil.copytree(model, tmp_path_factory.mktemp("on_both") / "out")
    both = OnBoth(evaluate_in(folder, five), evaluate_in(folder, three, *TO_THREE), folder)
    for outcome in (both.five, both.three):
        assert outcome.code == 0, outcome.stderr
    return both


@pytest.fixture
def copied(on_both, tmp_path) -> Path:
    """A copy of the folder that a test may change."""
    return shutil.copytree(on_both.folder, tmp_path / "out")


def found(folder: Path, name: str) -> tuple[dict, Predictions]:
    there = folder / "external" / name
    report = json.loads((there / "evaluation_external.json").read_text())
    return report, load_predictions(there / "predictions_external.npz")


def estimate(metric: dict) -> Estimate:
    return Estimate(metric["value"], metric.get("low"), metric.get("high"))


def test_merged_metrics_are_those_of_the_summed_probabilities(on_both):
    folder = on_both.folder
    of_grades, raw = found(folder, "five")
    of_classes, merged_there = found(folder, "three")
    assert of_grades["n"] == of_classes["n"] == 45  # of all splits
    place = {Path(str(name)).name: i for i, name in enumerate(raw.sample_ids)}
    order = [place[Path(str(name)).name] for name in merged_there.sample_ids]
    probabilities, predicted = raw.probabilities[order], CLASS_OF[raw.predicted[order]]
    targets = CLASS_OF[raw.targets[order]]

    def summed(own: np.ndarray) -> np.ndarray:
        return np.stack([own[:, 0], own[:, 1:4].sum(axis=1), own[:, 4]], axis=1)

    assert merged_there.class_names.tolist() == list(THREE)
    assert merged_there.probabilities == pytest.approx(summed(probabilities))
    assert merged_there.predicted.tolist() == predicted.tolist()
    assert merged_there.targets.tolist() == targets.tolist()
    assert of_classes["accuracy"]["value"] == pytest.approx((targets == predicted).mean())
    kappa = cohen_kappa_score(targets, predicted, weights="quadratic")
    assert of_classes["quadratic_kappa"]["value"] == pytest.approx(kappa)
    npdr = of_classes["per_class"][1]
    assert (npdr["class"], npdr["n"]) == ("NPDR", 27)
    assert npdr["recall"]["value"] == pytest.approx((predicted == 1)[targets == 1].mean())

    # Probabilities are tempered in the model's grades, and then summed.
    temperature = load_calibration(folder / "calibration.json").temperature
    block = of_classes["calibration"]
    assert block["temperature"] == temperature
    for kind, own in (("raw", probabilities), ("tempered", temper(probabilities, temperature))):
        error = expected_calibration_error(targets, summed(own))
        metric = block[kind]["ece"]
        assert metric["value"] == pytest.approx(error)
        assert metric["low"] <= metric["value"] <= metric["high"]


def test_what_merging_hides_has_no_value_but_a_reason(on_both):
    whole, raw = found(on_both.folder, "five")
    report, _ = found(on_both.folder, "three")
    reason = "grades 1, 2 and 3 are one class there, NPDR"
    missing = {"value": None, "reason": reason}
    for block in (report, report["own_test"], report["difference"]):
        assert block["referable"] == block["vision_threatening"] == missing
        assert [row["recall"] == missing for row in block["per_grade"]] == [
            False, True, True, True, False,
        ]  # fmt: skip
        known = [row["pair"] for row in block["pairs"] if row["auc"] != missing]
        assert known == [[0, 4]]
    assert report["conformal"]["covered_referable"] == missing
    assert report["conformal"]["covered"]["value"] is not None
    # What is not hidden is the same as without merging.
    assert [report["per_grade"][g] for g in (0, 4)] == [whole["per_grade"][g] for g in (0, 4)]
    assert report["pairs"][3] == whole["pairs"][3]
    ends = np.isin(raw.targets, (0, 4))
    right = (raw.logits[ends, 3] > 0) == (raw.targets[ends] == 4)
    assert report["pairs"][3]["accuracy"]["value"] == pytest.approx(right.mean())


@pytest.mark.slow
def test_a_boundary_between_classes_keeps_its_condition(evaluate, on_both, five, tmp_path):
    """Referable disease stands between the two classes, vision-threatening inside one."""
    two = tmp_path / "two"
    for path in five.rglob("*.jpeg"):
        place = two / "test" / ("referable" if path.parent.name > "1" else "not")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / path.name)
    outcome, folder = evaluate(two, "--grade_map", "0,1=not", "2,3,4=referable")
    assert outcome.code == 0, outcome.stderr
    assert "referable (grade >= 2)" in outcome.stdout
    assert "vision-threatening (grade >= 3)  " not in outcome.stdout
    whole, _ = found(on_both.folder, "five")
    report, _ = found(folder, "two")
    assert report["referable"] == whole["referable"]
    threshold = load_calibration(folder / "calibration.json").referable.high_sensitivity.threshold
    assert report["referable"]["high_sensitivity"]["threshold"] == threshold
    assert report["conformal"]["covered_referable"]["value"] is not None
    reason = "grades 2, 3 and 4 are one class there, referable"
    assert report["vision_threatening"] == {"value": None, "reason": reason}
    assert "between two classes" in report["quadratic_kappa"]["reason"]
    assert report["balanced_accuracy"]["value"] is not None


def test_the_own_test_is_merged_by_the_same_map(on_both):
    folder = on_both.folder
    report, _ = found(folder, "three")
    test = load_predictions(folder / "predictions_test.npz")
    right = CLASS_OF[test.predicted] == CLASS_OF[test.targets]
    own = report["own_test"]
    assert own["n"] == 15
    assert own["accuracy"]["value"] == pytest.approx(right.mean())
    for path in (("accuracy",), ("calibration", "raw", "ece"), ("per_class", 1, "recall")):
        metrics = []
        for metric in (report, own, report["difference"]):
            for key in path:
                metric = metric[key]
            metrics.append(metric)
        expected = unpaired_difference(*map(estimate, metrics[:2]))
        assert metrics[2] == expected.to_json()
        assert metrics[2]["value"] == pytest.approx(metrics[0]["value"] - metrics[1]["value"])
    assert "own test" in on_both.three.stdout


def test_the_tables_fit_a_screen(on_both, five):
    said = on_both.five.stdout
    assert "high specificity: sensitivity" in said
    lines = [line for line in said.splitlines() if str(five.parent) not in line]
    assert max(map(len, lines)) <= 100


def test_everything_else_in_the_folder_stays_as_it_is(copied, model, contents):
    folder = copied
    after, before = contents(folder), contents(model)
    assert {name: after[name] for name in before} == before
    assert sorted(set(after) - set(before)) == [
        "external/five/evaluation_external.json",
        "external/five/predictions_external.npz",
        "external/three/evaluation_external.json",
        "external/three/predictions_external.npz",
    ]
    there = ResultsFolder(folder / "external" / "three")
    assert check_digests(there, ["external"])
    assert there.read_evaluation("external")["made_from"]["own_test"]
    shutil.copy(folder / "predictions_test.npz", there.predictions("external"))
    with pytest.raises(UserError, match=r"another predictions_external\.npz.*--external DIR"):
        check_digests(there, ["external"])


@pytest.mark.slow
def test_again_gives_the_same_bytes(evaluate, on_both, copied, three, contents):
    evaluate(three, *TO_THREE, folder=copied)
    assert contents(copied) == contents(on_both.folder)


REFUSED = {
    "": "has the classes 0, NPDR, PDR, and the model has 0, 1, 2, 3, 4",
    "0=0 1,2=NPDR 4=PDR": "no rule says what grade 3 is",
    "0=0 1,2,3=NPDR 4,5=PDR": "5 is not one of the model's grades",
    "0=0 1,2,3=NPDR 3,4=PDR": "grade 3 stands in two rules",
    "0,4=0 1,2,3=NPDR": "must be neighbours",
    "0,1,2,3,4=all": "expected two or more classes",
    "0=0 1,2,3=mild 4=PDR": "NPDR is none of the classes that --grade_map names",
    "0=0 1,2,3": "expected LABEL=GRADE",
}


@pytest.mark.parametrize("grade_map", REFUSED)
def test_wrong_maps_are_refused(grade_map, evaluate, three, model, contents):
    outcome, folder = evaluate(three, *(("--grade_map", *grade_map.split()) if grade_map else ()))
    assert outcome.code == 2
    assert REFUSED[grade_map] in outcome.stderr
    assert "=" in outcome.stderr  # it shows how to write one
    assert contents(folder) == contents(model)


def test_missing_grades_are_taken_for_other_classes_unless_said(evaluate, five, tmp_path):
    """0 and 1 alone may be two of five grades, or healthy and sick."""
    binary = tmp_path / "binary"
    for grade in "01":
        shutil.copytree(five / "test" / grade, binary / "test" / grade)
    outcome, folder = evaluate(binary)
    assert outcome.code == 2
    assert "--grade_map 0=0 1=1 2=2 3=3 4=4" in outcome.stderr
    same = ("--grade_map", *(f"{grade}={grade}" for grade in range(5)))
    outcome, _ = evaluate(binary, *same, folder=folder)
    assert outcome.code == 0, outcome.stderr
    report, predictions = found(folder, "binary")
    assert predictions.num_classes == 5
    assert report["per_class"][4]["recall"]["value"] is None


def test_what_can_not_be_evaluated(evaluate, model, three, tmp_path, contents):
    outcome, _ = evaluate(tmp_path / "nowhere")
    assert (outcome.code, "not there" in outcome.stderr) == (2, True)
    (tmp_path / "empty").mkdir()
    outcome, _ = evaluate(tmp_path / "empty")
    assert (outcome.code, "no photographs" in outcome.stderr) == (2, True)
    outcome, _ = evaluate(three, *TO_THREE, "--splits", "test")
    assert (outcome.code, "--splits is for the own val and test" in outcome.stderr) == (2, True)
    outcome, _ = evaluate(three, *TO_THREE, "--decoder", "vote")
    assert (outcome.code, "--decoder coupling" in outcome.stderr) == (2, True)
    bare = tmp_path / "bare"
    shutil.copytree(model / "models", bare / "models")
    outcome, _ = evaluate(three, *TO_THREE, folder=bare)
    assert (outcome.code, "is not evaluated" in outcome.stderr) == (2, True)
    assert all(name.startswith("models/") for name in contents(bare))


def test_the_data_set_of_the_training_is_no_other_one(evaluate, tiny_dataset):
    outcome, _ = evaluate(tiny_dataset / "test")
    assert outcome.code == 2
    assert "one folder is inside the other" in outcome.stderr


def test_another_data_set_of_the_same_name_is_not_written_over(evaluate, copied, three, tmp_path):
    other = shutil.copytree(three, tmp_path / "other" / "three")
    outcome, _ = evaluate(other, *TO_THREE, folder=copied)
    assert outcome.code == 2
    assert "another data set of that name" in outcome.stderr


def test_photographs_that_the_network_has_seen_are_a_leak(evaluate, five, tiny_dataset, tmp_path):
    data = shutil.copytree(five, tmp_path / "mixed")
    shutil.copy(tiny_dataset / "train/1/train-1-0.jpeg", data / "test/1/p7_left.jpeg")
    shutil.copy(five / "test/2/test-2-0.jpeg", data / "test/2/p7_right.jpeg")
    shutil.copy(tiny_dataset / "test/3/test-3-0.jpeg", data / "test/3/own_test.jpeg")
    outcome, folder = evaluate(data)
    assert outcome.code == 0, outcome.stderr
    report, predictions = found(folder, "mixed")
    assert report["leaky"] is True
    assert "LEAKY" in predictions.marks
    assert "LEAKY" in outcome.stdout
    shared = report["shared"]
    assert shared["seen"]["listed"] == ["test/1/p7_left.jpeg"]
    assert {name: shared["photographs"][name] for name in ("train", "val", "test")} == {
        "train": 1, "val": 0, "test": 1,
    }  # fmt: skip
    assert (shared["leaky"], shared["of_their_patients"]) == (1, 2)
    assert report["without_shared"]["n"] == report["n"] - 2
    names = [str(name) for name in predictions.sample_ids]
    rest = np.array(["p7_" not in name for name in names])
    right = (predictions.predicted == predictions.targets)[rest].mean()
    assert report["without_shared"]["accuracy"]["value"] == pytest.approx(right)


@pytest.mark.slow
def test_altered_copies_are_a_leak(evaluate, draw_dataset, five, tmp_path):
    """The network has seen other files of these photographs."""
    own = draw_dataset(tmp_path / "own", images=1, height=240)
    data = shutil.copytree(five, tmp_path / "copies")
    image = cv2.imread(str(own / "train/3/train-3-0.jpeg"))
    smaller = cv2.resize(cv2.flip(image, 1), None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(data / "test/3/copy.png"), smaller)
    outcome, folder = evaluate(data, "--dataset_path", own)
    assert outcome.code == 0, outcome.stderr
    report, _ = found(folder, "copies")
    assert report["shared"]["seen"]["files"] == 0
    assert report["shared"]["photographs"]["train"] == 1
    (listed,) = report["shared"]["photographs"]["listed"]
    assert listed["files"] == ["test/3/copy.png"]
    assert listed["own_files"] == ["train/3/train-3-0.jpeg"]
    assert report["leaky"] is True


@pytest.mark.slow
def test_the_same_names_of_patients_are_said_but_no_leak(evaluate, five, draw_dataset, tmp_path):
    own = draw_dataset(tmp_path / "own")
    data = shutil.copytree(five, tmp_path / "named")
    for root, name in ((own / "train/0", "train-0-0"), (data / "test/1", "test-1-0")):
        (root / f"{name}.jpeg").rename(root / "4711_left.jpeg")
    outcome, folder = evaluate(data, "--dataset_path", own)
    assert outcome.code == 0, outcome.stderr
    report, _ = found(folder, "named")
    assert report["shared"]["patient_names"] == {
        "patients": 1, "photographs": 1, "names": ["4711"],
    }  # fmt: skip
    assert "names of patients" in outcome.stderr
    assert report["leaky"] is False
    assert report["without_shared"] is None


def test_without_the_data_set_of_the_training(evaluate, five, tmp_path, model):
    """What the network has seen stands in its checkpoint; copies and shift remain unknown."""
    folder = tmp_path / "out"
    shutil.copytree(model / "models", folder / "models")
    shutil.copy(model / "calibration.json", folder)
    outcome, _ = evaluate(five, folder=folder)
    assert outcome.code == 0, outcome.stderr
    report, _ = found(folder, "five")
    assert report["shared"]["seen"]["files"] == 0
    for block in (report["shift"], report["shared"]["photographs"]):
        assert block["value"] is None
        assert "no config.json" in block["reason"]
    for block in (report["own_test"], report["difference"]):
        assert "no predictions on test" in block["reason"]
    assert report["accuracy"]["value"] is not None


def test_shift(evaluate, five, tmp_path):
    darker = tmp_path / "darker"
    for path in five.rglob("*.jpeg"):
        place = darker / path.relative_to(five)
        place.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place), (cv2.imread(str(path)) * 0.5).astype(np.uint8))
    outcome, folder = evaluate(darker)
    assert outcome.code == 0, outcome.stderr
    report, _ = found(folder, "darker")
    block = report["shift"]
    assert block["n"] == {"external": 45, "train": 15, "test": 15}
    rows = {row["measure"]: row for row in block["measures"]}
    red = rows["red, 0 to 255"]
    assert red["medians"]["external"] < 0.7 * red["medians"]["train"]
    assert red["from_train"]["distance"] == 1.0
    assert red["from_train"]["standardised"]["value"] < -1
    assert red["test_from_train"]["distance"] < 0.5
    assert rows["height in pixels"]["medians"] == pytest.approx(
        {"external": 80, "train": 72, "test": 72}
    )
    assert "one value" in rows["height in pixels"]["from_train"]["standardised"]["reason"]
    distances = [row["from_train"]["distance"] for row in block["measures"]]
    assert distances == sorted(distances, reverse=True)


def test_what_the_gates_say(evaluate, five, tmp_path, model):
    data = shutil.copytree(five, tmp_path / "gated")
    noise = np.random.default_rng(0).integers(0, 256, (80, 107, 3), np.uint8)
    cv2.imwrite(str(data / "test/2/noise.png"), noise)
    (data / "labels.csv").write_text("outside the classes: stops nothing")
    outcome, folder = evaluate(data)
    assert outcome.code == 0, outcome.stderr
    report, predictions = found(folder, "gated")
    block = report["gates"]
    listed = {row["file"]: row["reasons"] for row in block["listed"]}
    assert any(why.startswith("no fundus photograph") for why in listed["test/2/noise.png"])
    # The listed files are all that are stopped, or the first of them.
    assert len(listed) == min(block["stopped"]["n"], 20)
    share = block["stopped"]["share"]
    assert share["value"] == pytest.approx(block["stopped"]["n"] / report["n"])
    assert share["low"] < share["value"] <= share["high"]
    assert report["n"] == 46
    if block["stopped"]["n"] <= 20:
        kept = np.array([str(name) not in listed for name in predictions.sample_ids])
        right = (predictions.predicted == predictions.targets)[kept].mean()
        assert block["passed"]["n"] == kept.sum()
        assert block["passed"]["accuracy"]["value"] == pytest.approx(right)
    assert "The gates stop" in outcome.stdout
    assert "no train_features.npz" in block["unlike_training"]["reason"]
    # The own test beside it.
    own = block["own_test"]
    assert own.get("n") == own.get("n_photographs") == 15, own
    assert "no train_features.npz" in own["unlike_training"]["reason"]
    change = block["difference"]
    assert change["stopped"]["value"] == pytest.approx(
        share["value"] - own["stopped"]["share"]["value"]
    )
    assert change["stopped"]["low"] < change["stopped"]["value"] < change["stopped"]["high"]
    assert "no train_features.npz" in change["unlike_training"]["reason"]
    assert "Of 15 of the own test they stop" in " ".join(outcome.stdout.split())


@pytest.mark.slow
def test_the_gates_say_what_they_say_to_a_reader(
    small, trainer, draw_dataset, five, evaluate, tmp_path
):
    """With the features of the train pictures: as when the same pictures are read one by one."""
    own, folder = draw_dataset(tmp_path / "own", images=21), tmp_path / "gated"
    (own / SYNTHETIC_MARK).write_text("{}")
    common = ("--dataset_path", own, "--output_dir", folder)
    assert trainer(*small, *common, "--epochs", 1).code == 0
    assert trainer("--mode", "evaluate", "--device", "cpu", "--num_workers", 0, *common).code == 0
    data = shutil.copytree(five, tmp_path / "strange")
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 256, (80, 107, 3), np.uint8)
        cv2.imwrite(str(data / f"test/2/noise{number}.png"), noise)
    outcome, _ = evaluate(data, folder=folder)
    assert outcome.code == 0, outcome.stderr
    report, predictions = found(folder, "strange")
    images = [cv2.imread(str(data / str(name)))[..., ::-1] for name in predictions.sample_ids]
    readings = Grader.load(folder, device="cpu").grade(images)
    said = [[why.partition(" ")[0] for why in one.reasons] for one in readings]
    block = report["gates"]
    for name, first in (("unlike_training", "unlike"), ("no_fundus", "no")):
        assert block[name]["n"] == sum(first in words for words in said)
    assert block["unlike_training"]["n"] >= 4
    assert block["unlike_training"]["levels"] == [0.01]
    assert block["stopped"]["n"] == sum(not one.gradable for one in readings)
    tests = sorted((own / "test").glob("*/*.jpeg"))
    images = [cv2.imread(str(path))[..., ::-1] for path in tests]
    readings = Grader.load(folder, device="cpu").grade(images)
    assert block["own_test"]["n"] == len(tests)
    assert block["own_test"]["stopped"]["n"] == sum(not one.gradable for one in readings)
    shutil.rmtree(own)
    outcome, _ = evaluate(data, folder=folder)
    assert outcome.code == 0, outcome.stderr
    report, _ = found(folder, "strange")
    assert "give --dataset_path" in report["gates"]["own_test"]["reason"]
    assert "Of the own test: unknown" in " ".join(outcome.stdout.split())


def test_photographs_unlike_the_training(model):
    """More than half of the networks that can tell must call one so; one can't tell here."""
    p = load_predictions(model / "predictions_test.npz")
    count = len(p.targets)
    p_values = np.full((3, count), 0.5)
    p_values[0, :4] = p_values[1, :3] = 0.005
    p_values[2] = np.nan
    levels = np.array([0.01, 0.01, 0.0])
    quality = np.full(count, 0.9)
    quality[2] = 0.0
    gated = Gated(quality, [""] * (count - 1) + ["flat"], p_values, levels)
    whole = merged(p, class_map(list("01234"), []), p.targets)
    calibration = load_calibration(model / "calibration.json")
    own = {"value": None, "reason": "not there"}
    block = gates_block(gated, whole, calibration, ["no file"], own)
    assert block["own_test"] == own
    assert block["difference"] == {"value": None, "reason": "not there"}
    assert {name: block[name]["n"] for name in ("no_fundus", "unlike_training", "ungradable")} == {
        "no_fundus": 1, "unlike_training": 3, "ungradable": 1,
    }  # fmt: skip
    assert block["stopped"]["n"] == 4
    right = (p.predicted == p.targets)[3:-1].mean()
    assert block["passed"]["n"] == count - 4
    assert block["passed"]["accuracy"]["value"] == pytest.approx(right)
    none = gates_block(gated, whole, calibration, ["no file"] * 3, own)["unlike_training"]
    assert none == {"value": None, "reason": "no file"}


def test_distances_of_samples():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=70), rng.normal(0.5, 2, size=40).round(1)
    assert distance(first, second) == pytest.approx(ks_2samp(first, second).statistic)
    assert distance(first, first) == 0
    normal = rng.normal(3, 2, size=200_000)
    assert standardised(normal + 4, normal)["value"] == pytest.approx(2, rel=0.01)


def test_the_best_temperature_of_merged_classes():
    """Of classes drawn from tempered probabilities, that temperature is found again."""
    rng = np.random.default_rng(1)
    truth = rng.dirichlet(np.ones(5), size=40_000)
    grades = (truth.cumsum(axis=1) < rng.random((len(truth), 1))).sum(axis=1).clip(max=4)
    given = temper(truth, 0.5)  # overconfident: the temperature that corrects it is 2
    count = len(grades)
    predictions = Predictions(
        "softmax", "argmax", list("01234"), np.arange(count).astype(str),
        np.arange(count).astype(str), np.full(count, ""), np.full(count, np.nan),
        np.zeros(count, bool), grades, given.argmax(axis=1), np.zeros((0, 2)), np.log(given), given,
    )  # fmt: skip
    classes = class_map(list("01234"), TO_THREE[1:])
    found_there = merged(predictions, classes, CLASS_OF[grades])
    assert best_temperature(found_there) == pytest.approx(2, rel=0.05)


def test_class_map():
    classes = class_map(["No_DR", "Mild", "Worse"], ["0,Mild=none", "Worse=some"])
    assert classes.names == ("none", "some")
    assert classes.class_of == (0, 0, 1)
    assert classes.class_of_folder("Some") == 1
    assert classes.class_of_folder("1") is None
    assert class_map(list("01234"), TO_THREE[1:]).class_of_folder("proliferative") == 2
    same = class_map(list("01234"), [])
    assert (same.names, same.merges) == (tuple("01234"), False)
    assert same.class_of_folder("No DR") == 0


@pytest.mark.parametrize("head", ["softmax", *slow("ovo")])
def test_members_of_folds_together(head, small, trainer, three, tiny_dataset, evaluate, tmp_path):
    folder = tmp_path / "folds"
    outcome = trainer(
        *small, "--dataset_path", tiny_dataset, "--output_dir", folder, "--folds", 2,
        "--epochs", 1, "--keep_epoch", "last", "--head", head,
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    common = ("--mode", "evaluate", "--dataset_path", tiny_dataset, "--output_dir", folder)
    assert trainer(*common, "--device", "cpu", "--num_workers", 0).code == 0
    outcome, _ = evaluate(three, *TO_THREE, folder=folder)
    assert outcome.code == 0, outcome.stderr
    assert "mean of 2 models" in outcome.stdout
    report, predictions = found(folder, "three")
    assert (report["decoder"], report["own_test"]["n"]) == ("mean", 15)
    assert len(report["made_from"]["checkpoints"]) == 2
    assert check_digests(ResultsFolder(folder / "external" / "three"), ["external"])
    assert len(predictions.targets) == 45


@pytest.mark.slow
def test_the_mean_of_several_models(small, trainer, model, tiny_dataset, five, evaluate, tmp_path):
    shutil.copytree(model, tmp_path / "test_efficientnet_5class_results")
    trained = trainer(
        "--base_models", "test_resnet", "--no-pretrained", "--img_size", 48, "--head", "softmax",
        "--dataset_path", tiny_dataset, "--output_dir", tmp_path / "test_resnet_5class_results",
        "--device", "cpu", "--num_workers", 0, "--epochs", 1,
    )  # fmt: skip
    assert trained.code == 0, trained.stderr
    both = ("--base_models", "test_efficientnet", "test_resnet")
    common = ("--mode", "evaluate", "--dataset_path", tiny_dataset, "--output_dir", tmp_path)
    assert trainer(*common, *both, "--device", "cpu", "--num_workers", 0).code == 0
    outcome, _ = evaluate(five, *both, folder=tmp_path)
    assert outcome.code == 0, outcome.stderr
    report, predictions = found(tmp_path / "ensemble", "five")
    assert report["own_test"]["n"] == 15
    parts = []
    for name in both[1:]:
        folder = tmp_path / f"{name}_5class_results"
        outcome, _ = evaluate(five, "--base_models", name, folder=folder)
        assert outcome.code == 0, outcome.stderr
        temperature = load_calibration(folder / "calibration.json").temperature
        parts.append(temper(found(folder, "five")[1].probabilities, temperature))
    assert predictions.probabilities == pytest.approx(sum(parts) / 2)
    assert predictions.predicted.tolist() == (sum(parts) / 2).argmax(axis=1).tolist()
    assert len(report["made_from"]["checkpoints"]) == 2
    assert report["calibration"]["temperature"] == pytest.approx(
        load_calibration(tmp_path / "ensemble" / "calibration.json").temperature
    )


AS_ON_TEST = {"--head softmax --class_weights 1 2 3 4 5": "--prior_correction"}
ALSO_AS_ON_TEST = {
    "--head ovo": "",
    "--head regression": "",
    "--head softmax": "--decoder expected",
    "--ovo_mode independent --epochs 1": "--decoder weighted",
}


@pytest.mark.parametrize("trained", [*AS_ON_TEST, *slow(*ALSO_AS_ON_TEST)])
def test_the_same_photographs_are_graded_as_on_test(
    trained, small, trainer, tiny_dataset, evaluate, tmp_path
):
    """A copy of the own test: the same grades and probabilities, and no differences."""
    folder, how = tmp_path / "trained", (AS_ON_TEST | ALSO_AS_ON_TEST)[trained].split()
    common = ("--dataset_path", tiny_dataset, "--output_dir", folder)
    learning = ("--epochs", 2, "--learning_rate", "1e-2", "--warmup_epochs", 0)
    assert trainer(*small, *common, *learning, *trained.split()).code == 0
    evaluation = ("--mode", "evaluate", "--device", "cpu", "--num_workers", 0, *common, *how)
    assert trainer(*evaluation).code == 0
    shutil.copytree(tiny_dataset / "test", tmp_path / "copy" / "test")
    outcome, _ = evaluate(tmp_path / "copy", *how, folder=folder)
    assert outcome.code == 0, outcome.stderr
    report, there = found(folder, "copy")
    own = load_predictions(folder / "predictions_test.npz")
    assert there.sample_ids.tolist() == [f"test/{name}" for name in own.sample_ids]
    for name in ("predicted", "targets", "logits", "probabilities"):
        assert np.array_equal(getattr(there, name), getattr(own, name)), name
    whole = json.loads((folder / "evaluation.json").read_text())
    for name in ("accuracy", "macro_auc", "pairs", "referable", "confusion", "by_quality"):
        assert report[name] == report["own_test"].get(name, report[name]) == whole[name]
    for kind in ("raw", "tempered"):
        assert report["calibration"][kind] == whole["calibration"][kind]
    assert report["difference"]["accuracy"]["value"] == 0
    assert report["shared"]["photographs"]["test"] == 15
    assert "are in the own test" in outcome.stderr
    assert report["leaky"] is False


def test_reasons_name_classes(evaluate, three, tmp_path):
    data = shutil.copytree(three, tmp_path / "healthy")
    for name in ("NPDR", "PDR"):
        shutil.rmtree(data / name)
    outcome, folder = evaluate(data, *TO_THREE)
    assert outcome.code == 0, outcome.stderr
    report, _ = found(folder, "healthy")
    assert report["macro_auc"]["reason"] == "no image of class NPDR, PDR"
    assert report["per_class"][1]["recall"]["reason"] == "no image of class NPDR"
    assert report["per_grade"][4]["recall"]["reason"] == "no image of grade 4"


def test_a_damaged_evaluation_is_written_again(evaluate, copied, three):
    path = copied / "external" / "three" / "evaluation_external.json"
    before = path.read_bytes()
    path.write_bytes(before[:100])
    outcome, _ = evaluate(three, *TO_THREE, folder=copied)
    assert outcome.code == 0, outcome.stderr
    assert path.read_bytes() == before


@pytest.mark.slow
def test_a_prepared_data_set_with_a_manifest(evaluate, three, tmp_path):
    """Patients are those of the manifest, and both eyes count as one."""
    listed = tmp_path / "listed"
    listed.mkdir()
    rows = ["image,grade,patient"]
    for number, path in enumerate(sorted(three.rglob("*.jpeg"))):
        shutil.copy(path, listed / path.name)
        rows.append(f"{path.name},{path.parent.name},p{number // 2}")
    (listed / "labels.csv").write_text("\n".join(rows))
    code = prepare.main(
        ["--images", str(listed), "--labels", str(listed / "labels.csv"), "--output",
         str(tmp_path / "prepared"), "--class_names", *THREE, "--patient_column", "patient"],
        "prepare_dataset.py",
    )  # fmt: skip
    assert code == 0
    outcome, folder = evaluate(tmp_path / "prepared", *TO_THREE)
    assert outcome.code == 0, outcome.stderr
    report, predictions = found(folder, "prepared")
    assert (report["n"], report["n_patients"]) == (45, 23)
    assert report["intervals"] == "patient bootstrap"
    assert set(predictions.patient_ids.tolist()) == {f"p{number}" for number in range(23)}


def test_damaged_files_stop_it_unless_they_are_skipped(evaluate, three, tmp_path, contents, model):
    data = shutil.copytree(three, tmp_path / "damaged")
    (data / "PDR" / "test-4-0.jpeg").write_bytes(b"")
    outcome, folder = evaluate(data, *TO_THREE)
    assert outcome.code == 2
    assert "test-4-0.jpeg" in outcome.stderr
    assert contents(folder) == contents(model)
    outcome, _ = evaluate(data, *TO_THREE, "--skip_damaged")
    assert outcome.code == 0, outcome.stderr
    report, _ = found(folder, "damaged")
    assert report["n"] == 44
    assert [Path(name).name for name in report["skipped_images"]] == ["test-4-0.jpeg"]


@pytest.mark.slow
def test_figures_per_patient(evaluate, three, tmp_path):
    """The worse eye decides, in classes."""
    data = tmp_path / "eyes"
    for number, path in enumerate(sorted(three.rglob("*.jpeg"))):
        place = data / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(
            path, place / f"{number % 20}_{('left', 'right')[number // 20 % 2]}{path.suffix}"
        )
    outcome, folder = evaluate(data, *TO_THREE, "--patient_level")
    assert outcome.code == 0, outcome.stderr
    report, p = found(folder, "eyes")
    assert report["intervals"] == "patient bootstrap"
    worst = {
        owner: (p.predicted[p.patient_ids == owner].max(), p.targets[p.patient_ids == owner].max())
        for owner in np.unique(p.patient_ids)
    }
    assert len(worst) == report["n_patients"] == report["patient_level"]["n_patients"]
    right = np.mean([called == true for called, true in worst.values()])
    assert report["patient_level"]["accuracy"]["value"] == pytest.approx(right)
    assert "one class there" in report["patient_level"]["referable"]["reason"]


def test_criteria_are_held_against_it(copied, tmp_path):
    folder = copied
    _, predictions = found(folder, "five")
    results = read_external(folder / "external" / "five", "external")
    assert results.test.sample_ids.tolist() == predictions.sample_ids.tolist()
    assert results.calibration == load_calibration(folder / "calibration.json")
    output = tmp_path / "validation"
    code = validate.main(
        ["--results_dirs", str(folder), "--external", str(folder / "external" / "five"),
         "--output", str(output)], "medical_validation.py",
    )  # fmt: skip
    assert code == 1
    with pytest.raises(UserError, match="where grades are merged"):
        read_external(folder / "external" / "three", "external")
    calibration = json.loads((folder / "calibration.json").read_text())
    (folder / "calibration.json").write_text(json.dumps(calibration | {"temperature": 1.5}))
    with pytest.raises(UserError, match="calibration"):
        read_external(folder / "external" / "five", "external")
