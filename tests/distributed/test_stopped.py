"""Runs of several ranks that are stopped, killed or fail, and go on with any number of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from dr_ovo.locks.folders import TRAINING, only_writer
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.training.writing.run_writer import RunWriter
from tests.distributed.test_two_ranks import history, weights
from tests.fixtures.slow import slow

ROOT = Path(__file__).resolve().parents[2]
EPOCHS, LONG = 5, 40
WORDS = (
    *("--num_classes", 3),
    *("--epochs", EPOCHS, "--learning_rate", "1e-3", "--warmup_epochs", 1, "--batch_size", 2),
    *("--gradient_accumulation_steps", 2, "--keep_epoch", "last"),
)


@pytest.fixture(scope="module")
def words(small, three_grades) -> tuple[object, ...]:
    return (*small, *WORDS, "--dataset_path", three_grades)


def stopped_by_two(words: tuple[object, ...], start_ranks) -> str:
    """Goes on in two ranks, which get SIGTERM in the third epoch from there; what they print."""
    before = ResultsFolder(Path(str(words[-1]))).finished_epochs()
    started = start_ranks(*words, "--resume", held=before + 3)
    started.wait_for(f"epoch {before + 2}/{EPOCHS}")
    started.send(signal.SIGTERM)
    assert started.wait() == [143, 143], started.output
    return started.output


@pytest.mark.parametrize(
    "mode", [("shared",), *slow((("independent", "--ovo_mode", "independent"),))]
)
def test_one_rank_then_two_then_one(mode, words, trainer, start_ranks, tmp_path, monkeypatch):
    name, *flags = mode
    never_stopped, folder = tmp_path / "never", tmp_path / "stopped"
    assert trainer(*words, *flags, "--output_dir", never_stopped).code == 0
    own = (*words, *flags, "--output_dir", folder)
    keep = RunWriter.keep_epoch

    def stop(writer: RunWriter, epoch: int, results: list) -> None:
        keep(writer, epoch, results)
        if epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "keep_epoch", stop)
        assert trainer(*own).code == 130
    output = stopped_by_two(own, start_ranks)
    assert "Resume with" in output
    assert ("ranks 1 before, 2 now" in output) == (name == "shared")
    assert ResultsFolder(folder).finished_epochs() == 3
    again = trainer(*own, "--resume")
    assert again.code == 0, again.stderr
    one, other = weights(never_stopped), weights(folder)
    if name == "independent":
        assert all(torch.equal(one[key], other[key]) for key in one)
        assert history(never_stopped) == history(folder)
    for key, value in one.items():
        torch.testing.assert_close(value, other[key], rtol=0.05, atol=1e-3)


@pytest.mark.slow
def test_a_killed_rank_leaves_the_state(words, trainer, start_ranks, tmp_path):
    own = (*words, "--output_dir", tmp_path)
    started = start_ranks(*own, held=[0, 4])
    started.wait_for(f"epoch 3/{EPOCHS}")
    started.ranks[1].send_signal(signal.SIGKILL)
    assert started.wait() in ([4, -signal.SIGKILL], [143, -signal.SIGKILL])
    assert ResultsFolder(tmp_path).finished_epochs() >= 2
    log = (tmp_path / "train.log").read_text()
    assert "ended without a word" in log or "Stopped" in log
    assert trainer(*own, "--resume").code == 0


def test_the_error_of_one_rank_is_said_by_the_first(words, on_ranks, tmp_path):
    wrong = ("--device", ["cpu", "toaster"])
    output = on_ranks(*words, *wrong, "--output_dir", tmp_path, code=2)
    assert "error: rank 1 on " in output
    assert output.count("'toaster' is not a device") == 2  # by the rank itself, and by the first
    assert not (tmp_path / "models").exists()


@pytest.mark.slow
def test_the_error_of_the_first_rank_is_said_once(words, on_ranks, tmp_path):
    wrong = ("--dataset_path", tmp_path / "gone", "--output_dir", tmp_path / "results")
    output = on_ranks(*words, *wrong, code=2)
    assert output.count("gone does not exist") == 1
    assert "unexpected" not in output


@pytest.mark.slow
def test_too_many_ranks_for_the_branches(words, on_ranks, tmp_path):
    flags = ("--ovo_mode", "independent", "--output_dir", tmp_path)
    output = on_ranks(*words, *flags, ranks=4, code=2)
    assert "4 processes for 3 branches" in output


@pytest.mark.slow
def test_live_batchnorm_is_refused(small, three_grades, on_ranks, tmp_path):
    flags = ("--pretrained_path", "", "--no-pretrained", "--num_classes", 3)
    words = (*small, *flags, "--dataset_path", three_grades, "--output_dir", tmp_path)
    output = on_ranks(*words, code=2)
    assert "live BatchNorm" in output
    assert "./run_all.sh" in output


@pytest.mark.slow
def test_torchrun_passes_a_stop_on(words, tmp_path):
    """The launcher itself: what it is sent reaches the ranks, and their last words the log."""
    command = (
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *(ROOT / "ensemble_5class_trainer.py", *words, "--epochs", LONG),
        *("--output_dir", tmp_path / "results"),
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with (tmp_path / "output").open("w") as output:
        process = subprocess.Popen(
            [*map(str, command)],
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    log = tmp_path / "results" / "train.log"
    while not (log.is_file() and f"epoch 3/{LONG}" in log.read_text()):
        assert process.poll() is None, (tmp_path / "output").read_text()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) != 0
    assert "Resume with" in log.read_text()
    assert ResultsFolder(tmp_path / "results").finished_epochs() >= 3


def test_a_folder_in_which_another_process_trains(words, on_ranks, tmp_path):
    with only_writer(tmp_path, TRAINING):
        output = on_ranks(*words, "--output_dir", tmp_path, code=2)
    assert f"{tmp_path}: process {os.getpid()} on " in output
    assert "trains into it, since 20" in output
