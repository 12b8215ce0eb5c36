"""`--dry_run`: everything is checked and measured, and nothing is written."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from dr_ovo.training.resume import state
from tests.fixtures.slow import slow

HEADS = (
    "--ovo_mode shared",
    *slow("--ovo_mode independent", "--head softmax", "--head ordinal"),
)


@pytest.fixture
def home(tmp_path, draw_dataset) -> Path:
    """A folder to run in, with a dataset of its own."""
    draw_dataset(tmp_path / "data")
    return tmp_path


def modified(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("head", HEADS)
def test_it_says_what_is_needed_and_writes_nothing(head, home, small, trainer, contents):
    before, times = contents(home), modified(home)
    outcome = trainer(
        *small, "--dataset_path", "data", "--output_dir", "out", "--log_file", "log.txt",
        "--epochs", 30, "--batch_size", 2, *head.split(), "--dry_run", cwd=home,
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    assert (contents(home), modified(home)) == (before, times)

    output = outcome.stdout
    assert "dry run: nothing was written" in output
    memory = re.search(r"peak memory +(\d+) MiB", output)
    assert memory
    assert int(memory[1]) > 50
    assert re.search(r"time per epoch +\d+ s \([\d.]+ images/s in training\)", output)
    assert re.search(r"time of the run +at most .+ for 30 epochs", output)
    assert re.search(r"disk +\d+ MiB while training, \d+ MiB afterwards; .* free in /", output)
    assert "batch 2 x accumulation 4 = 8 images per step" in output  # the effective configuration
    assert "epoch 1/" not in output


LEFT = {  # flags -> how many of three members are still to be trained
    "--resume": 2,
    "--resume --fold 3": 1,
    "": 2,  # the training itself is refused without --resume
}


def test_all_members_of_folds_are_counted(home, small, trainer, contents):
    words = (
        *small, "--dataset_path", "data", "--output_dir", "out", "--folds", 3, "--epochs", 1,
        "--warmup_epochs", 0,
    )  # fmt: skip
    said = counted(trainer(*words, "--dry_run", cwd=home).stdout)
    assert said["members"] == said["keeping"] == 3
    assert said["after"] == pytest.approx(3 * said["each"], abs=1)
    assert trainer(*words, "--fold", 2, cwd=home).code == 0
    before = contents(home)
    sizes = {1: said["each"], 2: 2 * said["each"]}
    for flags, members in LEFT.items():
        output = trainer(*words, "--dry_run", *flags.split(), cwd=home).stdout
        assert (f"{members} members" in output) == (members > 1), flags
        (after,) = re.findall(r"(\d+) MiB afterwards", output)
        assert int(after) == pytest.approx(sizes[members], abs=1), flags
    assert contents(home) == before


def counted(output: str) -> dict[str, int]:
    """What a dry run of several members says of time and disk."""
    found = re.search(
        r"time of the run +(?P<members>\d+) members, each at most .+ for 1 epochs: .+ together"
        r"[^$]*?(?P<during>\d+) MiB while training, (?P<after>\d+) MiB afterwards"
        r"[^$]*?for (?P<keeping>\d+) members, of which each keeps (?P<each>\d+) MiB",
        output,
    )
    assert found, output
    return {name: int(number) for name, number in found.groupdict().items()}


def test_there_is_no_room_for_all_members(home, small, trainer, monkeypatch):
    """One would fit."""
    words = (*small, "--dataset_path", "data", "--output_dir", "out", "--dry_run")
    (alone,) = re.findall(r"(\d+) MiB while training", trainer(*words, cwd=home).stdout)
    usage = shutil.disk_usage(home)._replace(free=(int(alone) + 1) << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert trainer(*words, cwd=home).code == 0
    outcome = trainer(*words, "--folds", 3, cwd=home)
    assert outcome.code == 4
    assert "not enough disk space" in outcome.stderr


@pytest.mark.slow
def test_disk_is_foretold_as_it_is_then_used(home, small, trainer, monkeypatch):
    words = (*small, "--dataset_path", "data", "--output_dir", "out", "--epochs", 3)
    words = (*words, "--ovo_mode", "independent", "--batch_size", 1)  # several windows an epoch
    words = (*words, "--save_every", "0.000001")
    output = trainer(*words, "--dry_run", cwd=home).stdout
    predicted = re.search(r"disk +(\d+) MiB while training, (\d+) MiB afterwards", output)
    assert predicted
    save, sizes = state.save_torch, []

    def save_and_measure(path: Path, content: dict[str, Any]) -> str:
        sha256 = save(path, content)
        sizes.append(used(home / "out"))
        return sha256

    monkeypatch.setattr(state, "save_torch", save_and_measure)
    assert trainer(*words, cwd=home).code == 0
    assert int(predicted[1]) == pytest.approx(max(sizes), rel=0.1)
    assert int(predicted[2]) == pytest.approx(used(home / "out"), rel=0.1)


def used(folder: Path) -> float:
    """MiB below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def test_a_disk_that_is_too_small_is_said(home, small, trainer, monkeypatch):
    usage = shutil.disk_usage(home)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    outcome = trainer(
        *small, "--dataset_path", "data", "--output_dir", "out", "--dry_run", cwd=home
    )
    assert outcome.code == 4
    assert "not enough disk space" in outcome.stderr


def test_it_finds_what_training_would_stumble_over(home, small, trainer):
    (home / "data" / "val" / "2" / "val-2-0.jpeg").write_bytes(b"")
    outcome = trainer(
        *small, "--dataset_path", "data", "--output_dir", "out", "--dry_run", cwd=home
    )
    assert outcome.code == 2
    assert "val-2-0.jpeg" in outcome.stderr
    assert not (home / "out").exists()


@pytest.mark.slow
def test_a_folder_that_holds_training_stays_as_it_is(home, small, trainer, contents):
    words = (*small, "--dataset_path", "data", "--output_dir", "out", "--epochs", 1)
    assert trainer(*words, cwd=home).code == 0
    before = contents(home)
    assert trainer(*words, "--dry_run", cwd=home).code == 0
    assert trainer(*words, "--dry_run", "--resume", cwd=home).code == 0
    assert contents(home) == before
