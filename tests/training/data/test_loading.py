"""Files that turn out not to be decodable as the cache is filled, and caches that can't be had."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from dr_ovo.batches import row_source
from dr_ovo.decoded.build import build
from dr_ovo.results.folder import ResultsFolder
from tests.fixtures import decoders


@pytest.fixture
def words(small, draw_dataset, tmp_path, monkeypatch) -> tuple[object, ...]:
    """A training on a dataset with one photograph that ends the decoder with an odd error."""
    data = draw_dataset(tmp_path / "data", grades=3, images=4)
    bad = data / "train" / "1" / "train-1-2.jpeg"
    bad.write_bytes(bad.read_bytes() + decoders.MARK)
    monkeypatch.setattr(row_source, "build", partial(build, decode=decoders.odd))
    flags = ("--num_classes", 3, "--epochs", 1, "--output_dir", tmp_path / "out")
    return (*small, "--dataset_path", data, *flags)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_it_ends_before_anything_has_begun(words, trainer, tmp_path):
    outcome = trainer(*words)
    assert outcome.code == 2
    assert "1 of the files can't be decoded" in outcome.stderr
    assert "train-1-2.jpeg: can't be decoded: ValueError: odd" in outcome.stderr
    assert not ResultsFolder(tmp_path / "out").config.exists()
    assert not ResultsFolder(tmp_path / "out").finished_epochs()


def test_it_is_left_out_and_recorded(words, trainer, tmp_path):
    outcome = trainer(*words, "--skip_damaged")
    assert outcome.code == 0, outcome.stderr
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    (skipped,) = config["skipped_images"]
    assert skipped["file"].endswith("train/1/train-1-2.jpeg")
    assert config["counts"]["train"] == {"0": 4, "1": 3, "2": 4}
    again = trainer(*words, "--skip_damaged", "--resume", "--epochs", 1)
    assert again.code == 0, again.stderr
    assert "nothing to do" in again.stdout


def test_a_cache_that_can_not_be_had_is_said_before_the_first_training(
    small, draw_dataset, trainer, tmp_path
):
    data = draw_dataset(tmp_path / "data", grades=3)
    (tmp_path / "file").write_text("")
    outcome = trainer(
        *small, "--dataset_path", data, "--num_classes", 3, "--output_dir", tmp_path / "out",
        "--cache", "on", "--cache_dir", tmp_path / "file",
    )  # fmt: skip
    assert outcome.code == 2
    assert "--cache_dir" in outcome.stderr
    assert files_in(tmp_path / "out") == []


def test_what_is_kept_is_said_once_and_in_the_log_of_the_training(
    small, draw_dataset, trainer, tmp_path
):
    data = draw_dataset(tmp_path / "data", grades=3)
    outcome = trainer(
        *small, "--dataset_path", data, "--num_classes", 3, "--epochs", 1,
        "--output_dir", tmp_path / "out",
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    log = (tmp_path / "out" / "train.log").read_text()
    for said in ("decoded photographs in", "Decoding into"):
        assert [text.count(said) for text in (outcome.stdout, log)] == [1, 1]
