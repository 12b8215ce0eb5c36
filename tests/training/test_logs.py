"""The log of a run: its opening lines, one line per epoch, its last line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dr_ovo import logs
from dr_ovo.logs import Progress, duration
from dr_ovo.settings.train_config import TrainConfig

STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
FIELDS = TrainConfig.__dataclass_fields__


@pytest.fixture(scope="module")
def home(small, trainer, draw_dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that took its settings from every source; its log is `log.txt`."""
    folder = tmp_path_factory.mktemp("home")
    draw_dataset(folder / "data")
    (folder / ".env").write_text("DR_OVO_DATASET_PATH=data\nDR_OVO_OUTPUT_ROOT=results\n")
    (folder / "settings.toml").write_text("epochs = 2\nseed = 5\n")
    outcome = trainer(
        *small, "--config", "settings.toml", "--seed", 6, "--log_file", "log.txt", cwd=folder
    )
    assert outcome.code == 0, outcome.stderr
    (folder / "screen.txt").write_text(outcome.stdout)
    return folder


@pytest.fixture(scope="module")
def lines(home) -> list[str]:
    """The lines of the log, without their timestamps."""
    text = (home / "log.txt").read_text()
    assert all(STAMP.match(line) for line in text.splitlines())
    return [STAMP.sub("", line, count=1) for line in text.splitlines()]


def settings(lines: list[str]) -> dict[str, tuple[str, str]]:
    """Value and source of each setting at the beginning of the log."""
    found = {}
    for line in lines:
        match = re.fullmatch(r"  (\w+) +(.*?) +(command line|file \S+|\.env|default)", line)
        if match:
            found[match[1]] = (match[2], match[3])
    return found


def test_the_log_begins_with_every_setting_and_its_source(lines):
    found = settings(lines)
    assert found.keys() == FIELDS.keys()
    assert found["seed"] == ("6", "command line")
    assert found["epochs"] == ("2", "file settings.toml")
    assert found["dataset_path"] == ("data", ".env")
    assert found["output_dir"] == ("results/test_efficientnet_5class_results", "default")
    assert found["learning_rate"] == ("5e-05", "default")
    assert found["class_names"] == ("0 1 2 3 4", "default")


def test_then_comes_what_follows_from_them(lines):
    last_setting = max(i for i, line in enumerate(lines) if line.startswith("  "))
    first_epoch = next(i for i, line in enumerate(lines) if line.startswith("epoch "))
    between = "\n".join(lines[last_setting + 1 : first_epoch])
    assert "train 15 images  (0: 3  1: 3  2: 3  3: 3  4: 3)" in between
    assert "test  15 images" in between
    assert "batch 2 x accumulation 4 = 8 images per step" in between
    assert "branch ovo: 15 images and 2 steps per epoch, 1 warm-up steps" in between
    assert re.search(r"parameters: [\d,]+ trained, [\d,]+ frozen \(2 stages\)", between)
    assert "cpu, float32, NCHW, 1 thread, gradient checkpointing off" in between
    assert "warm-up of 10 epochs does not fit into 2" in between
    assert "val has fewer than 200 images" in between


def test_an_epoch_is_one_clean_line(lines):
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert [line.partition("  ")[0] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    for line in epochs:
        assert re.search(r"loss \d+\.\d+  val loss \d+\.\d+  val accuracy \d\.\d{3}", line)
        assert re.search(r"AUC \d\.\d{3}  kappa -?\d\.\d{3}  lr \d\.\de-\d\d", line)
        assert re.search(r"images/s\)  at most .* to go", line)
    assert "\r" not in "".join(lines)
    assert "\x1b" not in "".join(lines)
    assert epochs[-1].endswith("  ends at its last epoch, 2")
    assert "branch ovo: ended at its last epoch, 2" in lines


def test_the_screen_shows_the_same(home, lines):
    assert (home / "screen.txt").read_text().splitlines() == lines


def test_the_last_line_says_where_the_results_are(lines):
    assert lines[-1] == "done: results/test_efficientnet_5class_results"


@pytest.mark.slow
def test_a_log_is_appended_to(small, tiny_dataset, trainer, tmp_path):
    log = tmp_path / "deep" / "log.txt"
    words = (*small, "--dataset_path", tiny_dataset, "--epochs", 1, "--log_file", log)
    for name in ("one", "two"):
        assert trainer(*words, "--output_dir", tmp_path / name).code == 0
    text = log.read_text()
    assert text.count("epoch 1/1") == 2
    assert not (tmp_path / "one" / "train.log").exists()  # only the one that was given


@pytest.mark.slow
def test_without_a_log_file_each_folder_has_its_own(small, tiny_dataset, trainer, tmp_path):
    words = ("--dataset_path", tiny_dataset, "--epochs", 1, "--output_dir", tmp_path)
    plain = [word for word in small if word not in small[2:4]]
    models = ("--base_models", "test_efficientnet", "test_resnet", "--no-pretrained")
    assert trainer(*plain, *words, *models).code == 0
    for name in ("test_efficientnet", "test_resnet"):
        text = (tmp_path / f"{name}_5class_results" / "train.log").read_text()
        assert f"  base_models                  {name} " in text
        assert text.count("done: ") == 1


def test_an_unforeseen_error_is_a_line_on_the_screen_and_a_traceback_in_the_log(
    small, tiny_dataset, trainer, tmp_path, monkeypatch
):
    def fail(*_: object) -> None:
        raise KeyError("nobody foresaw this")

    monkeypatch.setattr("dr_ovo.training.writing.run_writer.RunWriter.keep_epoch", fail)
    words = (*small, "--dataset_path", tiny_dataset, "--epochs", 1, "--output_dir", tmp_path)
    outcome = trainer(*words)
    assert outcome.code == 70
    assert len(outcome.stderr.strip().splitlines()) == 1
    assert "nobody foresaw this" in outcome.stderr
    assert "Traceback" in (tmp_path / "train.log").read_text()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0 s"), (89, "89 s"), (120, "2 min"), (5390, "1 h 30 min"), (12000, "3 h 20 min")],
)
def test_durations(seconds, shown):
    assert duration(seconds) == shown


def test_a_minute_in_which_nothing_was_done(monkeypatch, caplog):
    """As in a process whose classifiers have ended, while others train."""
    monkeypatch.setattr(logs, "SECONDS_BETWEEN_LINES", 0.0)
    progress = Progress("epoch 2/9", total=40)
    with caplog.at_level("INFO", logger="dr_ovo"):
        progress.update(0, lambda: "loss -")
    progress.close()
    assert "epoch 2/9: 0/40 images" in caplog.text
