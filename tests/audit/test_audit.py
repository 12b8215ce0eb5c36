"""Leaks planted among real photographs are found; clean datasets have none."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from dr_ovo.audit.findings import LEAK, WARNING
from tests.fixtures.slow import slow


def found(report, kind: str) -> list:
    return [finding for finding in report.findings if finding.kind == kind]


def some(folder, place: str, number: int = 0):
    return sorted((folder / place).glob("*.jpg"))[number]


def names(finding) -> set[str]:
    return {p.path.name for p in finding.photographs}


def test_a_clean_set_has_no_leaks(idrid_small, audited):
    report = audited(idrid_small, quality=True)
    assert report.n == 103
    assert report.leaks == []
    assert {f.kind for f in report.findings} == {
        "processing_reveals_grade", "balanced_prevalence", "blurred",
    }  # fmt: skip
    (signal,) = found(report, "processing_reveals_grade")
    assert 0.7 < signal.score < 0.9


def test_an_exact_copy_in_another_split(fewer, audited):
    source = some(fewer, "train/2")
    shutil.copyfile(source, fewer / "test" / "2" / "other.jpg")
    (finding,) = audited(fewer).leaks
    assert (finding.kind, finding.splits, finding.grades) == ("exact_copy", ["test", "train"], [2])
    assert names(finding) == {source.name, "other.jpg"}
    assert finding.score == 1


def test_a_copy_within_a_split_is_a_warning(fewer, audited):
    shutil.copyfile(some(fewer, "train/2"), fewer / "train" / "2" / "other.jpg")
    report = audited(fewer)
    assert report.leaks == []
    (finding,) = found(report, "exact_copy")
    assert (finding.severity, finding.splits) == (WARNING, ["train"])


@pytest.mark.parametrize("change", ["flip", *slow("clahe", "brighter", "half", "turn")])
def test_an_altered_copy_in_another_split(change, fewer, audited, altered):
    source = some(fewer, "train/3")
    altered(source, fewer / "test" / "3" / "other.jpg", change)
    (finding,) = audited(fewer).leaks
    assert (finding.kind, finding.splits) == ("near_duplicate", ["test", "train"])
    assert names(finding) == {source.name, "other.jpg"}
    assert 0.5 < finding.score <= 1


def test_one_picture_with_two_grades(fewer, audited, altered):
    altered(some(fewer, "train/1"), fewer / "train" / "4" / "other.jpg", "flip")
    report = audited(fewer)
    assert report.leaks == []
    (finding,) = found(report, "conflicting_grades")
    assert (finding.severity, finding.grades) == (WARNING, [1, 4])


def test_a_cluster_of_look_alikes(fewer, audited, altered):
    source = some(fewer, "train/1")
    for change in ("brighter", "flip", "turn"):
        altered(source, fewer / "train" / "1" / f"{change}x.jpg", change)
    report = audited(fewer)
    (finding,) = found(report, "look_alikes")
    assert (finding.severity, len(finding.photographs)) == (WARNING, 4)
    altered(source, fewer / "val" / "1" / "fifth.jpg", "clahe")
    (finding,) = audited(fewer).leaks
    assert (finding.kind, len(finding.photographs)) == ("look_alikes", 5)


def test_copies_by_their_names_and_a_patient_in_two_splits(fewer, audited):
    some(fewer, "train/0").rename(fewer / "train" / "0" / "10_left.jpg")
    some(fewer, "test/0").rename(fewer / "test" / "0" / "10_right.jpg")
    some(fewer, "train/4").rename(fewer / "train" / "4" / "eye77_aug2.jpg")
    some(fewer, "val/4").rename(fewer / "val" / "4" / "eye77_aug3.jpg")
    leaks = audited(fewer).leaks
    assert [f.kind for f in leaks] == ["patient_in_two_splits", "augmented_copy"]
    assert names(leaks[0]) == {"10_left.jpg", "10_right.jpg"}
    assert names(leaks[1]) == {"eye77_aug2.jpg", "eye77_aug3.jpg"}


@pytest.mark.parametrize("change", ["clahe", *slow("sharpen", "flat", "half")])
def test_a_filter_on_one_grade(change, real_set, audited, altered):
    for path in sorted(real_set.glob("*/1/*.jpg")):
        altered(path, path, change)
    (finding,) = audited(real_set).leaks
    assert (finding.kind, finding.grades) == ("processing_reveals_grade", [1])
    assert finding.score >= 0.95


def test_the_same_filter_on_every_grade_is_no_leak(real_set, audited, altered):
    for path in sorted(real_set.glob("*/*/*.jpg")):
        altered(path, path, "clahe")
    assert audited(real_set).leaks == []


def test_pictures_that_can_not_be_graded(fewer, audited):
    folder = fewer / "train" / "0"
    (folder / "cut.jpg").write_bytes(some(fewer, "train/0").read_bytes()[:2000])
    image = cv2.imread(str(some(fewer, "train/0", 1)))
    planted = {
        "blurred": cv2.GaussianBlur(image, (0, 0), 5),
        "black": image // 30,
        "overexposed": cv2.convertScaleAbs(image, alpha=3.5, beta=60),
        "tiny": cv2.resize(image, (64, 48), interpolation=cv2.INTER_AREA),
    }
    for kind, picture in planted.items():
        cv2.imwrite(str(folder / f"is_{kind}.jpg"), picture)
    report = audited(fewer, quality=True)
    for kind in planted:
        (finding,) = found(report, kind)
        assert f"is_{kind}.jpg" in names(finding), kind
        assert finding.severity == WARNING
    (finding,) = found(report, "unreadable")
    assert names(finding) == {"cut.jpg"}


def test_a_flat_folder(real_set, audited, altered, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in sorted((real_set / "val").rglob("*.jpg")):
        shutil.copyfile(path, flat / path.name)
    altered(some(flat, "."), flat / "other.jpg", "brighter")
    report = audited(flat)
    (finding,) = report.findings
    assert (finding.kind, finding.severity) == ("near_duplicate", WARNING)
    assert (finding.splits, finding.grades) == ([], [])
    assert "no folders of grades" in report.notes[0]


def test_drawn_pictures_are_not_judged_by_their_colours(draw_dataset, tmp_path, audited):
    folder = draw_dataset(tmp_path / "drawn", images=6)
    assert [f.kind for f in audited(folder).leaks] == ["processing_reveals_grade"]
    (folder / "synthetic.json").write_text(json.dumps({"synthetic": True}))
    assert audited(folder).leaks == []


def test_groups_of_the_manifest(fewer, audited):
    from dr_ovo.dataset.manifest import write_manifest

    files = [path.relative_to(fewer).as_posix() for path in sorted(fewer.rglob("*.jpg"))]
    shared = [files[0], files[-1]]
    entries = [
        {
            "id": file, "patient": "", "eye": "", "group": "v1" if file in shared else "",
            "grade": int(file.split("/")[1]), "split": file.split("/")[0], "sha256": "",
            "quality": None, "source": "",
        }
        for file in files
    ]  # fmt: skip
    write_manifest(fewer / "manifest.json", {"files": entries, "synthetic": False})
    (finding,) = audited(fewer).leaks
    assert finding.kind == "group_in_two_splits"
    assert [p.file for p in finding.photographs] == shared


@pytest.mark.slow
def test_the_publishers_own_flaws_in_idrid(idrid_small, audited):
    report = audited(idrid_small.parent / "idrid")
    (leak,) = report.leaks
    assert (leak.kind, leak.grades) == ("exact_copy", [0, 3])
    assert names(leak) == {"IDRiD_test_064.jpg", "IDRiD_train_118.jpg"}
    assert len(found(report, "conflicting_grades")) == 3
    assert found(report, "near_duplicate") == []
    (signal,) = found(report, "processing_reveals_grade")
    assert signal.severity == WARNING
    assert signal.score == pytest.approx(0.84, abs=0.03)


@pytest.mark.slow
def test_clahe_on_grade_1_of_idrid_alone(idrid_small, audited, altered, tmp_path):
    source, folder = idrid_small.parent / "idrid", tmp_path / "filtered"
    for path in sorted(source.glob("*/*/*.jpg")):
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.parent.name == "1":
            altered(path, target, "clahe")
        else:
            shutil.copyfile(path, target)
    signals = [f for f in audited(folder).leaks if f.kind == "processing_reveals_grade"]
    assert [(f.severity, f.grades) for f in signals] == [(LEAK, [1])]
    assert signals[0].score > 0.99


@pytest.mark.slow
def test_retinamnist_is_not_stopped(idrid_small, audited, tmp_path):
    with np.load(idrid_small.parent / "retinamnist28" / "retinamnist.npz") as arrays:
        for split in ("train", "val", "test"):
            rows = zip(arrays[f"{split}_images"], arrays[f"{split}_labels"].ravel(), strict=True)
            for number, (image, grade) in enumerate(rows):
                path = tmp_path / "set" / split / str(grade) / f"{split}{number:04d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), image[..., ::-1])
    report = audited(tmp_path / "set")
    assert [f for f in report.leaks if f.kind == "processing_reveals_grade"] == []
    (signal,) = found(report, "processing_reveals_grade")
    assert signal.score == pytest.approx(0.84, abs=0.03)
