"""Trainings on datasets with damaged, replaced, oversized and foreign files among photographs."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from dr_ovo.photographs import content_check
from tests.fixtures import decoders
from tests.fixtures.sealed import seal_again

PHOTOGRAPH = "train/2/train-2-1.jpeg"


def zero(path: Path, count: int = 500) -> None:
    """Overwrites `count` bytes in the middle of a file with zeros."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + count] = bytes(count)
    path.write_bytes(data)


@pytest.fixture
def data(tmp_path, draw_dataset) -> Path:
    return draw_dataset(tmp_path / "data", grades=3, images=4)


@pytest.fixture
def train(small, trainer, data, tmp_path):
    def call(*words: object, epochs: int = 1):
        return trainer(
            *small, "--num_classes", 3, "--dataset_path", data, "--output_dir", tmp_path / "out",
            "--epochs", epochs, *words,
        )  # fmt: skip

    return call


def enlarge(path: Path) -> None:
    """Makes a drawn picture of more bytes, so that there is a middle to damage."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    cv2.imwrite(str(path), cv2.GaussianBlur(noise, (0, 0), 3))


def test_damage_inside_a_file_stops_a_new_training(train, data):
    enlarge(data / PHOTOGRAPH)
    zero(data / PHOTOGRAPH)
    outcome = train()
    assert outcome.code == 2
    assert f"{PHOTOGRAPH}: is damaged inside" in outcome.stderr
    assert "--skip_damaged" in outcome.stderr


@pytest.mark.slow
def test_a_training_that_began_with_it_goes_on_and_names_it(
    train, data, tmp_path, monkeypatch, contents
):
    enlarge(data / PHOTOGRAPH)
    zero(data / PHOTOGRAPH)
    judge = content_check._remark
    monkeypatch.setattr(content_check, "_remark", lambda _data, probe: "")  # as version 0.1.0
    whole = train(epochs=2)
    assert whole.code == 0, whole.stderr
    expected = contents(tmp_path / "out" / "models")
    shutil.rmtree(tmp_path / "out")

    def stop(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dr_ovo.training.epochs.loop.TrainingLoop._warn_of_changes", _after(1, stop))
        assert train(epochs=2).code == 130
    shutil.rmtree(data / ".audit")
    monkeypatch.setattr(content_check, "_remark", judge)
    outcome = train("--resume", epochs=2)
    assert outcome.code == 0, outcome.stderr
    assert "began with 1 damaged files, and goes on with them" in outcome.stderr
    assert PHOTOGRAPH in outcome.stderr
    found = contents(tmp_path / "out" / "models")
    assert {k: v for k, v in found.items() if k.endswith(".pth")} == {
        k: v for k, v in expected.items() if k.endswith(".pth")
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "cache"),
    [
        (decoders.crashing_decoders, "on"),  # found by the check for inner damage,
        (decoders.crashing_opencv, "on"),  # by the audit and as the cache is filled,
        (decoders.crashing_opencv, "off"),  # by the audit alone
    ],
    ids=["judged", "audited", "not cached"],
)
def test_a_file_that_crashes_the_decoder_is_found_before_the_training(
    train, data, tmp_path, in_processes, start, cache
):
    decoders.mark(data / PHOTOGRAPH)
    in_processes(start)
    words = ("--num_workers", 2, "--cache", cache)
    outcome = train(*words)
    assert outcome.code == 2
    assert f"{PHOTOGRAPH}: crashes the decoder" in outcome.stderr
    assert not (tmp_path / "out" / "config.json").exists()
    outcome = train(*words, "--skip_damaged")
    assert outcome.code == 0, outcome.stderr
    (skipped,) = json.loads((tmp_path / "out" / "config.json").read_text())["skipped_images"]
    assert skipped["reason"] == "crashes the decoder"
    assert skipped["file"].endswith(PHOTOGRAPH)


def _after(calls: int, act):
    """A method that does nothing for `calls` calls and then acts."""
    seen = []

    def method(*_args: object) -> None:
        seen.append(1)
        if len(seen) > calls:
            act()

    return method


@pytest.mark.slow
def test_new_formats_do_not_stop_a_training_that_left_them_out(train, data, tmp_path):
    picture = cv2.imread(str(data / PHOTOGRAPH))
    cv2.imwrite(str(data / "train/2/extra.bmp"), picture[::-1])
    assert train("--skip_damaged", epochs=1).code == 0
    config = tmp_path / "out" / "config.json"
    content = json.loads(config.read_text())
    assert content["counts"]["train"]["2"] == 5
    # As if it had been left out when the training began.
    (data / "train/2/extra.bmp").rename(tmp_path / "extra.bmp")
    shutil.rmtree(tmp_path / "out")
    assert train("--skip_damaged", epochs=1).code == 0
    content = json.loads(config.read_text())
    content["skipped_images"] = [{"file": "elsewhere/train/2/extra.bmp", "reason": "is no image"}]
    config.write_text(json.dumps(content))
    seal_again(tmp_path / "out")
    (tmp_path / "extra.bmp").rename(data / "train/2/extra.bmp")
    outcome = train("--skip_damaged", "--resume", epochs=1)
    assert outcome.code == 0, outcome.stderr


def test_files_of_other_formats_are_counted_in_the_last_lines(train, data):
    (data / "train" / "labels.csv").write_text("image,level\n")
    for name in ("val/0/scan.dcm", "val/0/a.heic", "val/1/b.heic"):
        (data / name).write_bytes(b"something")
    refused = train()
    assert refused.code == 2
    assert "val/0/scan.dcm: is not a photograph that is read" in refused.stderr
    assert "3 other files were not read: 1 .dcm, 2 .heic." in refused.stderr.splitlines()[-1]
    outcome = train("--skip_damaged")
    assert outcome.code == 0, outcome.stderr
    assert (
        "4 other files were not read: 1 .csv, 1 .dcm, 2 .heic." in outcome.stderr.splitlines()[-1]
    )


def test_a_pipe_among_photographs_is_never_opened(train, data):
    os.mkfifo(data / "train/1/z.jpg")
    (data / "val/1/link.png").symlink_to(data / "train/1/z.jpg")
    outcome = train("--skip_damaged")
    assert outcome.code == 0, outcome.stderr
    assert "2 other files were not read: 2 pipe or device." in outcome.stderr


def test_the_limit_of_the_size_is_the_users(train, data):
    large = np.zeros((400, 500, 3), np.uint8)
    cv2.circle(large, (250, 200), 190, (40, 90, 180), -1)
    cv2.imwrite(str(data / "test/0/large.png"), large)
    assert train("--dry_run").code == 0
    refused = train("--max_megapixels", 0.1)
    assert refused.code == 2
    assert "large.png: has 0.2 megapixels: more than the 0.1" in refused.stderr
    assert "--max_megapixels 0.0: expected above 0" in train("--max_megapixels", 0).stderr


def test_pictures_replaced_in_mid_run_are_named(train, data, tmp_path, monkeypatch):
    def replace() -> None:
        for number in range(3):
            enlarge(data / f"train/1/train-1-{number}.jpeg")

    from dr_ovo.training.epochs.loop import TrainingLoop

    warn = TrainingLoop._warn_of_changes

    def replace_and_warn(loop: TrainingLoop) -> None:
        warn(loop)
        if not replaced:
            replaced.append(1)
            replace()
            os.link(data / "train/0/train-0-0.jpeg", tmp_path / "link.jpeg")  # changes no content

    replaced: list[int] = []
    monkeypatch.setattr(TrainingLoop, "_warn_of_changes", replace_and_warn)
    outcome = train(epochs=2)
    assert outcome.code == 0, outcome.stderr
    assert outcome.stderr.count("3 files were written or replaced while this ran") == 2
    assert "train-0-0.jpeg" not in outcome.stderr
    changed = json.loads((tmp_path / "out/config.json").read_text())["changed_images"]
    assert [Path(name).name for name in changed] == [f"train-1-{n}.jpeg" for n in range(3)]
