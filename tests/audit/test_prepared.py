"""The command that an audit prints turns a leaky dataset into a clean one."""

from __future__ import annotations

import json
import shutil
import sys

import cv2
import numpy as np
import pytest

from dr_ovo.__main__ import main
from dr_ovo.audit.checks.contents import require_listed_contents
from dr_ovo.audit.findings import Photograph
from dr_ovo.audit.text_report import clean_command, report_text
from dr_ovo.dataset.index import scan_dataset
from dr_ovo.errors import UserError
from dr_ovo.prepare.command_line import parse_options
from dr_ovo.prepare.pipeline import prepare

NO_SPLITS = ("--split_column", "none")
GRADES = ("0", "1", "2", "3", "4")


def cleaned(folder, tmp_path, *words: str) -> list[str]:
    """The sources of the files in the dataset prepared from a folder tree."""
    output = tmp_path / "clean"
    assert (
        prepare(parse_options(["--from_tree", str(folder), "--output", str(output), *words])) == 0
    )
    manifest = json.loads((output / "manifest.json").read_text())
    return [entry["source"] for entry in manifest["files"]]


def turned(source, target, degrees: float = 15) -> None:
    image = cv2.imread(str(source))
    side = image.shape[1], image.shape[0]
    turn = cv2.getRotationMatrix2D((side[0] / 2, side[1] / 2), degrees, 1)
    cv2.imwrite(str(target), cv2.warpAffine(image, turn, side))


@pytest.mark.parametrize("words", [(), pytest.param(NO_SPLITS, marks=pytest.mark.slow)])
def test_copies_by_name_alone(fewer, audited, tmp_path, words):
    """Turned by 15 degrees they do not look alike; only their names show that they are copies."""
    for number, path in enumerate(sorted(fewer.glob("train/1/*.jpg"))[:4]):
        original = path.rename(path.with_name(f"{number}_left.jpg"))
        turned(original, fewer / "test" / "1" / f"{number}_left_aug0.jpg")
        turned(original, fewer / "val" / "1" / f"{number}_left_aug1.jpg", 35)
    image = min(fewer.glob("train/2/*.jpg"))
    image = image.rename(image.with_name("image.jpg"))
    turned(image, fewer / "test" / "2" / "image (1).jpg")
    report = audited(fewer)
    leaks = report.leaks
    assert {f.kind for f in leaks} == {"patient_in_two_splits", "augmented_copy"}
    assert f"prepare_dataset.py --from_tree {fewer}" in report_text(report)
    assert len(leaks) == 9
    kept = cleaned(fewer, tmp_path, *words)
    assert audited(tmp_path / "clean").leaks == []
    assert sum("_left" in file for file in kept) == (12 if words else 4)
    assert ("train/2/image.jpg" in kept) == bool(words)


def test_numbers_in_names_drop_nothing(fewer, audited, tmp_path):
    min(fewer.glob("test/1/*.jpg")).rename(fewer / "test" / "1" / "flip_7.jpg")
    min(fewer.glob("train/1/*.jpg")).rename(fewer / "train" / "1" / "7.jpg")
    assert audited(fewer).leaks == []
    assert {"test/1/flip_7.jpg", "train/1/7.jpg"} <= set(cleaned(fewer, tmp_path))


def test_folders_of_patients(real_set, audited, tmp_path):
    """`P0/left.jpg` becomes `P0_left.jpg`, from which an audit reads the patient."""
    files = sorted(real_set.glob("*/*/*.jpg"))[:100]
    rows = ["image,level"]
    for number, path in enumerate(files):
        place = tmp_path / "raw" / f"P{number // 2}" / ("right.jpg" if number % 2 else "left.jpg")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
        rows.append(f"{place.parent.name}/{place.name},{path.parent.name}")
    (tmp_path / "l.csv").write_text("\n".join(rows))
    words = ["--images", str(tmp_path / "raw"), "--labels", str(tmp_path / "l.csv")]
    assert prepare(parse_options([*words, "--output", str(tmp_path / "out")])) == 0
    patients = [
        set(split.patient_ids) for split in scan_dataset(tmp_path / "out", GRADES).splits.values()
    ]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 50
    assert audited(tmp_path / "out").leaks == []
    (tmp_path / "out" / "manifest.json").unlink()
    assert audited(tmp_path / "out").leaks == []


