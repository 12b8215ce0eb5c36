"""`--folds` where grades are rare: in folds, and in val."""

from __future__ import annotations

import csv
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dr_ovo.batches import row_source
from dr_ovo.decoded.build import build
from dr_ovo.predictions.predictions_file import load_predictions
from tests.fixtures import decoders
from tests.fixtures.sealed import edit, seal_again
from tests.fixtures.trainings import stop_after_each_epoch

QUICK = ("--num_classes", 3, "--epochs", 1, "--warmup_epochs", 0)


@pytest.fixture
def members(small, trainer, tmp_path):
    """Trains the members of the given number of folds, each for an epoch."""

    def run(dataset: Path, folds: int, *flags: object):
        return trainer(
            *small, "--dataset_path", dataset, "--output_dir", tmp_path / "out",
            "--folds", folds, *QUICK, *flags,
        )  # fmt: skip

    return run


@pytest.fixture
def rare(draw_dataset, tmp_path) -> Path:
    """Ten patients of grade 0, and two of each grade 1 and 2: one of five folds has none of
    these."""
    data = draw_dataset(tmp_path / "data", grades=3, images=5)
    for grade in "12":
        for split in ("train", "val"):
            for extra in sorted((data / split / grade).iterdir())[1:]:
                extra.unlink()
    return data


@pytest.fixture
def undecodable(monkeypatch):
    """Makes a photograph whole, but for the decoder, which ends with an odd error."""
    monkeypatch.setattr(row_source, "build", partial(build, decode=decoders.odd))

    def mark(path: Path) -> None:
        path.write_bytes(path.read_bytes() + decoders.MARK)

    return mark


def test_a_fold_without_either_grade_of_a_pair(members, rare, tmp_path):
    outcome = members(rare, 5, "--ovo_mode", "independent")
    assert outcome.code == 0, outcome.stderr
    oof = load_predictions(tmp_path / "out" / "predictions_oof.npz")
    assert np.bincount(oof.targets).tolist() == [10, 2, 2]
    (folder,) = [
        fold
        for fold in sorted((tmp_path / "out").glob("fold_*"))
        if json.loads((fold / "config.json").read_text())["counts"]["val"]["1"] == 0
        and json.loads((fold / "config.json").read_text())["counts"]["val"]["2"] == 0
    ]
    with (folder / "history.csv").open(newline="") as file:
        rows = {row["branch"]: row for row in csv.DictReader(file)}
    measured = ("val_loss", "val_accuracy", "val_auc", "val_kappa")
    assert [rows["1_2"][name] for name in measured] == ["", "", "", ""]
    assert float(rows["1_2"]["train_loss"]) > 0
    assert float(rows["0_1"]["val_loss"]) > 0
    assert "1_2  loss" in outcome.stdout
    assert "val loss -  val accuracy -" in outcome.stdout


@pytest.mark.parametrize("fold", [1, 2])
def test_a_member_goes_on_without_what_it_left_out(
    fold, members, undecodable, draw_dataset, tmp_path
):
    data = draw_dataset(tmp_path / "data", grades=3, images=4)
    undecodable(data / "train" / "1" / "train-1-2.jpeg")
    member = tmp_path / "out" / f"fold_{fold}"
    outcome = members(data, 2, "--skip_damaged", "--fold", fold)
    assert outcome.code == 0, outcome.stderr
    config = json.loads((member / "config.json").read_text())
    assert [Path(row["file"]).name for row in config["skipped_images"]] == ["train-1-2.jpeg"]
    before = (member / "history.csv").read_text()
    outcome = members(data, 2, "--skip_damaged", "--resume")
    assert outcome.code == 0, outcome.stderr
    assert f"fold_{fold} is finished: nothing to do" in outcome.stdout
    assert (member / "history.csv").read_text() == before
    assert len(load_predictions(tmp_path / "out" / "predictions_oof.npz").targets) == 23
    assert members(data, 2, "--skip_damaged", "--resume").code == 0


def sources_of(output: str, name: str) -> list[tuple[str, str]]:
    """The value, of a path its last part, and the source of a setting in each log."""
    rows = [line.split(maxsplit=2) for line in output.splitlines() if line.startswith(f"  {name} ")]
    return [(Path(value).name, source) for _, value, source in rows]


def test_what_folds_gives_its_members_is_said(members, three_grades, tmp_path):
    both = members(three_grades, 2)
    assert both.code == 0, both.stderr
    assert sources_of(both.stdout, "fold") == [("1", "--folds"), ("2", "--folds")]
    folders = [("fold_1", "--folds"), ("fold_2", "--folds")]
    assert sources_of(both.stdout, "output_dir") == folders
    assert sources_of(both.stdout, "folds") == [("2", "command line")] * 2
    config = json.loads((tmp_path / "out" / "fold_2" / "config.json").read_text())
    assert config["sources"]["fold"] == config["sources"]["output_dir"] == "--folds"
    assert "nothing to do" in members(three_grades, 2, "--resume").stdout


