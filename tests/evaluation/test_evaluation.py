"""`--mode evaluate`: what it writes, and that the checkpoint has all it needs."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score

from dr_ovo.commands.reports import strengths
from dr_ovo.decoding.decoders import DECODERS, decode
from dr_ovo.decoding.fitting import fitted_from_json
from dr_ovo.decoding.tempering import temper
from dr_ovo.errors import run
from dr_ovo.evaluation import evaluation as evaluation_module
from dr_ovo.models.checkpoints.files import save_checkpoint
from dr_ovo.predictions.calibration_file import load_calibration
from dr_ovo.predictions.predictions_file import load_predictions
from tests.fixtures import decoders
from tests.fixtures.sealed import edit
from tests.fixtures.slow import slow

ROOT = Path(__file__).resolve().parents[2]
# Each with a size, preprocessing or head that is not the default.
NETWORKS = {
    "shared": "--img_size 64 --no-enable_clahe",
    "softmax": "--head softmax --clahe_clip_limit 1.5",
    "regression": "--head regression",
    "independent": "--ovo_mode independent --clahe_tile_grid_size 4",
}
MORE_NETWORKS = {
    "ordinal": "--head ordinal --img_size 48",
    "averaged": "--ema_decay 0.7 --tta_views 4",
}


@pytest.fixture(scope="module")
def train(small, tiny_dataset, trainer):
    """Trains a small network with the given flags into a folder."""

    def into(folder: Path, *flags: object, data: Path = tiny_dataset) -> Path:
        outcome = trainer(
            *small, "--dataset_path", data, "--output_dir", folder, "--epochs", 2,
            "--learning_rate", "1e-2", "--warmup_epochs", 0, *flags,
        )  # fmt: skip
        assert outcome.code == 0, outcome.stderr
        return folder

    return into


class Networks(dict[str, Path]):
    """The folders of the networks above, each trained when it is asked for first."""

    def __init__(self, train: Callable[..., Path], root: Path) -> None:
        super().__init__()
        self.train, self.root = train, root

    def __missing__(self, name: str) -> Path:
        self[name] = self.train(self.root / name, *(NETWORKS | MORE_NETWORKS)[name].split())
        return self[name]


@pytest.fixture(scope="module")
def networks(train, tmp_path_factory: pytest.TempPathFactory) -> Networks:
    return Networks(train, tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="module")
def of_three_grades(train, three_grades, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("three") / "out", "--num_classes", 3, data=three_grades)


@pytest.fixture
def evaluate(trainer, tiny_dataset):
    """Evaluates a folder with the given flags, and none about its input."""

    def run(folder: Path, *flags: object, data: Path = tiny_dataset):
        return trainer(
            "--mode", "evaluate", "--dataset_path", data, "--output_dir", folder, "--device",
            "cpu", "--num_workers", 0, *flags,
        )  # fmt: skip

    return run


def report(folder: Path, name: str = "evaluation.json") -> dict:
    return json.loads((folder / name).read_text())


def metas(folder: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted((folder / "models").glob("*.json"))]


@pytest.mark.parametrize("name", [*NETWORKS, *slow(*MORE_NETWORKS)])
def test_evaluation_sees_what_training_saw(name, networks, evaluate):
    """The metrics on val equal those that training logged for the same checkpoint: same pixels,
    network and decoding. Val has fewer than 200 images and is not divided."""
    folder = networks[name]
    outcome = evaluate(folder)
    assert outcome.code == 0, outcome.stderr
    found = report(folder, "evaluation_val.json")
    checkpoints = metas(folder)
    if name == "independent":
        logged = {tuple(meta["pairs"][0]): meta["metrics"]["val_auc"] for meta in checkpoints}
        assert len(logged) == 10
        assert {tuple(p["pair"]): p["auc"]["value"] for p in found["pairs"]} == pytest.approx(
            logged
        )
    else:
        (meta,) = checkpoints
        assert found["quadratic_kappa"]["value"] == pytest.approx(meta["metrics"]["val_kappa"])
        assert found["accuracy"]["value"] == pytest.approx(meta["metrics"]["val_accuracy"])
        if name != "regression":  # whose probabilities get their scale after the epoch
            assert found["macro_auc"]["value"] == pytest.approx(meta["metrics"]["val_auc"])


@pytest.mark.parametrize(
    "name", ["shared", "softmax", *slow("regression", "independent", *MORE_NETWORKS)]
)
def test_what_evaluation_writes(name, networks, evaluate, contents, tiny_dataset):
    folder = networks[name]
    before = {key for key in contents(folder) if not key.startswith(("predic", "eval", "calib"))}
    assert evaluate(folder).code == 0
    assert set(contents(folder)) - before == {
        "predictions_val.npz", "predictions_test.npz", "calibration.json", "evaluation.json",
        "evaluation_val.json",
    }  # fmt: skip

    width = {"softmax": 5, "ordinal": 4, "regression": 1}.get(name, 10)
    usual = {"softmax": "argmax", "ordinal": "argmax", "regression": "expected"}
    for split in ("val", "test"):
        predictions = load_predictions(folder / f"predictions_{split}.npz")
        assert predictions.head == (name if width < 10 else "ovo")
        assert predictions.decoder == usual.get(name, "coupling")
        assert predictions.logits.shape == (15, width)
        assert predictions.pairs.shape == ((0, 2) if width < 10 else (10, 2))
        assert predictions.probabilities.shape == (15, 5)
        assert predictions.sample_ids[0] == f"0/{split}-0-0.jpeg"
        assert predictions.targets.tolist() == [grade for grade in range(5) for _ in range(3)]
        assert predictions.class_names.tolist() == list("01234")
        assert not predictions.calibration.any()
        assert np.isnan(predictions.quality).all()
        fitted = fitted_from_json(metas(folder)[0]["decoding"])
        predicted, probabilities = decode(predictions.head, predictions.logits, 5, fitted=fitted)
        assert predictions.predicted.tolist() == predicted.tolist()
        assert predictions.probabilities == pytest.approx(probabilities)
    assert load_calibration(folder / "calibration.json").n == 15

    found = report(folder)
    keys = {
        "schema", "split", "n", "accuracy", "balanced_accuracy", "quadratic_kappa", "macro_auc",
        "per_class", "pairs", "referable", "vision_threatening", "calibration", "confusion",
    }  # fmt: skip
    assert keys <= found.keys()
    assert (found["schema"], found["split"], found["n"]) == (1, "test", 15)
    predictions = load_predictions(folder / "predictions_test.npz")
    kappa = cohen_kappa_score(predictions.targets, predictions.predicted, weights="quadratic")
    assert found["quadratic_kappa"]["value"] == pytest.approx(kappa)
    assert [row["pair"] for row in found["pairs"]] == [
        [a, b] for a in range(5) for b in range(a + 1, 5)
    ]


def test_a_split_by_itself(networks, evaluate, contents, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(networks["softmax"] / "models", folder / "models")
    refused = evaluate(folder, "--splits", "test")
    assert refused.code == 2
    assert "no calibration.json. Evaluate val first" in refused.stderr
    outcome = evaluate(folder, "--splits", "val")
    assert outcome.code == 0
    assert ": val" in outcome.stdout
    assert not folder.joinpath("predictions_test.npz").exists()
    assert not folder.joinpath("evaluation.json").exists()
    of_val = {name: contents(folder)[name] for name in contents(folder)}
    assert evaluate(folder, "--splits", "test").code == 0
    assert {name: contents(folder)[name] for name in of_val} == of_val
    both = tmp_path / "both"
    shutil.copytree(networks["softmax"] / "models", both / "models")
    assert evaluate(both).code == 0
    names = ("predictions_val.npz", "predictions_test.npz", "calibration.json")
    assert {n: contents(folder)[n] for n in names} == {n: contents(both)[n] for n in names}


def test_an_evaluation_of_other_checkpoints_is_stale(networks, evaluate, tmp_path):
    folder = tmp_path / "out"
    shutil.copytree(networks["softmax"] / "models", folder / "models")
    assert "is stale" not in evaluate(folder).stdout
    assert "is stale" not in evaluate(folder, "--splits", "val").stdout
    (path,) = (folder / "models").glob("*.pth")
    content = torch.load(path, weights_only=True)
    content["state_dict"]["head.bias"] += 1.0
    content["state_dict"]["head.bias"][0] += 1.0
    torch.save(content, path)
    path.with_suffix(".json").unlink()  # it tells of the checkpoint before
    refused = evaluate(folder, "--splits", "test")
    assert refused.code == 2
    assert "evaluation_val.json belongs to another best_" in refused.stderr
    outcome = evaluate(folder, "--splits", "val")
    assert outcome.code == 0
    assert "evaluation.json is stale" in outcome.stdout + outcome.stderr
    assert evaluate(folder, "--splits", "test").code == 0
    assert "is stale" not in evaluate(folder, "--splits", "val").stdout


@pytest.mark.slow
def test_the_expected_grade_as_decoder(networks, evaluate, tmp_path):
    """On a val of 15 images it rounds; it uses tempered probabilities."""
    folder = tmp_path / "out"
    shutil.copytree(networks["softmax"] / "models", folder / "models")
    assert evaluate(folder, "--decoder", "expected").code == 0
    calibration = load_calibration(folder / "calibration.json")
    assert calibration.grade_thresholds is None
    for split in ("val", "test"):
        predictions = load_predictions(folder / f"predictions_{split}.npz")
        assert predictions.decoder == "expected"
        tempered = temper(predictions.probabilities, calibration.temperature)
        expected = np.floor(tempered @ np.arange(5) + 0.5)
        assert predictions.predicted.tolist() == expected.tolist()


def test_a_calibration_of_other_probabilities_is_not_used(networks, evaluate, tmp_path):
    folder = shutil.copytree(networks["softmax"], tmp_path / "out")
    assert evaluate(folder, "--splits", "val", "--prior_correction").code == 0
    assert evaluate(folder, "--splits", "test", "--prior_correction").code == 0
    for flags in ((), ("--prior_correction", "--decoder", "expected")):
        other = evaluate(folder, "--splits", "test", *flags)
        assert other.code == 2
        assert "--decoder coupling --prior_correction true" in other.stderr


@pytest.mark.slow
def test_prior_correction_takes_from_the_logits_what_class_weights_added(train, evaluate, tmp_path):
    folder = train(tmp_path / "out", "--head", "softmax", "--class_weights", 1, 2, 3, 4, 5)
    assert evaluate(folder).code == 0
    raw = load_predictions(folder / "predictions_test.npz")
    assert evaluate(folder, "--prior_correction").code == 0
    corrected = load_predictions(folder / "predictions_test.npz")
    assert np.array_equal(raw.logits, corrected.logits)
    weighted = raw.probabilities / np.arange(1, 6)
    assert corrected.probabilities == pytest.approx(
        weighted / weighted.sum(axis=1, keepdims=True), rel=1e-6
    )
    assert report(folder)["prior_corrected"] is True
    (path,) = (folder / "models").glob("*.pth")
    content = torch.load(path, weights_only=True)
    del content["prior_shift"]
    torch.save(content, path)
    path.with_suffix(".json").unlink()  # it tells of the checkpoint before
    refused = evaluate(folder, "--prior_correction")
    assert refused.code == 2
    assert "trained by an earlier version" in refused.stderr
    assert evaluate(folder).code == 0


def test_evaluating_again_gives_the_same_bytes(networks, evaluate, contents):
    assert evaluate(networks["shared"]).code == 0
    before = contents(networks["shared"])
    assert evaluate(networks["shared"]).code == 0
    assert contents(networks["shared"]) == before


@pytest.mark.slow
def test_a_folder_may_be_moved_and_needs_its_models_alone(networks, evaluate, tmp_path):
    evaluate(networks["shared"])
    moved = tmp_path / "elsewhere"
    shutil.copytree(networks["shared"] / "models", moved / "models")
    assert evaluate(moved).code == 0
    alone = report(moved)["statistics_only"]
    assert "earlier version" in alone["accuracy"]["reason"]
    sets = {"guaranteed": False, "chosen": ["how the network was trained is not known"]}
    expected = report(networks["shared"]) | {"audited": None, "statistics_only": alone}
    expected["conformal"] |= sets
    found = report(moved) | {name: expected[name] for name in ("digest", "made_from")}
    assert found == expected
    source = report(networks["shared"])["made_from"]
    found = report(moved)["made_from"]
    del source["config"]  # which was left behind
    del source["calibration"], found["calibration"]  # which say what val has chosen
    assert found == source


CONTRADICTIONS = {
    "--img_size 32": "--img_size 32: the checkpoint has 64",
    "--enable_clahe": "--enable_clahe True: the checkpoint has False",
    "--preprocessing none": "--preprocessing none: the checkpoint has disc_crop",
    "--preprocessing disc_crop ben_graham": "disc_crop ben_graham: the checkpoint has disc_crop",
    "--tta_views 2": "--tta_views 2: the checkpoint has 1",
    "--num_classes 4": "--num_classes 4: the checkpoint has 5",
    "--class_names a b c d e": "--class_names a b c d e: the checkpoint has 0 1 2 3 4",
    "--head softmax": "--head softmax: the checkpoint has ovo",
    "--ovo_mode independent": "--ovo_mode independent: the checkpoint has shared",
}


@pytest.mark.parametrize("flags", CONTRADICTIONS)
def test_a_flag_that_contradicts_the_checkpoint(flags, networks, evaluate, contents):
    before = contents(networks["shared"])
    outcome = evaluate(networks["shared"], *flags.split())
    assert outcome.code == 2
    assert CONTRADICTIONS[flags] in outcome.stderr
    assert contents(networks["shared"]) == before


def test_clahe_that_is_denied_or_altered_contradicts_too(networks, evaluate):
    for flags in ("--no-enable_clahe", "--clahe_clip_limit 3.0"):
        outcome = evaluate(networks["softmax"], *flags.split())
        assert outcome.code == 2
        assert "contradict the checkpoints" in outcome.stderr


@pytest.mark.slow
def test_flags_that_agree_are_taken(networks, evaluate):
    agreeing = "--img_size 64 --no-enable_clahe --num_classes 5 --head ovo --ovo_mode shared"
    assert evaluate(networks["shared"], *agreeing.split()).code == 0
    assert evaluate(networks["shared"], "--img_size", 0).code == 0
    assert evaluate(networks["shared"], "--preprocessing", "disc_crop").code == 0


def test_an_incomplete_network_is_never_evaluated(networks, evaluate, tmp_path):
    folder = shutil.copytree(networks["independent"], tmp_path / "out")
    for pair in ("0_3", "2_4"):
        (folder / "models" / f"best_test_efficientnet_{pair}.pth").unlink()
    outcome = evaluate(folder)
    assert outcome.code == 2
    assert "no classifier for the pairs 0-3 2-4" in outcome.stderr
    assert "--pairs 0-3 2-4" in outcome.stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (None, None, "No checkpoints"),
        ("best_x_ovo.pth", {"epoch": np.float64(3)}, "best_x_ovo.pth"),
        ("best_x_ovo.pth", {"epoch": 3}, "was not made by this toolkit"),
        ("best_x_ovo.pth", b"PK\x03\x04 cut off", "can't be loaded safely"),
    ],
)
def test_what_can_not_be_evaluated(name, content, said, evaluate, tmp_path):
    models = tmp_path / "out" / "models"
    models.mkdir(parents=True)
    if isinstance(content, bytes):
        (models / name).write_bytes(content)
    elif name:
        torch.save(content, models / name)
    outcome = evaluate(tmp_path / "out")
    assert outcome.code == 2
    assert said in outcome.stderr
    assert "Traceback" not in outcome.stderr


OFFLINE = """
import runpy, socket, sys

