"""`--mode inference`: grades for photographs without labels."""

from __future__ import annotations

import csv
import gc
import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dr_ovo.batches.loader import ImageLoader
from dr_ovo.batches.reading import Batch, Reader, Wanted
from dr_ovo.dataset.input_images import PathNames, find_images
from dr_ovo.decoding import expected_grade
from dr_ovo.grading.job import run as grading
from dr_ovo.grading.job.unfinished import Unfinished
from dr_ovo.inference.photograph_reading import PhotographReader, Read
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.predictions.calibration_file import load_calibration
from dr_ovo.predictions.predictions_file import load_predictions
from dr_ovo.predictions.verdict import Verdict


@pytest.fixture(scope="module")
def one(models) -> tuple[object, ...]:
    """The flags of inference with one model."""
    folder = models / "test_efficientnet_5class_results"
    return ("--mode", "inference", "--device", "cpu", "--num_workers", 0, "--output_dir", folder)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def probabilities(found: list[dict[str, str]]) -> np.ndarray:
    return np.array([[float(row[f"probability_{grade}"]) for grade in range(5)] for row in found])


def test_grades_are_those_of_the_evaluation(one, models, trainer, tiny_dataset, tmp_path):
    output = tmp_path / "grades.csv"
    outcome = trainer(*one, "--input", tiny_dataset / "test", "--output", output)
    assert outcome.code == 0, outcome.stderr
    assert "15 photographs graded" in outcome.stdout
    assert "not a medical device" in outcome.stdout
    found = rows(output)
    first = ["file", "grade", *(f"probability_{grade}" for grade in range(5))]
    assert list(found[0])[: len(first) + 2] == [*first, "patient", "eye"]
    assert {row["verdict"] for row in found} <= set(Verdict)
    assert "macular oedema is not assessed" in found[0]["scope"]
    folder = models / "test_efficientnet_5class_results"
    known = load_predictions(folder / "predictions_test.npz")
    files = [Path(row["file"]).relative_to(tiny_dataset / "test").as_posix() for row in found]
    assert files == known.sample_ids.tolist()
    assert [int(row["grade"]) for row in found] == known.predicted.tolist()
    assert probabilities(found) == pytest.approx(known.probabilities, abs=1e-5)


