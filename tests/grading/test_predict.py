"""predict.py: files for photographs, eyes and patients, the page, the first reader, bad input."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from dr_ovo.commands.predict import main
from dr_ovo.commands.reports.ensemble import main as export
from dr_ovo.dataset import input_images
from dr_ovo.errors import UserError, run
from dr_ovo.grading import sheet
from dr_ovo.grading.first_reader import FirstReader
from dr_ovo.grading.grader import Grader
from dr_ovo.grading.reading import Reading
from dr_ovo.grading.rules import Rules
from dr_ovo.grading.subjects import Owners
from dr_ovo.grading.workload import KnownEyes, curve
from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.predictions.predictions_file import load_predictions
from dr_ovo.predictions.verdict import RANK, Verdict
from dr_ovo.sealed_json import write_sealed


@pytest.fixture(scope="module")
def folder(models) -> Path:
    """An evaluated results folder."""
    return models / "test_efficientnet_5class_results"


@pytest.fixture(scope="module")
def eyes(tiny_dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of both eyes of seven patients, two of one eye, and one that can't be read."""
    out = tmp_path_factory.mktemp("input") / "photographs"
    out.mkdir()
    for number, path in enumerate(sorted((tiny_dataset / "test").glob("*/*.jpeg"))[:14]):
        shutil.copy(path, out / f"{number // 2}_{'left' if number % 2 else 'right'}.jpeg")
    (out / "9_left.png").write_bytes(b"no picture")
    return out


