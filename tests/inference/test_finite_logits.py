"""Networks that answer with NaN or infinity are refused wherever photographs are put to them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dr_ovo.commands import predict
from dr_ovo.errors import MachineError, run
from dr_ovo.gates.features_file import load_features, save_features
from dr_ovo.grading.grader import Grader
from dr_ovo.inference.finite_logits import require_finite
from dr_ovo.models.checkpoints.files import save_checkpoint
from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.made_from import seals_of

HERE = ("--device", "cpu", "--num_workers", 0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, draw_dataset) -> Path:
    """As many photographs as the gate needs to keep features of."""
    return draw_dataset(tmp_path_factory.mktemp("finite") / "data", images=11, height=48)


@pytest.fixture(scope="module")
def trained(small, trainer, dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finite") / "results"
    words = ("--dataset_path", dataset, "--output_dir", folder, "--epochs", 1, "--allow_leaks")
    assert trainer(*small, *words).code == 0
    assert trainer(*evaluation(folder, dataset)).code == 0
    assert (folder / "train_features.npz").is_file()
    return folder


def evaluation(folder: Path, data: Path) -> tuple[object, ...]:
    return "--mode", "evaluate", "--output_dir", folder, "--dataset_path", data, *HERE


def spoil(folder: Path, value: float) -> None:
    """Puts a number into the head's bias, as one that went bad; the checkpoint is whole."""
    (path,) = (folder / "models").glob("*.pth")
    content = torch.load(path, weights_only=True)
    weights = content.pop("state_dict")
    weights["head.bias"][0] = value
    tensors = {name: own for name, own in content.items() if isinstance(own, torch.Tensor)}
    others = {name: own for name, own in content.items() if name not in tensors}
    save_checkpoint(path, others, weights, tensors)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("gate", [True, False])
def test_no_grade_is_made_of_it(value, gate, trained, trainer, dataset, tmp_path, capsys):
    folder = shutil.copytree(trained, tmp_path / "out")
    spoil(folder, value)
    if gate:  # the features that are kept are of these checkpoints, as far as the gate can tell
        of_these(folder)
    else:
        (folder / "train_features.npz").unlink()
    photographs = dataset / "test"
    output = tmp_path / "grades.csv"
    words = ("--output_dir", folder, "--input", photographs, "--output", output)
    for path in folder.glob("evaluation*.json"):  # of the checkpoint before
        path.unlink()
    outcomes = [
        trainer("--mode", "inference", *words, *HERE),
        trainer(*evaluation(folder, dataset)),
    ]
    for count, outcome in zip((32, 55), outcomes, strict=True):
        assert outcome.code == 4, outcome.stderr
        assert f"{folder / 'models'} answers NaN or infinity on {count} of the" in outcome.stderr
        assert f"{count} photographs put to it together (first: {dataset}" in outcome.stderr
        assert "Evaluate again" not in outcome.stderr
    assert not output.exists()
    flags = ["--models", folder, "--input", photographs, "--output", tmp_path / "read", *HERE]
    assert run(lambda: predict.main([str(word) for word in flags], "predict.py")) == 4
    assert "answers NaN or infinity" in capsys.readouterr().err
    assert not list(tmp_path.glob("read/*.jsonl"))


def of_these(folder: Path) -> None:
    """Makes the features that were kept those of the checkpoint that is there now."""
    path = folder / "train_features.npz"
    seals = seals_of(ResultsFolder(folder))
    save_features(path, load_features(path)[0], {n: own["checkpoints"] for n, own in seals.items()})


def test_the_message_counts_and_names():
    folder, logits = ResultsFolder(Path("x")), np.zeros((3, 2))
    positions, paths = np.array([4, 2, 0]), [Path(f"{n}.png") for n in range(5)]
    require_finite(folder, positions, logits, paths)
    logits[1, 1], logits[2, 0] = np.nan, -np.inf
    with pytest.raises(MachineError, match=r"on 2 of the 3 photographs .* \(first: 2\.png\)"):
        require_finite(folder, positions, logits, paths)
    with pytest.raises(
        MachineError, match="on 2 of the 3 photographs put to it together, of which"
    ):
        require_finite(folder, positions, logits)


def test_the_grader_raises_it_for_arrays(trained, dataset):
    grader = Grader.load(trained, device="cpu")
    image = decode_image(next((dataset / "test").rglob("*.jpeg")), 10_000)
    assert len(grader.grade([image])) == 1
    with torch.no_grad():
        for model in grader.ensemble.models:
            for name in model.network.branches:
                model.network.branch(name).head.bias.fill_(float("nan"))
    with pytest.raises(MachineError, match="on 1 of the 1 photographs"):
        grader.grade([image])
