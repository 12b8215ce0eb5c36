"""Which files were audited and trained on is told by their contents, not by their dates."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from dr_ovo.audit.measurement_cache import FOLDER
from dr_ovo.copies.descriptor_store import name_in, open_store, stamp_of
from tests.fixtures.sealed import seal_again
from tests.fixtures.slow import slow
from tests.fixtures.trainings import stop_after_each_epoch


@pytest.fixture
def data(tiny_dataset, tmp_path) -> Path:
    """The drawn dataset, without a cache."""
    folder = shutil.copytree(tiny_dataset, tmp_path / "data")
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    return folder


@pytest.fixture
def words(data, small, tmp_path) -> tuple:
    given = ("--dataset_path", data, "--output_dir", tmp_path / "out", "--epochs", "2")
    return (*small, *given)


@pytest.fixture
def stopped(words, trainer, tmp_path, monkeypatch) -> Path:
    """The folder of a training that was stopped after its first epoch."""
    with monkeypatch.context() as patch:
        stop_after_each_epoch(patch)
        assert trainer(*words).code == 130
    return tmp_path / "out"


@pytest.fixture
def no_audit(monkeypatch) -> None:
    """An audit fails from now on."""

    def refuse(*_arguments: object, **_settings: object) -> None:
        raise AssertionError("audited again")

    monkeypatch.setattr("dr_ovo.training.data.audit_gate.audit", refuse)


def replace(path: Path, *, in_place: bool = False) -> None:
    """Another picture under the same name, of the same size and with the same date; the same file
    to the file system, if `in_place`."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    if not in_place:
        path.unlink()
    path.write_bytes(bytes(content))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def first(data: Path, split: str) -> Path:
    return min((data / split / "1").iterdir())


def touch_all(data: Path) -> None:
    for path in data.rglob("*.jpeg"):
        os.utime(path, (1, 1))


def evaluated(trainer, data: Path, folder: Path) -> bool | None:
    words = ("--mode", "evaluate", "--dataset_path", data, "--output_dir", folder)
    outcome = trainer(*words, "--device", "cpu", "--num_workers", 0)
    assert outcome.code == 0
    audited = json.loads((folder / "evaluation.json").read_text())["audited"]
    assert ("training audited" in outcome.stderr) == (audited is False)
    return audited


def as_an_earlier_version(folder: Path, data: Path) -> None:
    """config.json as it was when it held one hash, over names, sizes and dates."""
    config = json.loads((folder / "config.json").read_text())
    lines = ""
    for split in ("train", "val", "test"):
        for path in sorted((data / split).rglob("*.jpeg")):
            status = path.stat()
            name = path.relative_to(data).as_posix()
            lines += f"{name}\t{status.st_size}\t{status.st_mtime_ns}\n"
    del config["audit"]["splits"]
    config["audit"]["files"] = hashlib.sha256(lines.encode()).hexdigest()
    (folder / "config.json").write_text(json.dumps(config))
    seal_again(folder)


@pytest.mark.slow
def test_a_copy_of_the_dataset_was_audited_and_a_replaced_picture_was_not(
    stopped, words, trainer, data, tmp_path
):
    assert trainer(*words, "--resume").code == 0
    copy = tmp_path / "copy"
    shutil.copytree(data, copy, ignore=shutil.ignore_patterns(FOLDER))  # with new change times
    touch_all(copy)
    assert evaluated(trainer, copy, stopped) is True
    assert evaluated(trainer, data, stopped) is True
    for split in ("test", "train"):
        replaced = shutil.copytree(copy, tmp_path / split)
        replace(first(replaced, split))
        assert evaluated(trainer, replaced, stopped) is False


@pytest.mark.parametrize("finished", [False, *slow(True)])
@pytest.mark.parametrize("flags", [(), *slow((("--dry_run",),))])
def test_replaced_pictures_of_train_stop_a_resumed_training(
    finished, flags, stopped, words, trainer, data, no_audit
):
    if finished:
        assert trainer(*words, "--resume").code == 0
    replace(first(data, "train"))
    outcome = trainer(*words, "--resume", *flags)
    assert outcome.code == 2
    assert "other pictures than --dataset_path now has in train: some were" in outcome.stderr


@pytest.mark.parametrize("split", ["train", *slow("val")])
def test_a_picture_written_over_is_found(split, stopped, words, trainer, data, no_audit):
    before = first(data, split).stat().st_ino
    replace(first(data, split), in_place=True)
    assert first(data, split).stat().st_ino == before
    outcome = trainer(*words, "--resume")
    assert outcome.code == 2
    assert f"now has in {split}: some were" in outcome.stderr


def test_replaced_pictures_of_val_stop_it_too_and_restored_ones_do_not(
    stopped, words, trainer, data, no_audit
):
    before = first(data, "val").read_bytes()
    replace(first(data, "val"))
    outcome = trainer(*words, "--resume")
    assert outcome.code == 2
    assert "now has in val: some were" in outcome.stderr
    first(data, "val").write_bytes(before)
    assert trainer(*words, "--resume").code == 0


@pytest.mark.slow
def test_replaced_pictures_of_test_are_audited(stopped, words, trainer, data):
    first(data, "test").write_bytes(first(data, "train").read_bytes())
    outcome = trainer(*words, "--resume")
    assert outcome.code == 3
    assert "exact_copy" in outcome.stderr


def test_a_touched_or_moved_dataset_is_not_audited_again(
    stopped, words, trainer, data, tmp_path, no_audit
):
    touch_all(data)
    moved = data.rename(tmp_path / "moved")
    shutil.rmtree(moved / FOLDER)
    outcome = trainer(*words, "--resume", "--dataset_path", moved)
    assert outcome.code == 0


@pytest.mark.slow
def test_a_dry_run_of_a_resumed_training_writes_nothing(stopped, words, trainer, data):
    shutil.rmtree(data / FOLDER)
    assert trainer(*words, "--resume", "--dry_run").code == 0
    assert not (data / FOLDER).exists()


@pytest.mark.slow
def test_folders_of_earlier_versions_are_understood(
    stopped, words, trainer, data, tmp_path, no_audit
):
    as_an_earlier_version(stopped, data)
    assert trainer(*words, "--resume").code == 0
    assert evaluated(trainer, data, stopped) is True
    touched = shutil.copytree(data, tmp_path / "touched")
    touch_all(touched)
    assert evaluated(trainer, touched, stopped) is False


@pytest.mark.slow
def test_a_forged_cache_starts_no_training(data, small, trainer, tmp_path, monkeypatch):
    """As made by somebody else, before the leak was planted under the name of another picture."""
    shutil.copyfile(first(data, "train"), first(data, "test"))
    words = (*small, "--dataset_path", data, "--output_dir", tmp_path / "out", "--epochs", "1")
    with monkeypatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path / "forger"))
        assert trainer(*words).code == 3
        cache = data / FOLDER / "descriptors.sqlite"
        leak = first(data, "test")
        with open_store(cache) as store:
            stamp = stamp_of(leak)
            assert stamp is not None
            sha256 = hashlib.sha256(first(data, "val").read_bytes()).hexdigest()
            ((_, *row),) = store.pictures([sha256])
            verdict = store.verdicts([sha256])[sha256]
            files = [(name_in(cache, leak), *stamp, "0" * 64)]
            store.add([("0" * 64, *row)], files, {"0" * 64: verdict})
        assert trainer(*words).code == 0  # on the forger's own machine
        shutil.rmtree(tmp_path / "out")
    assert trainer(*words).code == 3