def test_several_models_give_their_mean(models, trainer, tiny_dataset):
    outcome = trainer(
        "--mode", "inference", "--device", "cpu", "--num_workers", 0, "--base_models",
        "test_efficientnet", "test_resnet", "--output_dir", models, "--input",
        tiny_dataset / "test",
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    found = rows(models / "inference.csv")
    known = load_predictions(models / "ensemble" / "predictions_test.npz")
    assert [int(row["grade"]) for row in found] == known.predicted.tolist()
    assert probabilities(found) == pytest.approx(known.probabilities, abs=1e-5)


@pytest.mark.slow
def test_the_mean_of_models_that_answer_with_a_number(
    small, trainer, draw_dataset, tmp_path, monkeypatch
):
    """Its grade comes from the expected one, by the thresholds of its evaluation."""
    monkeypatch.setattr(expected_grade, "MIN_IMAGES", 10)
    data = draw_dataset(tmp_path / "data")
    plain = [word for word in small if word not in small[2:4]]
    both = ("--base_models", "test_efficientnet", "test_resnet", "--output_dir", tmp_path / "out")
    flags = (
        "--no-pretrained", "--head", "regression", "--dataset_path", data, "--epochs", 2,
        "--learning_rate", "1e-2",
    )  # fmt: skip
    assert trainer(*plain, *both, *flags).code == 0
    here = ("--device", "cpu", "--num_workers", 0)
    inference = ("--mode", "inference", *both, "--input", data / "test", *here)
    unknown = trainer(*inference)
    assert unknown.code == 0, unknown.stderr
    assert "is not evaluated" in unknown.stderr
    evaluation = ("--mode", "evaluate", *both, "--dataset_path", data, *here)
    assert trainer(*evaluation).code == 0
    folder = tmp_path / "out" / "ensemble"
    assert load_calibration(folder / "calibration.json").grade_thresholds is not None
    outcome = trainer(*inference)
    assert outcome.code == 0, outcome.stderr
    assert "is not evaluated" not in outcome.stderr
    known = load_predictions(folder / "predictions_test.npz")
    found = rows(tmp_path / "out" / "inference.csv")
    assert [int(row["grade"]) for row in found] == known.predicted.tolist()


def test_damaged_files_are_passed_over_and_listed(one, trainer, tiny_dataset, tmp_path):
    whole = tiny_dataset / "test" / "3" / "test-3-1.jpeg"
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(whole, folder / "whole.JPEG")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.jpg").write_bytes(whole.read_bytes()[:-100])
    cv2.imwrite(str(folder / "small.png"), np.zeros((10, 10, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("not a photograph")
    outcome = trainer(
        *one, "--input", folder, tmp_path / "notes.txt", "--output", tmp_path / "deep" / "out.csv"
    )
    assert outcome.code == 0
    assert "4 files can't be read and are left out" in outcome.stderr
    for name in ("empty.png", "cut.jpg", "small.png", "notes.txt"):
        assert name in outcome.stderr
    (row,) = rows(tmp_path / "deep" / "out.csv")
    assert Path(row["file"]) == folder / "whole.JPEG"


def test_what_is_found_among_photographs_is_counted_at_the_end(
    one, trainer, tiny_dataset, tmp_path
):
    folder = tmp_path / "in"
    (folder / "@eaDir").mkdir(parents=True)
    picture = cv2.imread(str(tiny_dataset / "test" / "3" / "test-3-1.jpeg"))
    for suffix in (".webp", ".bmp", ".tif"):
        cv2.imwrite(str(folder / f"a{suffix}"), picture)
    data = cv2.imencode(".jpg", cv2.resize(picture, (400, 400)))[1].tobytes()
    (folder / "tail.jpe").write_bytes(data + bytes(100_000))
    (folder / "large.jfif").write_bytes(data)
    for name in ("x.heic", "y.HEIC", "z.gif", "none", "._a.jpg", "Thumbs.db", "@eaDir/t.jpg"):
        (folder / name).write_bytes(b"something")
    os.mkfifo(folder / "pipe.jpg")
    words = (*one, "--input", folder, "--output", tmp_path / "out.csv")
    outcome = trainer(*words)
    assert outcome.code == 0, outcome.stderr
    assert "5 photographs graded" in outcome.stdout
    counted = "5 other files were not read: 1 .gif, 2 .heic, 1 pipe or device, 1 without suffix."
    assert counted in outcome.stderr
    assert "can't be read" not in outcome.stderr
    small = trainer(*words, "--max_megapixels", 0.1)
    assert "3 photographs graded" in small.stdout
    assert "large.jfif: has 0.2 megapixels" in small.stderr
    pipe = trainer(*one, "--input", folder / "pipe.jpg")
    assert (pipe.code, "is a pipe or device" in pipe.stderr) == (2, True)


def test_only_other_formats_are_an_error_that_counts_them(one, trainer, tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"something")
    outcome = trainer(*one, "--input", tmp_path, "--output", tmp_path / "out.csv")
    assert outcome.code == 2
    assert "1 other file was not read: 1 .dcm." in outcome.stderr


def test_files_that_change_while_they_are_graded_are_named(
    one, trainer, tiny_dataset, tmp_path, monkeypatch
):
    folder = shutil.copytree(tiny_dataset / "test", tmp_path / "in")
    changed = folder / "0" / "test-0-0.jpeg"

    def replace_first(reader: Reader, wanted: Wanted) -> Batch:
        if 0 in wanted.read:
            shutil.copy(folder / "4" / "test-4-0.jpeg", changed)
        return read(reader, wanted)

    read = Reader.read
    monkeypatch.setattr(Reader, "read", replace_first)
    outcome = trainer(*one, "--input", folder, "--output", tmp_path / "out.csv")
    assert outcome.code == 0
    assert "1 file was written or replaced while this ran" in outcome.stderr
    assert str(changed) in outcome.stderr


def test_nothing_that_can_be_read(one, trainer, tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    outcome = trainer(*one, "--input", tmp_path, "--output", tmp_path / "out.csv")
    assert outcome.code == 2
    assert "None of the --input files can be read" in outcome.stderr
    assert "empty.png" in outcome.stderr
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [((), "needs --input"), (("--input", "gone"), "gone"), (("--input", "."), "no images")],
)
def test_nothing_to_read(given, said, one, trainer, tmp_path):
    outcome = trainer(*one, *given, cwd=tmp_path)
    assert outcome.code == 2
    assert said in outcome.stderr


def test_the_decoder_chooses_the_grade(one, trainer, tiny_dataset, tmp_path):
    chosen = {}
    for decoder in ("coupling", "weighted", "vote"):
        output = tmp_path / f"{decoder}.csv"
        words = ("--input", tiny_dataset / "test", "--output", output, "--decoder", decoder)
        assert trainer(*one, *words).code == 0
        chosen[decoder] = rows(output)
    # Probabilities are always the coupled ones.
    assert probabilities(chosen["vote"]) == pytest.approx(probabilities(chosen["coupling"]))


@pytest.mark.parametrize("flags", ["--img_size 64", "--no-enable_clahe", "--head softmax"])
def test_a_flag_that_contradicts_the_checkpoint(flags, one, trainer, tiny_dataset, tmp_path):
    outcome = trainer(
        *one, "--input", tiny_dataset / "test", "--output", tmp_path / "out.csv", *flags.split()
    )
    assert outcome.code == 2
    assert "contradict the checkpoints" in outcome.stderr
    assert not (tmp_path / "out.csv").exists()


def test_outputs_that_can_not_be_written_are_found_before_the_work(
    one, models, trainer, tiny_dataset, tmp_path, monkeypatch
):
    def worked(*_: object, **__: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr("dr_ovo.grading.job.run.open_reader", worked)
    monkeypatch.setattr("dr_ovo.evaluation.split_predictions.predict", worked)
    (tmp_path / "file").write_text("x")
    grading = (*one, "--input", tiny_dataset / "test")
    outcome = trainer(*grading, "--output", tmp_path / "file" / "grades.csv")
    assert outcome.code == 2
    assert "file is a file; give the name of a folder." in outcome.stderr
    default = models / "test_efficientnet_5class_results" / "inference.csv"
    default.unlink(missing_ok=True)
    default.mkdir()
    outcome = trainer(*grading)
    default.rmdir()
    assert outcome.code == 2
    assert "inference.csv is a folder; give the name of a file" in outcome.stderr
    shutil.move(models / "ensemble", tmp_path / "ensemble")
    (models / "ensemble").write_text("x")
    both = ("--base_models", "test_efficientnet", "test_resnet", "--output_dir", models)
    outcome = trainer("--mode", "evaluate", "--dataset_path", tiny_dataset, *both)
    (models / "ensemble").unlink()
    shutil.move(tmp_path / "ensemble", models / "ensemble")
    assert outcome.code == 2
    assert "ensemble is a file; give the name of a folder." in outcome.stderr


def test_a_name_that_a_spreadsheet_would_run(one, trainer, tiny_dataset, tmp_path):
    name = "=1+1\x1b[31m.jpeg"
    shutil.copy(tiny_dataset / "test" / "3" / "test-3-1.jpeg", tmp_path / name)
    outcome = trainer(*one, "--input", name, "--output", "out.csv", cwd=tmp_path)
    assert outcome.code == 0, outcome.stderr
    assert [row["file"] for row in rows(tmp_path / "out.csv")] == [f"'{name}"]


@pytest.fixture
def groups_of_four(monkeypatch):
    monkeypatch.setattr(grading, "GROUP", 4)


def test_a_stopped_run_goes_on(one, trainer, tiny_dataset, tmp_path, groups_of_four, monkeypatch):
    words = (*one, "--input", tiny_dataset / "test")
    assert trainer(*words, "--output", tmp_path / "whole.csv").code == 0
    asked = []
    read = PhotographReader.read

    def count(reader: PhotographReader, positions: np.ndarray) -> Read:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.extend(positions[:1])
        return read(reader, positions)

    with monkeypatch.context() as patch:
        patch.setattr(PhotographReader, "read", count)
        stopped = trainer(*words, "--output", tmp_path / "out.csv")
    assert stopped.code == 130
    assert "What is graded is kept: run the same command again." in stopped.stderr
    assert asked == [0, 4]
    again = trainer(*words, "--output", tmp_path / "out.csv")
    assert again.code == 0, again.stderr
    assert "going on: 8 of 15 photographs are graded" in again.stdout
    assert (tmp_path / "out.csv").read_text() == (tmp_path / "whole.csv").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "whole.csv"]


def test_groups_that_vanish_are_an_error_and_cost_nothing(
    one, trainer, tiny_dataset, tmp_path, groups_of_four, monkeypatch
):
    words = (*one, "--input", tiny_dataset / "test", "--output", tmp_path / "out.csv")
    add = Unfinished.add

    def lose_the_second(job: Unfinished, rank: int, number: int, group: dict) -> None:
        if number != 1:
            add(job, rank, number, group)

    with monkeypatch.context() as patch:
        patch.setattr(Unfinished, "add", lose_the_second)
        outcome = trainer(*words)
    assert outcome.code == 4
    assert "Of 4 groups of photographs 1 are not in the files" in outcome.stderr
    assert not (tmp_path / "out.csv").exists()
    again = trainer(*words)
    assert "going on: 11 of 15" in again.stdout
    assert len(rows(tmp_path / "out.csv")) == 15


@pytest.fixture
def many(tiny_dataset, tmp_path) -> Callable[[int], Path]:
    """A folder with so many names of one photograph."""
    picture = tiny_dataset / "test" / "3" / "test-3-1.jpeg"

    def make(count: int) -> Path:
        folder = tmp_path / f"{count} photographs"
        folder.mkdir()
        for number in range(count):
            os.link(picture, folder / f"{number:04}.jpeg")
        return folder

    return make


@pytest.mark.slow
def test_nothing_stays_of_a_photograph_that_is_graded(one, trainer, many, tmp_path, monkeypatch):
    held: list[int] = []

    def look(job: Unfinished, *group: Any) -> None:
        add(job, *group)
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])

    add = Unfinished.add
    monkeypatch.setattr(Unfinished, "add", look)
    monkeypatch.setattr(grading, "GROUP", 40)
    tracemalloc.start()
    outcome = trainer(*one, "--input", many(1000), "--output", tmp_path / "out.csv")
    tracemalloc.stop()
    assert outcome.code == 0, outcome.stderr
    assert len(held) == 25
    growth = np.diff(held)[12:]  # before, caches fill
    assert np.median(growth) < 40 * 14  # bytes, of a group


def test_of_a_photograph_its_name_and_time_of_writing_are_held(many):
    held = []
    for count in (100, 1100, 200, 1200):
        folder = many(count)
        tracemalloc.start()
        images = find_images([str(folder)]).images
        with ImageLoader(images, Preprocessing(64), 0) as loader:
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert len(loader.paths) == count
    # Whatever else of the process is kept meanwhile is not kept twice.
    assert min(held[1] - held[0], held[3] - held[2]) / 1000 < 512


def test_the_reader_forgets_what_it_has_said(one, trainer, tiny_dataset, tmp_path, monkeypatch):
    folder = shutil.copytree(tiny_dataset / "test", tmp_path / "in")
    (folder / "empty.png").write_bytes(b"")
    facts: list[int] = []
    read = PhotographReader.read

    def look(reader: PhotographReader, positions: np.ndarray) -> Read:
        found = read(reader, positions)
        loaders = reader.loaders.values()
        facts.extend(len(loader.quality) + len(loader.damaged) for loader in loaders)
        return found

    monkeypatch.setattr(PhotographReader, "read", look)
    outcome = trainer(*one, "--input", folder, "--output", tmp_path / "out.csv")
    assert outcome.code == 0
    assert "1 files can't be read" in outcome.stderr
    assert facts == [0]


def test_names_of_paths_are_a_sequence_of_paths():
    paths = [Path("a/b.jpeg"), Path("c"), Path("/d")]
    names = PathNames(paths)
    assert [*names] == paths
    assert (len(names), names[2], names[-1], names[::2]) == (3, paths[2], paths[2], paths[::2])
    assert paths[1] in names
    assert not PathNames()
