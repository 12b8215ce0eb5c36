"""How a training computes is recorded; what a resumed one changes is said, its format is kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dr_ovo.errors import UserError
from dr_ovo.models import architectures
from dr_ovo.models.architectures import CHANNELS_LAST, CONTIGUOUS
from dr_ovo.models.precision import Precision
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.training.resume.computing import begun_memory_format, note_changes
from dr_ovo.training.writing.record import Record

CPU = torch.device("cpu")
MODEL = "tf_efficientnet_lite0"


def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def stop_after_an_epoch(trainer: Any, *words: object) -> None:
    keep = Record.keep_epoch

    def keep_and_stop(record: Record, epoch: int, results: list) -> None:
        keep(record, epoch, results)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Record, "keep_epoch", keep_and_stop)
        assert trainer(*words).code == 130


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("models/*.pth")
    return torch.load(path, weights_only=True)["state_dict"]


def same(one: Path, other: Path) -> bool:
    pair = weights(one), weights(other)
    return all(torch.equal(value, pair[1][name]) for name, value in pair[0].items())


@pytest.fixture(scope="module")
def words(lite0, three_grades) -> tuple[object, ...]:
    return (
        *lite0, "--dataset_path", three_grades, "--num_classes", 3, "--epochs", 2,
        "--train_sample", 0, "--learning_rate", "1e-3", "--keep_epoch", "last",
    )  # fmt: skip


@pytest.fixture(scope="module")
def in_nchw(words, trainer, tmp_path_factory) -> tuple[Path, Path]:
    """Trainings in NCHW: one that ended, and one that stopped after an epoch."""
    folders = [tmp_path_factory.mktemp(name) for name in ("ended", "stopped")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(architectures, "FASTER_IN_CHANNELS_LAST", {})
        assert trainer(*words, "--output_dir", folders[0]).code == 0
        stop_after_an_epoch(trainer, *words, "--output_dir", folders[1])
    return folders[0], folders[1]


@pytest.fixture
def stopped(in_nchw, tmp_path) -> Path:
    return Path(shutil.copytree(in_nchw[1], tmp_path / "stopped"))


@pytest.fixture
def other_threads() -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    yield before + 1
    torch.set_num_threads(before)


def test_what_is_recorded(in_nchw, words, trainer, tmp_path):
    effective = config_of(in_nchw[0])["effective"]
    expected = {
        "device": "cpu", "precision": "float32", "tf32": False, "memory_format": CONTIGUOUS,
        "threads": torch.get_num_threads(), "compile": False,
    }  # fmt: skip
    assert effective.items() >= expected.items()
    for flags, kind in (
        ((), ("float32", CHANNELS_LAST)),
        (("--amp", "on"), ("bfloat16", CONTIGUOUS)),
    ):
        folder = tmp_path / kind[0]
        outcome = trainer(*words, "--output_dir", folder, "--epochs", 1, *flags)
        shown = {CHANNELS_LAST: "channels_last", CONTIGUOUS: "NCHW"}[kind[1]]
        assert f"cpu, {kind[0]}, {shown}, 1 thread, " in outcome.stdout
        effective = config_of(folder)["effective"]
        assert (effective["precision"], effective["memory_format"]) == kind
        assert all(value.is_contiguous() for value in weights(folder).values())


@pytest.mark.parametrize("recorded", [True, False])
def test_a_training_begun_in_nchw_goes_on_in_nchw(recorded, stopped, in_nchw, words, trainer):
    if not recorded:  # as earlier versions left it
        config = config_of(stopped)
        del config["effective"]["memory_format"], config["effective"]["threads"]
        (stopped / "config.json").write_text(json.dumps(config))
    outcome = trainer(*words, "--output_dir", stopped, "--resume")
    assert outcome.code == 0, outcome.stderr
    assert ", NCHW, " in outcome.stdout
    assert "otherwise" not in outcome.stderr
    assert "resumed" not in config_of(stopped)
    assert same(stopped, in_nchw[0])


def test_channels_last_is_nchw_up_to_rounding(in_nchw, words, trainer, tmp_path):
    assert trainer(*words, "--output_dir", tmp_path).code == 0
    one, other = weights(in_nchw[0]), weights(tmp_path)
    assert not same(in_nchw[0], tmp_path)
    difference = max(float((one[name] - value).abs().max()) for name, value in other.items())
    assert difference < 1e-3  # a step of AdamW, whose first ones are of that size where g is small


def test_other_threads_are_said_and_recorded(stopped, words, trainer, other_threads):
    outcome = trainer(*words, "--output_dir", stopped, "--resume")
    assert outcome.code == 0, outcome.stderr
    before = other_threads - 1
    assert f"threads {before} before, {other_threads} now" in outcome.stderr
    assert "bits will differ" in outcome.stderr
    (entry,) = config_of(stopped)["resumed"]
    assert (entry["after_epoch"], entry["threads"]) == (1, other_threads)
    assert config_of(stopped)["effective"]["threads"] == before


def folder_with(path: Path, effective: Any, epoch: int = 1) -> ResultsFolder:
    folder = ResultsFolder(path)
    folder.resume.mkdir()
    folder.progress.write_text(json.dumps({"epoch": epoch, "finished": False}))
    folder.config.write_text(json.dumps({"settings": {}, "effective": effective}))
    return folder


def test_the_format_of_a_folder(tmp_path):
    assert begun_memory_format(ResultsFolder(tmp_path)) is None
    for number, (effective, expected) in enumerate(
        [({}, CONTIGUOUS), (None, CONTIGUOUS), ({"memory_format": CHANNELS_LAST}, CHANNELS_LAST)]
    ):
        path = tmp_path / str(number)
        path.mkdir()
        assert begun_memory_format(folder_with(path, effective)) == expected
    path = tmp_path / "none"
    path.mkdir()
    assert begun_memory_format(folder_with(path, {}, epoch=0)) is None


@pytest.mark.parametrize("name", ["nchw", None, ["contiguous"], {}])
def test_an_unknown_format_is_named(name, tmp_path):
    folder = folder_with(tmp_path, {"memory_format": name})
    with pytest.raises(UserError, match="contiguous or channels_last was expected") as refused:
        begun_memory_format(folder)
    assert f"memory_format is {name!r}" in str(refused.value)


def test_precision_there_and_back(tmp_path, caplog):
    begun = {"device": "cuda:1", "precision": "bfloat16", "tf32": False, "threads": 9}
    folder = folder_with(tmp_path, begun)
    for epoch, dtype in enumerate((torch.bfloat16, torch.float16, torch.float16, torch.bfloat16)):
        note_changes(folder, epoch, Precision(torch.device("cuda", 0), dtype))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert (
        "precision bfloat16 before, float16 now; the gradient scaler of float16 begins" in lines[0]
    )
    assert "precision float16 before, bfloat16 now" in lines[1]
    assert "scaler" not in lines[1]
    resumed = folder.read_config()["resumed"]
    assert [(one["after_epoch"], one["precision"]) for one in resumed] == [
        (1, "float16"), (3, "bfloat16"),
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def any_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 0))


def test_another_kind_of_device_is_said(tmp_path, caplog):
    folder = folder_with(tmp_path, {"device": "cuda:0", "precision": "float32", "threads": 99})
    note_changes(folder, 3, Precision(CPU, None))
    (record,) = caplog.records
    assert "device cuda:0 before, cpu now" in record.getMessage()
    assert "threads" not in record.getMessage()
