"""`--mode inference --ensemble FILE` grades like the ensemble that was exported."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dr_ovo.decoding import expected_grade
from dr_ovo.ensembles.manifest import read_manifest
from dr_ovo.predictions.predictions_file import load_predictions
from dr_ovo.reports.ensemble.files import export_manifest, write_results
from dr_ovo.reports.ensemble.study import CombinationRule, study_ensemble
from dr_ovo.results.result_sets import open_results
from tests.fixtures.sealed import edit
from tests.fixtures.slow import slow

NAMES = ("test_efficientnet", "test_resnet")


@pytest.fixture(scope="module")
def models(small, trainer, tiny_dataset, tmp_path_factory) -> Path:
    """Two networks, one decoded by votes of its pairs, the other with a softmax head."""
    root = tmp_path_factory.mktemp("members")
    words = (*small, "--dataset_path", tiny_dataset, "--epochs", 2, "--learning_rate", "1e-2")
    plain = [word for word in words if word not in words[2:4]]
    own = [root / f"{name}_5class_results" for name in NAMES]
    assert trainer(*words, "--output_dir", own[0]).code == 0
    other = ("--base_models", NAMES[1], "--no-pretrained", "--head", "softmax")
    assert trainer(*plain, *other, "--output_dir", own[1]).code == 0
    evaluation = ("--mode", "evaluate", "--dataset_path", tiny_dataset, "--device", "cpu")
    assert trainer(*evaluation, "--output_dir", own[0], "--decoder", "vote").code == 0
    assert trainer(*evaluation, "--output_dir", own[1]).code == 0
    return root


def export(models: Path, method: str, file: Path, output: Path) -> None:
    results = open_results([models / f"{name}_5class_results" for name in NAMES], [],
                           intersect=False)  # fmt: skip
    study = study_ensemble(results, CombinationRule(method), [])
    write_results(study, output)
    assert "--mode inference" in export_manifest(study, file)


@pytest.fixture(scope="module")
def exported(models, tmp_path_factory) -> Path:
    """A copy of the models with the manifest of their mean, which names them from where it is."""
    root = Path(shutil.copytree(models, tmp_path_factory.mktemp("exported") / "copy"))
    export(root, "mean", root / "ensemble.json", tmp_path_factory.mktemp("out") / "out")
    return root


@pytest.fixture
def copied(exported, tmp_path) -> Path:
    """A copy of the models and their manifest, for tests that damage it."""
    return Path(shutil.copytree(exported, tmp_path / "copy"))


def grade(trainer, manifest: Path, *words: object):
    given = ("--mode", "inference", "--device", "cpu", "--num_workers", 0, "--ensemble", manifest)
    return trainer(*given, *words)


@pytest.mark.parametrize("method", ["mean", "vote", *slow("weighted", "greedy")])
def test_grades_are_the_ensembles_own_on_test(method, models, trainer, tiny_dataset, tmp_path):
    manifest = tmp_path / "ensemble.json"
    export(models, method, manifest, tmp_path / "super_ensemble")
    output = tmp_path / "out.csv"
    outcome = grade(trainer, manifest, "--input", tiny_dataset / "test", "--output", output)
    assert outcome.code == 0, outcome.stderr
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    known = load_predictions(tmp_path / "super_ensemble" / "predictions_test.npz")
    files = [Path(row["file"]).relative_to(tiny_dataset / "test").as_posix() for row in rows]
    # The ensemble's samples are in the order of their ids, as are the files.
    assert files == known.sample_ids.tolist()
    assert [int(row["grade"]) for row in rows] == known.predicted.tolist()
    found = [[float(row[f"probability_{grade}"]) for grade in range(5)] for row in rows]
    np.testing.assert_allclose(found, known.probabilities, atol=1e-5)


def test_the_csv_stands_beside_the_manifest_unless_told_otherwise(copied, trainer, tiny_dataset):
    outcome = grade(trainer, copied / "ensemble.json", "--input", tiny_dataset / "test" / "0")
    assert outcome.code == 0, outcome.stderr
    assert (copied / "inference.csv").is_file()


def test_a_folder_that_is_gone(copied, trainer, tiny_dataset):
    shutil.rmtree(copied / "test_resnet_5class_results")
    outcome = grade(trainer, copied / "ensemble.json", "--input", tiny_dataset / "test")
    assert outcome.code == 2
    assert "test_resnet_5class_results: there is no such folder" in outcome.stderr


def test_a_checkpoint_that_is_gone(copied, trainer, tiny_dataset):
    (path,) = (copied / "test_resnet_5class_results" / "models").glob("*.pth")
    path.unlink()
    outcome = grade(trainer, copied / "ensemble.json", "--input", tiny_dataset / "test")
    assert outcome.code == 2
    assert f"{path} is missing" in outcome.stderr


def test_a_checkpoint_that_is_another(copied, trainer, tiny_dataset):
    (path,) = (copied / "test_resnet_5class_results" / "models").glob("*.pth")
    content = torch.load(path, weights_only=True)
    content["state_dict"]["head.bias"] += 1
    torch.save(content, path)
    outcome = grade(trainer, copied / "ensemble.json", "--input", tiny_dataset / "test")
    assert outcome.code == 2
    assert "another sha256" in outcome.stderr
    assert not (copied / "inference.csv").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"class_names": ["a", "b", "c", "d", "e"]}, "classes 0 1 2 3 4"),
        ({"architecture": "resnet50"}, "architecture test_resnet"),
        ({"head": "ordinal"}, "head softmax"),
        ({"checkpoints": []}, "without checkpoints of test_resnet"),
    ],
)
def test_a_manifest_that_says_something_else(changes, said, copied, trainer, tiny_dataset):
    path = copied / "ensemble.json"

    def change(manifest):
        target = manifest if "class_names" in changes else manifest["members"][1]
        target.update(changes)

    edit(path, change)
    outcome = grade(trainer, path, "--input", tiny_dataset / "test")
    assert outcome.code == 2
    assert said in outcome.stderr


@pytest.mark.slow
def test_how_the_members_were_evaluated_is_exported(
    models, trainer, tiny_dataset, tmp_path, monkeypatch
):
    """Also what is taken from their logits, and the thresholds of their own grades."""
    monkeypatch.setattr(expected_grade, "MIN_IMAGES", 10)
    root = Path(shutil.copytree(models, tmp_path / "copy"))
    evaluation = ("--mode", "evaluate", "--dataset_path", tiny_dataset, "--device", "cpu")
    for name in NAMES:
        folder = root / f"{name}_5class_results"
        outcome = trainer(
            *evaluation, "--output_dir", folder, "--decoder", "expected", "--prior_correction"
        )
        assert outcome.code == 0, outcome.stderr
    export(root, "vote", root / "ensemble.json", tmp_path / "out")
    members = read_manifest(root / "ensemble.json").members
    assert all(member.prior_corrected for member in members)
    assert all(member.fitted and member.fitted.thresholds for member in members)
    outcome = grade(trainer, root / "ensemble.json", "--input", tiny_dataset / "test")
    assert outcome.code == 0, outcome.stderr
    known = load_predictions(tmp_path / "out" / "predictions_test.npz")
    with (root / "inference.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [int(row["grade"]) for row in found] == known.predicted.tolist()
    values = [[float(row[f"probability_{grade}"]) for grade in range(5)] for row in found]
    assert np.array(values) == pytest.approx(known.probabilities, abs=1e-5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--base_models", "test_resnet"), "made of test_efficientnet, test_resnet"),
        (("--decoder", "coupling"), "decodes its members with vote"),
        (("--img_size", 64), "contradict the checkpoints"),
        (("--mode", "evaluate"), "is for --mode inference"),
    ],
)
def test_flags_that_contradict_the_manifest(words, said, copied, trainer, tiny_dataset):
    outcome = grade(
        trainer, copied / "ensemble.json", "--input", tiny_dataset / "test" / "0", *words
    )
    assert outcome.code == 2
    assert said in outcome.stderr


def test_a_manifest_that_is_not_there(trainer, tiny_dataset, tmp_path):
    outcome = grade(trainer, tmp_path / "none.json", "--input", tiny_dataset / "test" / "0")
    assert outcome.code == 2
    assert "can't be read" in outcome.stderr