def test_the_command_for_a_set_below_the_folder(fewer, audited, tmp_path):
    (tmp_path / "above").mkdir()
    fewer.rename(tmp_path / "above" / "data")
    train = min((tmp_path / "above" / "data" / "train" / "2").iterdir())
    shutil.copy(train, tmp_path / "above" / "data" / "test" / "2" / "other.jpg")
    (finding,) = audited(tmp_path / "above").leaks
    assert finding.splits == ["test", "train"]
    assert f"data/train/2/{train.name}" in {p.file for p in finding.photographs}
    cleaned(tmp_path / "above", tmp_path)
    assert audited(tmp_path / "clean").leaks == []


def test_a_picture_changed_since_it_was_prepared(fewer, audited, tmp_path, monkeypatch, capsys):
    cleaned(fewer, tmp_path)
    changed = min((tmp_path / "clean" / "train" / "3").iterdir())
    content = min((tmp_path / "clean" / "test" / "3").iterdir()).read_bytes()
    changed.unlink()  # a link: the source keeps its file
    changed.write_bytes(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["dr_ovo", "audit", str(tmp_path / "clean")])
    assert main() == 2
    said = capsys.readouterr().err
    assert "1 pictures are not those listed in manifest.json (their sha256 differs)" in said
    assert f"train/3/{changed.name}" in said
    assert "Prepare the dataset again" in said
    (tmp_path / "clean" / "manifest.json").unlink()
    assert [f.kind for f in audited(tmp_path / "clean").leaks] == ["exact_copy"]


def test_pictures_without_a_manifest_or_unreadable_are_not_held_against_it(tmp_path):
    path = tmp_path / "a.jpg"
    unlisted, listed = Photograph(path, "a.jpg", "", ""), Photograph(path, "a", "", "", sha256="0")
    require_listed_contents(tmp_path, [unlisted], {path: "1"})
    require_listed_contents(tmp_path, [listed], {})
    with pytest.raises(UserError, match="1 pictures"):
        require_listed_contents(tmp_path, [listed], {path: "1"})


@pytest.mark.parametrize(
    ("name", "clean"),
    [("eyes", "eyes_clean"), ("eyes_clean", "eyes_clean2"), ("eyes_clean9", "eyes_clean10")],
)
def test_the_clean_folder_is_another_one(tmp_path, name, clean):
    (tmp_path / name).mkdir()
    assert clean_command(tmp_path / name).endswith(f"--output {tmp_path / clean}")


@pytest.mark.slow
def test_eyes_in_eyepacs_names(real_set, audited, tmp_path):
    """Raw pictures and a CSV, as on Kaggle, with copies by name among them."""
    raw, rows = tmp_path / "train", ["image,level"]
    raw.mkdir()
    for number, path in enumerate(sorted(real_set.glob("*/*/*.jpg"))[:80]):
        name = f"{number // 2}_{'right' if number % 2 else 'left'}"
        shutil.copy(path, raw / f"{name}.jpeg")
        rows.append(f"{name},{path.parent.name}")
        if number % 4 == 0:
            turned(path, raw / f"{name}_aug1.jpeg")
            rows.append(f"{name}_aug1,{path.parent.name}")
    (tmp_path / "trainLabels.csv").write_text("\n".join(rows))
    words = ["--images", str(raw), "--labels", str(tmp_path / "trainLabels.csv")]
    assert prepare(parse_options([*words, "--output", str(tmp_path / "out")])) == 0
    splits = scan_dataset(tmp_path / "out", GRADES).splits
    assert sum(map(len, splits.values())) == 100
    assert len({patient for split in splits.values() for patient in split.patient_ids}) == 40
    assert all(set(split.eyes) == {"left", "right"} for split in splits.values())
    assert not any(np.isnan(split.quality).any() for split in splits.values())
    assert audited(tmp_path / "out").leaks == []