def predict(*words: object) -> int:
    flags = ("--device", "cpu", "--num_workers", 0)
    return run(lambda: main([str(word) for word in (*words, *flags)], "predict.py"))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def read(folder, eyes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reading."""
    output = tmp_path_factory.mktemp("reading") / "out"
    assert predict("--models", folder, "--input", eyes, "--output", output) == 0
    return output


def test_the_files(read):
    names = {"photographs", "eyes", "patients"}
    expected = {f"{name}.{suffix}" for name in names for suffix in ("csv", "jsonl")}
    assert {path.name for path in read.iterdir()} == {*expected, "sheet.html", "summary.json"}
    for name in names:
        rows, objects = table(read / f"{name}.csv"), lines(read / f"{name}.jsonl")
        assert [*rows[0]] == [*objects[0]]
        assert len(rows) == len(objects)
        for row, one in zip(rows, objects, strict=True):
            assert row["verdict"] == one["verdict"]
            assert row["reasons"] == "; ".join(one["reasons"])
            assert "macular oedema is not assessed" in row["scope"]
            assert len(one["models"]) == 64
    counts = json.loads((read / "summary.json").read_text())["counts"]
    assert [sum(one.values()) for one in counts.values()] == [15, 15, 8]


def test_a_photograph_that_can_not_be_read_is_ungradable(read):
    (row,) = (row for row in lines(read / "photographs.jsonl") if row["file"].endswith(".png"))
    assert (row["verdict"], row["gradable"], row["grade"]) == ("ungradable", False, None)
    assert "can't be read" in row["reasons"][0]
    assert (row["patient"], row["eye"]) == ("9", "left")
    assert json.loads((read / "summary.json").read_text())["damaged"][0]["file"] == row["file"]


def test_eyes_and_patients_are_their_worst(read):
    photographs = lines(read / "photographs.jsonl")
    for name, key in (("eyes", ("patient", "eye")), ("patients", ("patient",))):
        for one in lines(read / f"{name}.jsonl"):
            own = [row for row in photographs if all(row[k] == one[k] for k in key)]
            assert one["pictures"] == len(own)
            best = min((Verdict(row["verdict"]) for row in own), key=RANK.__getitem__)
            assert one["verdict"] == best
            graded = [row for row in own if row["gradable"]]
            assert one["pictures_used"] == len(graded)
            if graded:
                assert one["grade"] == max(row["grade"] for row in graded)
                largest = max(row["p_referable"] for row in graded)
                assert one["p_referable"] == pytest.approx(largest)


def test_a_verdict_follows_from_the_numbers_in_its_row(read):
    for row in lines(read / "photographs.jsonl"):
        if row["gradable"] and row["verdict"] == "negative":
            assert row["p_referable"] < row["referable_high_sensitivity"]
            assert row["set_highest"] < "2"
        elif row["verdict"] == "referable":
            assert row["p_referable"] >= row["referable_high_specificity"]
            assert row["p_vision_threatening"] < row["vision_threatening_high_specificity"]


def test_inference_has_the_same_rows(read, folder, eyes, trainer, tmp_path):
    output = tmp_path / "grades.csv"
    outcome = trainer(
        "--mode", "inference", "--output_dir", folder, "--input", eyes, "--output", output,
        "--device", "cpu", "--num_workers", 0,
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    readable = [row for row in table(read / "photographs.csv") if row["grade"]]
    assert table(output) == readable


def test_the_page_has_each_photograph_and_no_script_of_a_name(read, eyes):
    text = (read / "sheet.html").read_text()
    assert text.count("data:image/jpeg;base64,") == 14
    assert "9_left.png" in text
    assert "macular oedema is not assessed" in text
    assert "Research use only" in text


def test_the_headline_of_the_own_test(read, folder, models):
    test = json.loads((read / "summary.json").read_text())["own_test"]
    assert test["eyes"] == 15
    shares = [test[name]["value"] for name in ("no_person", "positive", "refer_to_a_person")]
    assert sum(shares) + test["ungradable"]["value"] == pytest.approx(1)
    saved = [point["saved"] for point in test["curve"]]
    assert saved == sorted(saved)


def test_a_first_reader(folder, eyes, tmp_path, capsys):
    labels = tmp_path / "labels.csv"
    rows = ["image,level", *(f"{n // 2}_{('right', 'left')[n % 2]},{n % 5}" for n in range(12))]
    labels.write_text("\n".join([*rows, "gone,3"]))
    output = tmp_path / "out"
    words = ("--models", folder, "--input", eyes, "--output", output)
    assert predict(*words, "--first_reader", labels) == 0
    found = json.loads((output / "summary.json").read_text())["first_reader"]
    assert (found["photographs"], found["eyes"]) == (12, 12)
    rows = table(output / "disagreements.csv")
    assert found["disagreements"] == len(rows) > 0
    crossed = [row["disagree_on_referable"] for row in rows]
    assert crossed == sorted(crossed, reverse=True)
    assert "To arbitrate" in " ".join(capsys.readouterr().out.split())
    other = tmp_path / "other.csv"
    other.write_text("image,level\nnobody,1\n")
    assert predict(*words, "--first_reader", other) == 2


def test_the_grader_says_the_same_of_arrays(read, folder, eyes):
    grader = Grader.load(folder, device="cpu")
    rows = [row for row in lines(read / "photographs.jsonl") if row["gradable"]]
    images = (decode_image(Path(row["file"]), 32) for row in rows)
    for row, reading in zip(rows, grader.grade(images), strict=True):
        assert (reading.verdict, reading.grade_name) == (row["verdict"], row["grade"])
        assert reading.p_referable == pytest.approx(row["p_referable"], abs=1e-5)
    assert grader.grade([]) == []
    for wrong in (np.zeros((5, 5)), np.zeros((5, 5, 3)), np.zeros((5, 5, 4), np.uint8), "a.jpeg"):
        with pytest.raises(UserError, match="expected an array"):
            grader.grade([wrong])
    with pytest.raises(UserError, match="expected a share"):
        Grader.load(folder, coverage=1.5)
    with pytest.raises(UserError, match="no such"):
        Grader.load(folder / "gone")


def test_what_is_missing_is_said(folder, eyes, tmp_path, capsys):
    bare = tmp_path / "bare"
    shutil.copytree(folder / "models", bare / "models")
    output = tmp_path / "out"
    assert predict("--models", bare, "--input", eyes, "--output", output) == 2
    assert "is not evaluated" in capsys.readouterr().err
    assert predict("--models", tmp_path / "gone", "--input", eyes) == 2
    (tmp_path / "file").write_text("x")
    assert predict("--models", folder, "--input", eyes, "--output", tmp_path / "file") == 2
    words = ("--models", folder, "--input", eyes, "--output", output)
    assert predict(*words, "--first_reader", tmp_path / "gone.csv") == 2
    with pytest.raises(SystemExit) as ended:
        predict(*words, "--coverage", "2")
    assert ended.value.code == 2
    assert not output.exists()


def test_what_is_no_fundus_photograph_is_ungradable(folder, tiny_dataset, tmp_path):
    rng = np.random.default_rng(0)
    cv2.imwrite(str(tmp_path / "noise.png"), rng.integers(0, 256, (300, 300, 3), np.uint8))
    shutil.copy(next((tiny_dataset / "test" / "4").iterdir()), tmp_path / "eye.jpeg")
    output = tmp_path / "out"
    assert predict("--models", folder, "--input", tmp_path, "--output", output) == 0
    noise, eye = (
        next(row for row in lines(output / "photographs.jsonl") if row["file"].endswith(name))
        for name in ("noise.png", "eye.jpeg")
    )
    assert (noise["verdict"], noise["gradable"]) == ("ungradable", False)
    assert noise["reasons"][0].startswith("no fundus photograph: ")
    assert noise["grade"] is not None  # what the network says is shown all the same
    assert not any(reason.startswith("no fundus") for reason in eye["reasons"])


def test_folders_never_join_patients(tmp_path):
    names = (
        "2023-01/10_left.jpg", "2023-01/11_left.jpg", "2023-02/12_left.jpg", "2023-02/12_right.jpg",
        "clinic_1/1_left.jpg", "clinic_2/1_left.jpg",
    )  # fmt: skip
    owners = Owners([tmp_path / name for name in names])
    found = [owners.of(place) for place in range(len(names))]
    assert len({patient for patient, _ in found[:4]}) == 3
    assert found[2][0] == found[3][0]
    assert [eye for _, eye in found] == ["left", "left", "left", "right", "left", "left"]
    eyes = [places for own in owners.eyes_of_patients() for _, _, places in own]
    assert sorted(map(len, eyes)) == [1] * 6 or found[4][0] == found[5][0]
    grades = Owners([tmp_path / "0" / "7_left.jpg", tmp_path / "3" / "7_right.jpg"])
    assert [grades.of(place) for place in (0, 1)] == [("7", "left"), ("7", "right")]


def test_a_photograph_without_an_eye_is_one_eye(tmp_path):
    owners = Owners([tmp_path / name for name in ("5_left.jpg", "5_left_2.jpg", "a.jpg", "b.jpg")])
    parts = [
        (patient, eye, places) for own in owners.eyes_of_patients() for patient, eye, places in own
    ]
    assert sum(len(places) for *_, places in parts) == 4
    assert all(len(places) == 1 for _, eye, places in parts if not eye)


@pytest.mark.slow
def test_points_of_a_corrected_evaluation(folder, trainer, tiny_dataset, tmp_path):
    """Verdicts are by the probabilities on which the points were fitted."""
    own = shutil.copytree(folder, tmp_path / "own")
    flags = ("--mode", "evaluate", "--dataset_path", tiny_dataset, "--output_dir", own)
    outcome = trainer(*flags, "--prior_correction", "--device", "cpu", "--num_workers", 0)
    assert outcome.code == 0, outcome.stderr
    test = load_predictions(own / "predictions_test.npz")
    output = tmp_path / "out"
    assert predict("--models", own, "--input", tiny_dataset / "test", "--output", output) == 0
    rows = lines(output / "photographs.jsonl")
    found = [[row[f"probability_{grade}"] for grade in range(5)] for row in rows]
    assert np.array(found) == pytest.approx(test.probabilities, abs=1e-5)
    inference = ("--mode", "inference", "--output_dir", own, "--input", tiny_dataset / "test")
    outcome = trainer(*inference, "--device", "cpu", "--num_workers", 0)
    assert outcome.code == 0
    assert "was evaluated with --prior_correction true" in outcome.stderr


@pytest.mark.slow
def test_what_an_earlier_reading_left_goes(folder, eyes, tmp_path):
    words = ("--models", folder, "--input", eyes, "--output", tmp_path / "out")
    labels = tmp_path / "labels.csv"
    labels.write_text("image,level\n0_right,4\n0_left,0\n")
    assert predict(*words, "--first_reader", labels) == 0
    assert (tmp_path / "out" / "disagreements.csv").is_file()
    assert predict(*words) == 0
    assert not (tmp_path / "out" / "disagreements.csv").exists()


def test_the_input_is_walked_once(folder, eyes, tmp_path, monkeypatch):
    walked = []
    own = input_images.folder_content
    monkeypatch.setattr(
        input_images, "folder_content", lambda path: walked.append(path) or own(path)
    )
    labels = tmp_path / "labels.csv"
    labels.write_text("image,level\n0_right,4\n0_left,0\n")
    words = ("--input", eyes, "--output", tmp_path / "out", "--first_reader", labels)
    assert predict("--models", folder, *words) == 0
    assert walked == [eyes]


def test_a_file_that_is_named_twice_counts_once(folder, eyes, tmp_path, monkeypatch):
    monkeypatch.chdir(eyes.parent)
    words = ("--input", eyes.name, eyes, "--output", tmp_path / "out")
    assert predict("--models", folder, *words) == 0
    assert len(lines(tmp_path / "out" / "photographs.jsonl")) == 15


def test_an_exported_ensemble_has_points_of_its_own(models, eyes, tmp_path):
    folders = [models / f"test_{name}_5class_results" for name in ("efficientnet", "resnet")]
    words = ["--results_dirs", *map(str, folders), "--output", str(tmp_path / "ensemble")]
    file = tmp_path / "ensemble.json"
    assert run(lambda: export([*words, "--export", str(file)], "evaluate_super_ensemble.py")) == 0
    output = tmp_path / "out"
    assert predict("--models", file, "--input", eyes, "--output", output) == 0
    points = json.loads(file.read_text())["calibration"]["referable"]
    rows = [row for row in lines(output / "photographs.jsonl") if row["grade"]]
    assert {row["referable_high_sensitivity"] for row in rows} == {
        points["high_sensitivity"]["threshold"]
    }
    assert {row["agreement"] for row in rows} <= {0.0, 0.5, 1.0}
    readings = Grader.load(file, device="cpu").grade(
        [decode_image(Path(row["file"]), 32) for row in rows]
    )
    for row, reading in zip(rows, readings, strict=True):
        assert reading.p_referable == pytest.approx(row["p_referable"], abs=1e-5)
    manifest = json.loads(file.read_text())
    earlier = {key: value for key, value in manifest.items() if key != "calibration"}
    write_sealed(file, {key: value for key, value in earlier.items() if key != "digest"})
    assert predict("--models", file, "--input", eyes, "--output", output) == 2


def test_an_eye_without_any_probability_of_disease_lies_below_every_threshold():
    def reading(p: float, gradable: bool) -> Reading:
        return Reading("negative", (), gradable, 0, "0", p_referable=p)

    readings = [reading(0.0, True), reading(0.0, False), reading(0.9, True)]
    eyes = KnownEyes(readings, np.array([0, 0, 4]), np.array(["a", "b", "c"]))
    points = curve(eyes, np.array([[0.5, 0.0, 0.5, 0.0, 0.0]]))
    assert points == [{"threshold": 0.5, "saved": pytest.approx(1 / 3), "missed": 0.0}]


def test_grades_of_a_first_reader_follow_the_paths():
    reader = FirstReader({"b.jpeg": 3, "c.jpeg": 1})
    assert reader.by_place([Path("a.jpeg"), Path("c.jpeg"), Path("b.jpeg")]) == {1: 1, 2: 3}


def test_the_curve_is_said_to_be_by_the_threshold_alone(monkeypatch):
    drawn = []
    monkeypatch.setattr(sheet, "png", lambda figure: drawn.append(figure) or b"")
    rules = Rules(("0", "1", "2", "3", "4"), None, "not calibrated", 0.9, "", 1, ("SYNTHETIC",))
    point = {"threshold": 0.5, "saved": 0.4, "missed": 0.1}
    (figure,) = sheet._curve(rules, {"curve": [point]})
    assert drawn[0].axes[0].get_xlabel() == "eyes below the threshold, %"
    assert drawn[0].get_suptitle().endswith("by the threshold alone, without sets and members")
    assert "no person" not in figure.alt
    drawn[0].draw_without_rendering()
    box = drawn[0]._suptitle.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= drawn[0].bbox.x1
