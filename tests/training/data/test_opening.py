"""The photographs of a run: what is known of them once it has begun."""

from __future__ import annotations

import hashlib

from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.train_config import TrainConfig
from dr_ovo.training.data.opening import open_dataset


def test_the_contents_of_all_files_are_known(draw_dataset, tmp_path):
    data = draw_dataset(tmp_path / "data", grades=3)
    broken = data / "train/1/train-1-2.jpeg"
    broken.write_bytes(b"")
    config = TrainConfig(
        base_models=("test_efficientnet",), dataset_path=str(data), num_classes=3,
        skip_damaged=True,
    )  # fmt: skip
    expected = {
        path: hashlib.sha256(path.read_bytes()).hexdigest() for path in data.rglob("*.jpeg")
    } | {broken: ""}
    for _ in range(2):  # the second time from the cache
        index, _ = open_dataset(config, [ResultsFolder(tmp_path / "out")])
        assert index.contents == expected
        assert broken not in index.paths(("train",))