def test_a_member_goes_on_that_began_when_its_sources_were_not_said(
    members, three_grades, tmp_path, monkeypatch
):
    """As earlier versions wrote config.json."""
    with monkeypatch.context() as patch:
        stop_after_each_epoch(patch)
        assert members(three_grades, 2, "--epochs", 2, "--save_every", "0.000001").code == 130
    folder = tmp_path / "out" / "fold_1"
    earlier = {"fold": "default", "output_dir": "command line"}
    edit(folder / "config.json", lambda content: content["sources"].update(earlier))
    seal_again(folder)
    outcome = members(three_grades, 2, "--epochs", 2, "--resume", "--fold", 1)
    assert outcome.code == 0, outcome.stderr
    assert "resuming after" in outcome.stdout
    assert sources_of(outcome.stdout, "fold") == [("1", "command line")]
    assert sources_of(outcome.stdout, "output_dir") == [("fold_1", "--folds")]


def test_a_damaged_file_beside_a_fold_without_a_grade(members, rare, undecodable, tmp_path):
    undecodable(rare / "train" / "0" / "train-0-2.jpeg")
    outcome = members(rare, 5, "--skip_damaged")
    assert outcome.code == 0, outcome.stderr
    assert len(load_predictions(tmp_path / "out" / "predictions_oof.npz").targets) == 13


def test_train_alone_is_divided(members, trainer, draw_dataset, tmp_path):
    """Without val, and without test until it is evaluated."""
    data = draw_dataset(tmp_path / "data", grades=3, images=4)
    shutil.rmtree(data / "val")
    (data / "test").rename(tmp_path / "test")
    plain = trainer(
        "--base_models", "test_efficientnet", "--dataset_path", data, "--num_classes", 3
    )
    assert plain.code == 2
    assert "has no val and no test folder" in plain.stderr
    outcome = members(data, 2)
    assert outcome.code == 0, outcome.stderr
    found = load_predictions(tmp_path / "out" / "predictions_oof.npz")
    assert len(found.targets) == 12
    assert "nothing to do" in members(data, 2, "--resume").stdout
    flags = ("--mode", "evaluate", "--dataset_path", data, "--output_dir", tmp_path / "out")
    here = ("--device", "cpu", "--num_workers", 0)
    outcome = trainer(*flags, *here)
    assert outcome.code == 2
    assert "has no test folder" in outcome.stderr
    (tmp_path / "test").rename(data / "test")
    assert trainer(*flags, *here).code == 0


@pytest.mark.parametrize("damaged", [False, True])
def test_a_grade_may_be_in_train_alone(damaged, members, draw_dataset, tmp_path):
    """Also where all that val has of it is left out."""
    data = draw_dataset(tmp_path / "data", grades=3, images=4)
    first, *others = sorted((data / "val" / "2").iterdir())
    for image in others:
        image.unlink()
    if damaged:
        first.write_bytes(b"no picture")
    else:
        first.unlink()
    outcome = members(data, 2, *["--skip_damaged"] * damaged)
    assert outcome.code == 0, outcome.stderr
    found = load_predictions(tmp_path / "out" / "predictions_oof.npz")
    assert np.bincount(found.targets).tolist() == [8, 8, 4]


def test_all_that_a_fold_has_of_a_grade_may_be_left_out(
    members, undecodable, draw_dataset, tmp_path
):
    data = draw_dataset(tmp_path / "data", grades=3, images=2)
    undecodable(data / "train" / "1" / "train-1-0.jpeg")
    outcome = members(data, 4, "--skip_damaged")
    assert outcome.code == 0, outcome.stderr
    found = load_predictions(tmp_path / "out" / "predictions_oof.npz")
    assert np.bincount(found.targets).tolist() == [4, 3, 4]


def test_all_that_train_has_of_a_grade_may_be_left_out(
    members, undecodable, draw_dataset, tmp_path
):
    data = draw_dataset(tmp_path / "data", grades=3, images=4)
    for image in sorted((data / "train" / "1").iterdir())[1:]:
        image.unlink()
    undecodable(next((data / "train" / "1").iterdir()))
    outcome = members(data, 2, "--skip_damaged")
    assert outcome.code == 0, outcome.stderr
    found = load_predictions(tmp_path / "out" / "predictions_oof.npz")
    assert np.bincount(found.targets).tolist() == [8, 4, 8]


def test_what_can_not_be_started_leaves_the_folder_to_others(members, draw_dataset, tmp_path):
    data = draw_dataset(tmp_path / "data", grades=3, images=4)
    outcome = members(data, 2, "--pretrained_path", tmp_path / "gone.pth")
    assert outcome.code == 2
    assert not (tmp_path / "out" / "folds.json").exists()