def refuse(*_, **__):
    raise AssertionError("evaluation asked for the network")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = refuse
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_evaluation_in_a_fresh_process_without_network(
    networks, tiny_dataset, tmp_path, evaluate, prepared
):
    """In a process that has not trained, and cannot ask anybody."""
    folder, home = networks["softmax"], tmp_path / "home"
    home.mkdir()
    assert evaluate(folder).code == 0
    here = report(folder)
    # The command of the guide: nothing in it speaks of the input.
    offline = tmp_path / "offline.py"
    offline.write_text(OFFLINE)
    words = (
        "--mode", "evaluate", "--base_models", "test_efficientnet", "--dataset_path", tiny_dataset,
        "--output_dir", folder, "--num_workers", 0,
    )  # fmt: skip
    command = (offline, ROOT / "ensemble_5class_trainer.py", *words)
    process = prepared.start(command, tmp_path, HOME=str(home), HF_HOME=str(home))
    assert process.wait(400) == 0, process.stderr.read_text()
    assert report(folder) == here


def test_training_from_a_file_needs_no_network(train, tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("training asked for the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    train(tmp_path / "out", "--epochs", 1)


@pytest.mark.slow
def test_several_models_and_their_mean(networks, trainer, tiny_dataset, tmp_path, evaluate):
    shutil.copytree(networks["shared"], tmp_path / "test_efficientnet_5class_results")
    outcome = trainer(
        "--base_models", "test_resnet", "--no-pretrained", "--img_size", 48, "--head", "softmax",
        "--dataset_path", tiny_dataset, "--output_dir", tmp_path / "test_resnet_5class_results",
        "--device", "cpu", "--num_workers", 0, "--epochs", 1,
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    outcome = evaluate(tmp_path, "--base_models", "test_efficientnet", "test_resnet")
    assert outcome.code == 0, outcome.stderr
    assert "mean of 2 models" in outcome.stdout
    folders = [tmp_path / f"{name}_5class_results" for name in ("test_efficientnet", "test_resnet")]
    members = [
        temper(
            load_predictions(folder / "predictions_test.npz").probabilities,
            load_calibration(folder / "calibration.json").temperature,
        )
        for folder in folders
    ]
    joint = load_predictions(tmp_path / "ensemble" / "predictions_test.npz")
    mean = (members[0] + members[1]) / 2
    assert joint.head == "ensemble"
    assert joint.probabilities == pytest.approx(mean)
    assert joint.predicted.tolist() == mean.argmax(axis=1).tolist()
    # Its metrics are computed from its own predictions, not averaged over the members.
    right = (joint.predicted == joint.targets).mean()
    assert report(tmp_path / "ensemble")["accuracy"]["value"] == pytest.approx(right)
    assert report(tmp_path / "ensemble")["stopped_learning"] == []


def test_models_of_different_classes_do_not_mix(networks, of_three_grades, tmp_path, evaluate):
    shutil.copytree(networks["shared"], tmp_path / "test_efficientnet_5class_results")
    folder = shutil.copytree(of_three_grades, tmp_path / "test_resnet_5class_results")
    for path in (folder / "models").iterdir():
        path.rename(path.with_name(path.name.replace("efficientnet", "resnet")))
    outcome = evaluate(tmp_path, "--base_models", "test_efficientnet", "test_resnet")
    assert outcome.code == 2
    assert "different classes" in outcome.stderr


def test_a_grade_that_test_lacks(networks, evaluate, draw_dataset, tmp_path):
    data = draw_dataset(tmp_path / "data")
    shutil.rmtree(data / "test" / "3")
    folder = shutil.copytree(networks["shared"], tmp_path / "out")
    outcome = evaluate(folder, data=data)
    assert outcome.code == 0, outcome.stderr
    found = report(folder)
    for value in (found["per_class"][3]["recall"], found["per_class"][3]["auc"]):
        assert value["value"] is None
        assert value["reason"]
    assert found["per_class"][2]["recall"]["value"] is not None
    without = [row for row in found["pairs"] if 3 in row["pair"]]
    assert all(row["auc"]["value"] is None and row["auc"]["reason"] for row in without)


def test_conditions_need_five_grades(of_three_grades, three_grades, evaluate):
    folder = of_three_grades
    assert evaluate(folder, data=three_grades).code == 0
    for condition in ("referable", "vision_threatening"):
        assert report(folder)[condition]["value"] is None
        assert report(folder)[condition]["reason"]


@pytest.mark.slow
def test_the_three_decoders_side_by_side(networks, evaluate, tmp_path):
    folder = shutil.copytree(networks["shared"], tmp_path / "out")
    accuracies = [row["val_accuracy"] for row in metas(folder)[0]["metrics"]["pairs"]]
    for decoder in DECODERS:
        outcome = evaluate(folder, "--decoder", decoder)
        assert outcome.code == 0, outcome.stderr
        assert all(name in outcome.stdout for name in DECODERS)
        predictions = load_predictions(folder / "predictions_test.npz")
        assert predictions.decoder == decoder
        expected, _ = decode("ovo", predictions.logits, 5, decoder, np.array(accuracies))
        assert predictions.predicted.tolist() == expected.tolist()


def test_damaged_images_stop_it_unless_they_are_skipped(
    networks, evaluate, draw_dataset, tmp_path, contents
):
    data = draw_dataset(tmp_path / "data")
    for name in ("test/1/test-1-0.jpeg", "val/4/val-4-2.jpeg"):
        (data / name).write_bytes(b"")
    folder = shutil.copytree(networks["shared"], tmp_path / "out")
    before = contents(folder)
    outcome = evaluate(folder, data=data)
    assert outcome.code == 2
    assert "test-1-0.jpeg" in outcome.stderr
    assert "val-4-2.jpeg" in outcome.stderr
    assert contents(folder) == before

    outcome = evaluate(folder, "--skip_damaged", data=data)
    assert outcome.code == 0, outcome.stderr
    found = report(folder)
    assert found["n"] == 14
    assert sorted(Path(name).name for name in found["skipped_images"]) == [
        "test-1-0.jpeg",
        "val-4-2.jpeg",
    ]


@pytest.mark.slow
def test_a_file_that_crashes_the_decoder_is_damaged(
    networks, evaluate, draw_dataset, tmp_path, in_processes
):
    data = draw_dataset(tmp_path / "data")
    decoders.mark(data / "test/1/test-1-0.jpeg")
    in_processes(decoders.crashing_decoders)
    folder = shutil.copytree(networks["shared"], tmp_path / "out")
    outcome = evaluate(folder, "--num_workers", 2, data=data)
    assert outcome.code == 2
    assert "test-1-0.jpeg: crashes the decoder" in outcome.stderr
    outcome = evaluate(folder, "--num_workers", 2, "--skip_damaged", data=data)
    assert outcome.code == 0, outcome.stderr
    assert report(folder)["n"] == 14


@pytest.mark.slow
def test_other_formats_are_counted_in_the_last_line(networks, evaluate, draw_dataset, tmp_path):
    data = draw_dataset(tmp_path / "data")
    (data / "test" / "notes.txt").write_text("outside the grades: stops nothing")
    folder = shutil.copytree(networks["shared"], tmp_path / "out")
    outcome = evaluate(folder, data=data)
    assert outcome.code == 0, outcome.stderr
    assert outcome.stderr.splitlines()[-1].startswith("1 other file was not read: 1 .txt.")


@pytest.mark.slow
def test_damage_inside_a_file_is_named(networks, evaluate, draw_dataset, tmp_path):
    data = draw_dataset(tmp_path / "data")
    spoiled = data / "test/1/test-1-0.jpeg"
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    content = cv2.imencode(".jpg", cv2.GaussianBlur(noise, (0, 0), 3))[1].tobytes()
    spoiled.write_bytes(content[:3000] + bytes(500) + content[3500:])
    folder = shutil.copytree(networks["shared"], tmp_path / "out")
    outcome = evaluate(folder, data=data)
    assert outcome.code == 2
    assert "test-1-0.jpeg: is damaged inside" in outcome.stderr
    outcome = evaluate(folder, "--skip_damaged", data=data)
    assert outcome.code == 0, outcome.stderr
    assert report(folder)["n"] == 14


def test_the_table_says_what_it_is(networks, evaluate):
    said = evaluate(networks["shared"]).stdout
    assert "test_efficientnet" in said
    assert "test" in said
    assert str(networks["shared"]) in said
    assert "not a medical device" in said


def test_photographs_of_its_training_make_a_score_leaky(networks, evaluate, tiny_dataset, tmp_path):
    """As on a dataset that was divided anew."""
    folder = shutil.copytree(networks["shared"], tmp_path / "out")
    data = shutil.copytree(tiny_dataset, tmp_path / "data")
    learned = next(iter((data / "train" / "3").iterdir()))
    learned.rename(data / "test" / "3" / "moved.jpeg")
    outcome = evaluate(folder, data=data)
    assert outcome.code == 0, outcome.stderr
    said = outcome.stdout + outcome.stderr
    assert "has seen 1 of the 16 photographs of test in its training (test/3/moved.jpeg)" in said
    assert report(folder)["leaky"] is True
    assert load_predictions(folder / "predictions_test.npz").marks.tolist() == ["LEAKY"]
    assert evaluate(folder).code == 0
    assert report(folder)["leaky"] is False


# --- of one piece


@pytest.fixture
def evaluated(networks, evaluate, tmp_path):
    folder = shutil.copytree(networks["softmax"], tmp_path / "evaluated")
    assert evaluate(folder).code == 0
    assert not (folder / "evaluating.json").exists()
    return folder


@pytest.fixture
def report_on(capsys, caplog, blank_figures):
    """Exit code and messages of a report on a folder."""

    def call(folder) -> tuple[int, str]:
        caplog.clear()
        words = ["--results_dirs", str(folder), "--output", str(folder.parent / "report")]
        code = run(lambda: strengths.main(words, "strengths"))
        return code, capsys.readouterr().err + caplog.text

    return call


@pytest.mark.slow
def test_a_report_of_a_folder_of_one_piece(evaluated, report_on):
    assert report_on(evaluated) == (0, "")


@pytest.mark.parametrize(
    "name", ["calibration.json", *slow("predictions_val.npz", "evaluation_val.json")]
)
def test_files_of_an_earlier_evaluation_are_refused(name, evaluated, evaluate, report_on):
    before = shutil.copytree(evaluated, evaluated.parent / "before")
    edit(before / "calibration.json", lambda content: content.update(temperature=2.0))
    assert evaluate(evaluated, "--decoder", "expected", "--prior_correction").code == 0
    shutil.copy(before / name, evaluated / name)
    code, said = report_on(evaluated)
    assert code == 2
    assert "belongs to another" in said
    assert "--mode evaluate" in said
    graded = evaluate(evaluated)
    assert graded.code == 0
    assert report_on(evaluated) == (0, "")


@pytest.mark.parametrize("with_descriptor", [True, *slow(False)])
def test_a_checkpoint_that_was_replaced(with_descriptor, evaluated, evaluate, report_on):
    (path,) = (evaluated / "models").glob("*.pth")
    content = torch.load(path, weights_only=True)
    content["state_dict"]["head.bias"] += 1.0
    state = content.pop("state_dict")
    tensors = {name: one for name, one in content.items() if isinstance(one, torch.Tensor)}
    meta = {name: value for name, value in content.items() if name not in tensors}
    readable = path.with_suffix(".json").read_text()
    save_checkpoint(path, meta, state, tensors)
    if not with_descriptor:
        path.with_suffix(".json").write_text(readable)
    code, said = report_on(evaluated)
    assert code == 2
    assert f"belongs to another {path.name}" in said
    assert not with_descriptor or evaluate(evaluated).code == 0


def test_stopped_at_every_file_it_is_whole_or_refused(evaluated, evaluate, report_on, monkeypatch):
    """Other figures from then on; what a stop leaves is all old, all new, or said."""
    before = (evaluated / "evaluation.json").read_text()
    moment, codes = 0, []
    while True:
        with monkeypatch.context() as patch:
            left = [moment]

            def replace(self, target, left=left, real=Path.replace):
                if not left[0]:
                    raise KeyboardInterrupt
                left[0] -= 1
                return real(self, target)

            patch.setattr(Path, "replace", replace)
            code = evaluate(evaluated, "--decoder", "expected").code
        if code == 0:
            break
        whole, said = report_on(evaluated)
        codes.append(whole)
        if whole == 0:
            assert (evaluated / "evaluation.json").read_text() == before
        else:
            assert "was stopped while it was" in said
            test = evaluate(evaluated, "--splits", "test")
            assert test.code == 2
            assert "--splits val test" in test.stderr
        moment += 1
    assert codes == [0, 2, 2, 2, 2, 2]
    assert report_on(evaluated) == (0, "")


@pytest.mark.slow
def test_inference_refuses_a_calibration_that_it_would_use(
    evaluated, evaluate, trainer, tiny_dataset, tmp_path
):
    expected = ("--decoder", "expected")
    assert evaluate(evaluated, *expected).code == 0
    words = ("--mode", "inference", "--output_dir", evaluated, "--device", "cpu")
    words = (*words, "--num_workers", 0, "--input", tiny_dataset / "test" / "0")
    words = (*words, "--output", tmp_path / "grades.csv")
    assert trainer(*words, *expected).code == 0
    edit(evaluated / "calibration.json", lambda content: content.update(temperature=2.0))
    refused = trainer(*words, *expected)
    assert refused.code == 2
    assert "evaluation_val.json belongs to another calibration.json" in refused.stderr
    without = trainer(*words)  # its grades need none
    assert without.code == 0
    assert "No operating points, so no verdicts" in without.stderr


@pytest.mark.slow
def test_a_checkpoint_that_a_training_replaces_meanwhile(
    evaluated, evaluate, report_on, monkeypatch
):
    """The evaluation is of the one that was read, and says so."""
    (path,) = (evaluated / "models").glob("*.pth")
    predict = evaluation_module.predict_split

    def predict_and_replace(*arguments: object, **more: object) -> object:
        found = predict(*arguments, **more)
        content = torch.load(path, weights_only=True)
        content["epoch"] += 1
        state = content.pop("state_dict")
        tensors = {name: one for name, one in content.items() if isinstance(one, torch.Tensor)}
        meta = {name: value for name, value in content.items() if name not in tensors}
        save_checkpoint(path, meta, state, tensors)
        return found

    before = json.loads((evaluated / "evaluation.json").read_text())["made_from"]["checkpoints"]
    monkeypatch.setattr(evaluation_module, "predict_split", predict_and_replace)
    assert evaluate(evaluated).code == 0
    assert report(evaluated)["made_from"]["checkpoints"] == before
    code, said = report_on(evaluated)
    assert code == 2
    assert "belongs to another" in said


def test_another_training_beside_an_evaluation(evaluated, networks, report_on):
    other = networks["shared"]
    for name in ("history.csv", "config.json", "resume/progress.json"):
        shutil.copy(other / name, evaluated / name)
    code, said = report_on(evaluated)
    assert code == 2
    assert "belongs to another config.json" in said
