"""What a training keeps for the gate "unlike the training set", and what opening it says."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dr_ovo.dataset.index import scan_dataset
from dr_ovo.gates.nearest_features import VAL, WIDEST, one_each_first
from dr_ovo.inference.trained_model import TrainedModel, open_network
from dr_ovo.inference.training_gate import open_gate, outputs_with_features
from dr_ovo.models.checkpoints.files import input_of
from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.results.folder import ResultsFolder

GRADES = ("0", "1", "2")
HERE = ("--num_classes", 3, "--class_names", *GRADES, "--epochs", 1, "--allow_leaks")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, draw_dataset) -> Path:
    return draw_dataset(tmp_path_factory.mktemp("gate") / "data", grades=3, images=17, height=48)


@pytest.fixture(scope="module")
def trained(small, trainer, dataset, tmp_path_factory: pytest.TempPathFactory) -> ResultsFolder:
    root = tmp_path_factory.mktemp("gated") / "results"
    words = ("--dataset_path", dataset, "--output_dir", root, "--train_sample", 0)
    outcome = trainer(*small, *HERE, *words)
    assert outcome.code == 0, outcome.stderr
    assert "kept the features of 51 train pictures, calibrated on 51 of val" in outcome.stdout
    return ResultsFolder(root)


def opened(folder: ResultsFolder) -> TrainedModel:
    network, meta, seals = open_network(folder, None)
    return TrainedModel(network, meta, folder, seals)


def inputs(model: TrainedModel, paths: list[Path]) -> torch.Tensor:
    _, preprocessing = input_of(model.meta)
    images = [decode_image(path, preprocessing.size) for path in paths]
    return torch.from_numpy(np.stack([preprocessing.apply(image) for image in images]))


def test_the_kept_features_are_those_of_train(trained, dataset):
    model = opened(trained)
    gate = open_gate(trained, model.seals)
    assert gate.nearest is not None
    assert gate.nearest.calibrated_on == VAL
    splits = scan_dataset(dataset, GRADES).splits
    for name in ("train", "val"):
        split = splits[name]
        paths = [split.paths[at] for at in one_each_first(split.patient_ids, split.sample_ids)]
        batch = np.arange(len(paths)), inputs(model, paths)
        outputs = outputs_with_features(model, [batch], torch.device("cpu"))
        assert outputs is not None
        if name == "train":
            assert outputs.features == pytest.approx(
                gate.nearest.features.astype(np.float32), rel=2e-3, abs=2e-3
            )
        else:
            found = np.sort(gate.nearest.distances_of(outputs.features))
            assert found == pytest.approx(gate.nearest.distances, rel=1e-2, abs=1e-3)


def test_p_values_of_what_is_far_from_train(trained, dataset):
    model = opened(trained)
    gate = open_gate(trained, model.seals)
    assert gate.nearest is not None
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8))
    outputs = outputs_with_features(model, [(np.arange(4), noise)], torch.device("cpu"))
    assert outputs is not None
    assert gate.nearest.p_values(outputs.features).tolist() == [1 / 52] * 4


def test_a_folder_without_the_file_has_no_gate(trained, tmp_path):
    copy = ResultsFolder(tmp_path / "results")
    shutil.copytree(trained.root, copy.root)
    copy.train_features.unlink()
    gate = open_gate(copy, opened(copy).seals)
    assert gate.nearest is None
    assert gate.why_not.startswith("no train_features.npz")


def test_features_of_other_checkpoints_are_no_gate(trained):
    other = {name: {**own, "checkpoints": "0" * 64} for name, own in opened(trained).seals.items()}
    gate = open_gate(trained, other)
    assert gate.nearest is None
    assert "of other checkpoints" in gate.why_not


@pytest.mark.slow
def test_all_independent_networks_have_their_part(small, trainer, dataset, tmp_path):
    words = ("--dataset_path", dataset, "--output_dir", tmp_path / "r", "--ovo_mode", "independent")
    outcome = trainer(*small, *HERE, *words)
    assert outcome.code == 0, outcome.stderr
    model = opened(ResultsFolder(tmp_path / "r"))
    gate = open_gate(model.folder, model.seals)
    assert gate.nearest is not None
    width = model.network.branch("0_1").head.in_features
    assert gate.nearest.features.shape[1] == min(3 * width, WIDEST)
    assert len(model.seals) == 3


def test_an_incomplete_network_keeps_none(small, trainer, dataset, tmp_path):
    words = ("--dataset_path", dataset, "--output_dir", tmp_path / "r", "--ovo_mode", "independent")
    outcome = trainer(*small, *HERE, *words, "--pairs", "0-1")
    assert outcome.code == 0, outcome.stderr
    assert not ResultsFolder(tmp_path / "r").train_features.exists()
