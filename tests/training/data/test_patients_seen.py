"""Weights that have seen the other eye of what a training is judged on."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dr_ovo.dataset.manifest import write_manifest
from tests.fixtures.trainings import SMALL

GRADES = 3
COUNTS = {"train": 2, "val": 1, "test": 1}  # patients of a grade
FIRST, SECOND = range(3), range(3, 6)  # numbers of drawn images
OTHER_EYE = "1 of the 3 photographs of test"

Make = Callable[..., Path]
Train = Callable[..., object]


@pytest.fixture
def make(draw_dataset, tmp_path) -> Make:
    """Makes a dataset of left or right eyes, each of a patient of its own, counted from `first`;
    `moved`: new names for files. With a manifest, if wanted."""
    pool = draw_dataset(tmp_path / "pool", grades=GRADES, images=6)

    def call(name: str, eye: str, first: int, numbers: range, *, manifest: bool, **moved: str):
        root, patient = tmp_path / name, itertools.count(first)
        files = []
        for split, count in COUNTS.items():
            for grade in range(GRADES):
                (root / split / str(grade)).mkdir(parents=True)
                for number in list(numbers)[:count]:
                    owner = next(patient)
                    owner = moved.get(f"of_{owner}", owner)
                    target = root / split / str(grade) / f"{owner}_{eye}.jpeg"
                    shutil.copy(
                        pool / split / str(grade) / f"{split}-{grade}-{number}.jpeg", target
                    )
                    files.append(entry(target, split, grade, str(owner), eye))
        if manifest:
            write_manifest(root / "manifest.json", {"synthetic": False, "files": files})
        return root

    return call


def entry(path: Path, split: str, grade: int, patient: str, eye: str) -> dict:
    return {
        "id": f"{split}/{grade}/{path.name}",
        "patient": patient,
        "eye": eye,
        "group": None,
        "grade": grade,
        "split": split,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "quality": None,
    }


@pytest.fixture
def train(trainer, tmp_path) -> Train:
    def call(data: Path, output: str, *flags: object):
        return trainer(
            "--base_models", SMALL, "--img_size", 32, "--device", "cpu", "--num_workers", 0,
            "--epochs", 1, "--num_classes", GRADES, "--dataset_path", data, "--train_sample", 0,
            "--output_dir", tmp_path / output, *(flags or ("--no-pretrained",)),
        )  # fmt: skip

    return call


def with_a_shared_file(ours: Path, theirs: Path) -> None:
    """Copies a photograph of another patient's, with its entry in the manifest, between trains."""
    one, other = (json.loads((root / "manifest.json").read_text()) for root in (theirs, ours))
    shared = next(e for e in one["files"] if e["patient"] == "1")
    shutil.copy(theirs / shared["id"], ours / shared["id"])
    other["files"].append(shared)
    write_manifest(ours / "manifest.json", other)


def test_of_manifests_with_one_naming_they_stop_a_training(make, train, tmp_path):
    # A patient of test is 0, of the first set's train.
    first = make("first_data", "left", 0, FIRST, manifest=True)
    data = make("data", "right", 100, SECOND, manifest=True, of_109="0")
    with_a_shared_file(data, first)
    assert train(first, "first").code == 0
    outcome = train(data, "next", "--pretrained_path", tmp_path / "first")
    assert outcome.code == 3, outcome.stderr
    assert f"patients of {OTHER_EYE}" in outcome.stderr
    assert "(patients 0)" in outcome.stderr
    assert not (tmp_path / "next").exists()
    flags = ("--pretrained_path", tmp_path / "first", "--allow_leaks")
    outcome = train(data, "next", *flags)
    assert outcome.code == 0, outcome.stderr
    assert "has seen other photographs of the patients of 1 of test" in outcome.stdout
    config = json.loads((tmp_path / "next" / "config.json").read_text())
    assert config["leaky"] is True
    assert config["audit"]["weights_have_seen"] == {}
    assert config["audit"]["weights_have_seen_patients"] == {"test": 1}


@pytest.mark.parametrize("manifest", [True, False])
def test_of_names_alone_they_are_said(manifest, make, train, tmp_path):
    first = make("first_data", "left", 0, FIRST, manifest=manifest)
    assert train(first, "first").code == 0
    data = make("data", "right", 100, SECOND, manifest=manifest, of_109="0")
    outcome = train(data, "next", "--pretrained_path", tmp_path / "first")
    assert outcome.code == 0, outcome.stderr
    assert f"patients of the same names as {OTHER_EYE}" in outcome.stderr
    assert "names alone don't tell" in outcome.stderr
    config = json.loads((tmp_path / "next" / "config.json").read_text())
    assert config["leaky"] is False


def test_of_other_patients_nothing_is_said(make, train, tmp_path):
    first = make("first_data", "left", 0, FIRST, manifest=False)
    assert train(first, "first").code == 0
    # A patient of the first set's test may be one of this one's.
    data = make("data", "right", 100, SECOND, manifest=False, of_109="9")
    outcome = train(data, "next", "--pretrained_path", tmp_path / "first")
    assert outcome.code == 0, outcome.stderr
    assert "of the same names" not in outcome.stderr
