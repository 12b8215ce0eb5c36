"""Two states are kept: what a damaged one, a wrong name or a lost progress.json leaves possible."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import torch

from dr_ovo.results.folder import ResultsFolder
from dr_ovo.safe_files.torch_loading import damage_of
from dr_ovo.safe_files.torch_saving import save_torch
from dr_ovo.training.epochs.interruption import Interrupted, WatchedBatches
from dr_ovo.training.resume.state import kept_state
from dr_ovo.training.writing.run_writer import RunWriter
from tests.fixtures.sealed import edit, seal_again
from tests.fixtures.slow import slow

EVERY_WINDOW = ("--save_every", "0.000001")


@pytest.fixture(scope="module")
def words(small, three_grades) -> tuple[object, ...]:
    return (
        *small, "--dataset_path", three_grades, "--num_classes", 3, "--allow_leaks", "--epochs", 2,
        "--batch_size", 2, "--gradient_accumulation_steps", 2, "--learning_rate", "1e-2",
        "--warmup_epochs", 0, "--train_sample", 0, *EVERY_WINDOW,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(words, trainer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "out"
    assert trainer(*words, "--output_dir", folder).code == 0
    return folder


@pytest.fixture(scope="module")
def stopped_once(words, trainer, tmp_path_factory) -> Path:
    """A training stopped after the second window of its second epoch."""
    folder = tmp_path_factory.mktemp("stopped") / "out"
    keep, kept = RunWriter.keep_within, []

    def keep_and_stop(writer: RunWriter, epoch: int, seconds: float) -> None:
        keep(writer, epoch, seconds)
        kept.append(epoch)
        if kept.count(2) == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunWriter, "keep_within", keep_and_stop)
        assert trainer(*words, "--output_dir", folder).code == 130
    return folder


@pytest.fixture
def stopped(stopped_once, tmp_path) -> Path:
    return shutil.copytree(stopped_once, tmp_path / "out")


def newest(folder: Path) -> Path:
    (branch,) = ResultsFolder(folder).read_progress()["branches"].values()
    return folder / "resume" / branch["file"]


def flip(path: Path, place: float) -> None:
    """Flips one bit of the tensors in a file, `place` of the way through it."""
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)


def assert_same(one: Path, other: Path) -> None:
    (weights, others) = (
        torch.load(next(folder.glob("models/*.pth")), weights_only=True)["state_dict"]
        for folder in (one, other)
    )
    assert all(torch.equal(others[name], value) for name, value in weights.items())


def test_three_are_kept(stopped):
    names = sorted(path.name for path in (stopped / "resume").iterdir())
    assert names == [
        "ovo.epoch1.pth", "ovo.epoch2.images4.pth", "ovo.epoch2.images8.pth", "previous.json",
        "progress.json", "stem.pth", "validated.json",
    ]  # fmt: skip
    assert newest(stopped).name == "ovo.epoch2.images8.pth"
    reached = kept_state(ResultsFolder(stopped))
    assert reached.said == "inside epoch 2"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: flip(path, 0.5), id="bit"),
        pytest.param(
            lambda path: path.write_bytes(path.read_bytes()[:1000]),
            id="cut",
            marks=pytest.mark.slow,
        ),
        pytest.param(lambda path: path.unlink(), id="gone", marks=pytest.mark.slow),
        pytest.param(lambda path: path.write_bytes(b""), id="empty", marks=pytest.mark.slow),
    ],
)
def test_the_older_serves_where_the_newer_is_damaged(damage, stopped, whole, words, trainer):
    damage(newest(stopped))
    outcome = trainer(*words, "--output_dir", stopped, "--resume")
    assert outcome.code == 0, outcome.stderr
    assert "ovo.epoch2.images8.pth is damaged" in outcome.stderr
    assert "goes on from an older state, inside epoch 2" in outcome.stderr
    assert_same(whole, stopped)


@pytest.mark.parametrize("content", ["{", *slow("", "[]", '{"epoch": true, "finished": false}')])
def test_the_older_serves_where_progress_json_is_damaged(content, stopped, whole, words, trainer):
    (stopped / "resume" / "progress.json").write_text(content)
    outcome = trainer(*words, "--output_dir", stopped, "--resume")
    assert outcome.code == 0, outcome.stderr
    assert "progress.json" in outcome.stderr
    assert_same(whole, stopped)


def test_both_damaged_is_said_and_changes_nothing(stopped, words, trainer, contents):
    for path in (stopped / "resume").glob("ovo.*.pth"):
        flip(path, 0.5)
    before = contents(stopped)
    outcome = trainer(*words, "--output_dir", stopped, "--resume")
    assert outcome.code == 2
    assert f"{newest(stopped)} is damaged: its sha256 is not" in outcome.stderr
    assert "No other state is whole" in outcome.stderr
    assert contents(stopped) == before


def test_a_damaged_stem_is_said(stopped, words, trainer):
    flip(stopped / "resume" / "stem.pth", 0.5)
    outcome = trainer(*words, "--output_dir", stopped, "--resume")
    assert outcome.code == 2
    assert "stem.pth is damaged" in outcome.stderr


@pytest.mark.parametrize("name", ["../../elsewhere.pth", "/tmp/elsewhere.pth", "..", ""])
def test_a_state_outside_its_folder_is_not_read(name, stopped, words, trainer, tmp_path):
    save_torch(tmp_path / "elsewhere.pth", torch.load(newest(stopped), weights_only=True))
    for other in ("previous.json", "validated.json"):
        (stopped / "resume" / other).unlink()
    path = stopped / "resume" / "progress.json"
    progress = json.loads(path.read_text())
    progress["branches"]["ovo"]["file"] = name
    path.write_text(json.dumps(progress))
    outcome = trainer(*words, "--output_dir", stopped, "--resume")
    assert outcome.code == 2
    assert "progress.json is damaged" in outcome.stderr


def test_every_flipped_bit_of_a_tensor_is_seen(tmp_path):
    content = {"one": torch.rand(1000), "two": torch.rand(50, 50)}
    chance = random.Random(0)
    for number in range(12):
        path = tmp_path / f"{number}.pth"
        save_torch(path, content)
        assert damage_of(path) == ""
        raw = path.read_bytes()
        tensor = content[chance.choice(["one", "two"])].numpy().tobytes()
        start = raw.index(tensor)
        flip(path, (start + chance.randrange(len(tensor)) + 0.5) / len(raw))
        assert "checksum" in damage_of(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"epoch": 0},
        {"epoch": 0, "finished": False},
        {"epoch": 0, "finished": False, "branches": {}},
    ],
)
@pytest.mark.parametrize("extra", [(), ("--resume",)])
def test_a_finished_folder_is_not_begun_anew(
    changed, extra, whole, words, trainer, tmp_path, contents
):
    folder = shutil.copytree(whole, tmp_path / "out")
    edit(folder / "resume" / "progress.json", lambda content: content.update(changed))
    before = contents(folder)
    outcome = trainer(*words, "--seed", 7, "--output_dir", folder, *extra)
    assert outcome.code == 2
    assert "progress.json" in outcome.stderr
    assert contents(folder) == before


@pytest.mark.slow
def test_other_versions_are_said_and_another_preparation_is_refused(stopped, words, trainer):
    edit(stopped / "config.json", lambda content: content["versions"].update(timm="0.9.0"))
    path = stopped / "config.json"
    before = json.loads(path.read_text())["preprocessing_hash"]
    edit(path, lambda content: content.update(preprocessing_hash="another"))
    seal_again(stopped)
    refused = trainer(*words, "--output_dir", stopped, "--resume")
    assert refused.code == 2
    assert f"preprocessing_hash another there, {before} now" in refused.stderr
    edit(path, lambda content: content.update(preprocessing_hash=before))
    seal_again(stopped)
    outcome = trainer(*words, "--output_dir", stopped, "--resume")
    assert outcome.code == 0, outcome.stderr
    assert "timm 0.9.0 before" in outcome.stderr


def test_stopping_again_at_once_keeps_both(stopped, words, trainer, monkeypatch):
    names = {path.name for path in (stopped / "resume").iterdir()}

    def interrupt(batches: WatchedBatches, *_: object) -> None:
        raise Interrupted

    monkeypatch.setattr(WatchedBatches, "__call__", interrupt)
    assert trainer(*words, "--output_dir", stopped, "--resume").code == 0  # no signal came
    assert {path.name for path in (stopped / "resume").iterdir()} == names
    progress, previous = (
        json.loads((stopped / "resume" / name).read_text())["branches"]["ovo"]["file"]
        for name in ("progress.json", "previous.json")
    )
    assert progress != previous


@pytest.mark.slow
def test_checkpointing_goes_on_in_the_states(stopped, whole, words, trainer, monkeypatch):
    progress = stopped / "resume" / "progress.json"
    edit(progress, lambda content: content.update(grad_checkpointing=True))
    kept = []
    keep = RunWriter.keep_within

    def note(writer: RunWriter, epoch: int, seconds: float) -> None:
        kept.append(writer.run.model.network.checkpointing)
        keep(writer, epoch, seconds)

    monkeypatch.setattr(RunWriter, "keep_within", note)
    assert trainer(*words, "--output_dir", stopped, "--resume").code == 0
    assert kept
    assert all(kept)
    assert_same(whole, stopped)


def test_what_killed_processes_left_is_deleted(whole, words, trainer, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "out")
    left = [folder / "resume" / name for name in ("ovo.epoch1.pth", "ovo.epoch2.images4.pth.part")]
    for path in left:
        path.write_bytes(b"left")
    assert trainer(*words, "--output_dir", folder, "--resume").code == 0
    assert [path.name for path in (folder / "resume").iterdir()] == ["progress.json"]


@pytest.mark.parametrize("extra", [(), ("--resume",)])
def test_a_missing_progress_json(extra, stopped, whole, words, trainer, contents):
    (stopped / "resume" / "progress.json").unlink()
    before = contents(stopped)
    outcome = trainer(*words, "--output_dir", stopped, *extra)
    if extra:
        assert outcome.code == 0, outcome.stderr
        assert "progress.json is missing" in outcome.stderr
        assert_same(whole, stopped)
    else:
        assert outcome.code == 2
        assert contents(stopped) == before


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 99},
        *slow(
            {"within": {}},
            {"branches": {"ovo": 5}},
            {"epoch": -1},
            {"within": 5},
            {"within": {"images": 4, "seconds": "x"}},
            {"branches": {"ovo": {}}},
            {"branches": {"ovo": {"file": 5, "ended": None}}},
        ),
    ],
    ids=str,
)
def test_values_that_can_not_be(change, stopped, whole, words, trainer):
    edit(stopped / "resume" / "progress.json", lambda content: content.update(change))
    outcome = trainer(*words, "--output_dir", stopped, "--resume")
    assert outcome.code == 0, outcome.stderr
    assert "progress.json is damaged" in outcome.stderr
    assert "goes on from an older state" in outcome.stderr
    assert_same(whole, stopped)
