"""What decides the bits of a training is recorded; what a resumed one changes is said, and its
memory format and float16 are kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from dr_ovo.errors import UserError
from dr_ovo.models import architectures, compilation
from dr_ovo.models.architectures import CHANNELS_LAST, CONTIGUOUS
from dr_ovo.models.parts import stem
from dr_ovo.models.precision import Precision
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.training import setup
from dr_ovo.training.epochs.loop import TrainingLoop
from dr_ovo.training.resume.numerics import (
    begun_memory_format,
    numerics_now,
    precision_to_go_on_with,
    record_numerics,
    say_changes,
)
from dr_ovo.training.resume.state import Reached
from tests.fixtures.slow import slow
from tests.fixtures.trainings import stop_after_each_epoch

CPU = torch.device("cpu")
GPU = torch.device("cuda", 0)
IN_CHANNELS_LAST = {("cpu", "float32"): {"test_efficientnet": 2.0}}


def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def stop_after_an_epoch(trainer: Any, *words: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_after_each_epoch(patch)
        assert trainer(*words).code == 130


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("models/*.pth")
    return torch.load(path, weights_only=True)["state_dict"]


def same(one: Path, other: Path) -> bool:
    pair = weights(one), weights(other)
    return all(torch.equal(value, pair[1][name]) for name, value in pair[0].items())


@pytest.fixture(scope="module", autouse=True)
def faster_in_channels_last() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(architectures, "FASTER_IN_CHANNELS_LAST", IN_CHANNELS_LAST)
        yield


@pytest.fixture(scope="module")
def words(small, three_grades) -> tuple[object, ...]:
    return (
        *small, "--dataset_path", three_grades, "--num_classes", 3, "--epochs", 2,
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
def other_threads(monkeypatch: pytest.MonkeyPatch) -> int:
    """One more than there are. They are only counted: two on a busy core would take long."""
    threads = torch.get_num_threads() + 1
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    return threads


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


@pytest.mark.parametrize("recorded", [False, *slow(True)])
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


@pytest.fixture(autouse=True)
def any_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 0))


def stop_with(dtype: str, trainer: Any, *words: object) -> Any:
    """An epoch more, on a device that has float16 (`fp16`) or bfloat16 (`bf16`)."""
    with pytest.MonkeyPatch.context() as patch:
        stop_after_each_epoch(patch)
        patch.setattr(setup, "amp_dtype", lambda _: dtype)
        outcome = trainer(*words, "--amp", "on", "--resume")
    assert outcome.code == 130, outcome.stderr
    return outcome


def state_of(folder: Path) -> dict[str, Any]:
    (branch,) = ResultsFolder(folder).read_progress()["branches"].values()
    return torch.load(folder / "resume" / branch["file"], weights_only=True)


def test_precision_there_and_back(words, trainer, tmp_path):
    words = (*words, "--epochs", 5, "--output_dir", tmp_path)
    said = [stop_with(dtype, trainer, *words) for dtype in ("bf16", "fp16", "fp16", "bf16")]
    otherwise = [one.stderr.count("otherwise than so far") for one in said]
    assert otherwise == [0, 1, 0, 0]
    assert (
        "precision bfloat16 before, float16 now; the gradient scaler of float16 begins anew"
        in said[1].stderr
    )
    goes_on = f"{tmp_path} goes on in float16, as it did so far"
    assert [goes_on in one.stdout for one in said] == [False, False, False, True]
    assert goes_on in (tmp_path / "train.log").read_text()
    assert "cpu, float16, " in said[3].stdout
    assert state_of(tmp_path)["scaler"]["_growth_tracker"] == 3 * 2  # two steps in each epoch
    config = config_of(tmp_path)
    assert config["effective"]["precision"] == "bfloat16"
    assert [(one["after_epoch"], one["precision"]) for one in config["resumed"]] == [(1, "float16")]


@pytest.mark.slow
def test_a_classifier_trained_again_goes_on_in_float16(words, trainer, tmp_path):
    words = (*words, "--ovo_mode", "independent", "--output_dir", tmp_path, "--amp", "on")
    assert trainer(*words).code == 0
    words = (*words, "--pairs", "0-1", "--seed", 7)
    assert "goes on" not in stop_with("fp16", trainer, *words).stdout
    outcome = stop_with("bf16", trainer, *words)
    assert f"{tmp_path / 'retrain'} goes on in float16" in outcome.stdout
    assert "otherwise" not in outcome.stderr


BFLOAT16, FLOAT16 = torch.bfloat16, torch.float16
ON_CPU, ON_GPU = {"device": "cpu"}, {"device": "cuda:1"}


@pytest.mark.parametrize(
    ("so_far", "device", "chosen", "expected"),
    [
        ({**ON_GPU, "precision": "float16"}, GPU, BFLOAT16, FLOAT16),
        ({**ON_GPU, "precision": "bfloat16"}, GPU, FLOAT16, FLOAT16),
        ({**ON_GPU, "precision": "bfloat16"}, GPU, BFLOAT16, BFLOAT16),
        ({**ON_GPU, "precision": "float16"}, GPU, None, None),
        ({**ON_GPU, "precision": "float16"}, CPU, BFLOAT16, BFLOAT16),
        ({**ON_CPU, "precision": "float32"}, GPU, BFLOAT16, BFLOAT16),
        ({}, GPU, BFLOAT16, BFLOAT16),  # not recorded
    ],
)
def test_the_precision_to_go_on_with(so_far, device, chosen, expected, tmp_path):
    precision = Precision(device, chosen)
    assert precision_to_go_on_with(ResultsFolder(tmp_path), precision) is precision
    folder = folder_with(tmp_path, so_far)
    assert precision_to_go_on_with(folder, precision) == Precision(device, expected)


def test_the_last_precision_counts(tmp_path):
    folder = folder_with(tmp_path, {**ON_GPU, "precision": "bfloat16"}, epoch=4)
    entries = [{**ON_GPU, "precision": "float16", "after_epoch": epoch} for epoch in (2, 4)]
    chosen = Precision(GPU, BFLOAT16)
    for listed, expected in ((entries[:1], FLOAT16), (entries[1:], BFLOAT16)):  # none finished
        folder.config.write_text(json.dumps({**folder.read_config(), "resumed": listed}))
        assert precision_to_go_on_with(folder, chosen).dtype is expected


def test_another_kind_of_device_is_said(tmp_path, caplog):
    folder = folder_with(tmp_path, {"device": "cuda:0", "precision": "float32", "threads": 99})
    say_changes(folder, numerics_now(Precision(CPU, None), compiled=False, micro_batch=8))
    (record,) = caplog.records
    assert "device cuda:0 before, cpu now" in record.getMessage()
    assert "threads" not in record.getMessage()


@pytest.mark.slow
def test_a_resumption_that_finished_no_epoch_is_forgotten(
    stopped, words, trainer, other_threads, monkeypatch
):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    words = (*words, "--output_dir", stopped, "--resume")
    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "train_epoch", stop)
        outcome = trainer(*words)
    assert outcome.code == 130
    assert f"{other_threads} now" in outcome.stderr
    assert "resumed" not in config_of(stopped)
    monkeypatch.setattr(torch, "get_num_threads", lambda: other_threads - 1)
    outcome = trainer(*words)
    assert outcome.code == 0, outcome.stderr
    assert "otherwise" not in outcome.stderr
    assert "resumed" not in config_of(stopped)


def test_what_earlier_versions_recorded_of_such_a_resumption_is_dropped(tmp_path, caplog):
    threads = torch.get_num_threads()
    folder = folder_with(tmp_path, {**ON_CPU, "threads": threads}, epoch=3)
    kept = {"after_epoch": 1, **ON_CPU, "threads": threads + 2}
    entries = [kept, {"after_epoch": 3, **ON_CPU, "threads": threads}]
    folder.config.write_text(json.dumps({**folder.read_config(), "resumed": entries}))
    now = numerics_now(Precision(CPU, None), compiled=False, micro_batch=8)
    say_changes(folder, now)
    assert f"threads {threads + 2} before, {threads} now" in caplog.text
    for _ in range(2):
        record_numerics(folder, Reached(3), now)
        entry = {"after_epoch": 3, "images": 0, **now}
        assert folder.read_config()["resumed"] == [kept, entry]


def compiling(monkeypatch: pytest.MonkeyPatch, *, works: bool) -> None:
    """torch.compile that wraps a network as it does, and fails where it does not work."""

    def fails(_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no compiler")

    def compile(function: Any, **_: object) -> Any:
        if not works:
            return fails
        if isinstance(function, torch.nn.Module):
            return torch._dynamo.OptimizedModule(function, lambda call: call)
        return function

    monkeypatch.setattr(compilation, "compiling_problem", lambda _: None)
    monkeypatch.setattr(torch, "compile", compile)


@pytest.mark.parametrize("works", [True, *slow(False)])
def test_what_was_compiled_is_recorded(works, words, trainer, tmp_path, monkeypatch):
    compiling(monkeypatch, works=works)
    words = (*words, "--epochs", 1)
    plain, compiled = tmp_path / "plain", tmp_path / "compiled"
    assert trainer(*words, "--output_dir", plain).code == 0
    outcome = trainer(*words, "--compile", "--output_dir", compiled)
    assert outcome.code == 0, outcome.stderr
    assert ", to be compiled" in outcome.stdout
    assert config_of(compiled)["effective"] == {**config_of(plain)["effective"], "compile": works}
    assert ("not on this machine: no compiler" in outcome.stderr) is not works
    assert same(compiled, plain)
    assert weights(compiled).keys() == weights(plain).keys()  # no name begins with _orig_mod


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False])
def test_compiling_another_part_of_a_training_is_said(
    first, words, trainer, tmp_path, in_nchw, monkeypatch
):
    compiling(monkeypatch, works=True)
    flags = {first: ("--compile",), not first: ()}
    words = (*words, "--output_dir", tmp_path)
    monkeypatch.setattr(architectures, "FASTER_IN_CHANNELS_LAST", {})
    stop_after_an_epoch(trainer, *words, *flags[True])
    outcome = trainer(*words, *flags[False], "--resume")
    assert outcome.code == 0, outcome.stderr
    assert f"compile {first} before, {not first} now" in outcome.stderr
    config = config_of(tmp_path)
    assert config["effective"]["compile"] is first
    assert [(one["after_epoch"], one["compile"]) for one in config["resumed"]] == [(1, not first)]
    assert same(tmp_path, in_nchw[0])  # this torch.compile changes nothing


@pytest.mark.slow
def test_a_plain_transformer_that_began_with_nothing_frozen_goes_on_so(words, trainer, tmp_path):
    words = (
        *words, "--base_models", "test_vit", "--no-pretrained", "--pretrained_path", "",
        "--freeze_stages", 3,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:  # as versions did that could not cut it
        patch.setattr(stem, "is_plain", lambda _: False)
        assert trainer(*words, "--output_dir", tmp_path / "before").code == 0
        stop_after_an_epoch(trainer, *words, "--output_dir", tmp_path / "resumed")
    resumed = trainer(*words, "--output_dir", tmp_path / "resumed", "--resume")
    assert resumed.code == 0, resumed.stderr
    assert "began with nothing frozen, and goes on so" in resumed.stdout
    assert config_of(tmp_path / "resumed")["effective"]["frozen_stages"] == 0
    assert same(tmp_path / "before", tmp_path / "resumed")

    assert trainer(*words, "--output_dir", tmp_path / "new").code == 0
    assert config_of(tmp_path / "new")["effective"]["frozen_stages"] == 3
    assert not same(tmp_path / "before", tmp_path / "new")
