"""Files that try to exhaust the machine, or say what can't be, are refused in words."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from dr_ovo.errors import UserError
from dr_ovo.models.checkpoints.assembly import load_network
from dr_ovo.models.checkpoints.files import load_checkpoint
from dr_ovo.models.network import branch_specs
from dr_ovo.pairs import class_pairs
from tests.fixtures.hostile import checkpoint_lies, scan_bombs, torch_bombs
from tests.fixtures.hostile_reading import COSTLY_LIE, QUICK_APART

ROOT = Path(__file__).resolve().parents[2]
READING = ROOT / "tests" / "fixtures" / "hostile_reading.py"
PREDICTIONS = ROOT / "tests" / "earlier_results" / "shared" / "predictions_test.npz"
SECONDS = 10
SMALL = "test_efficientnet"


@pytest.fixture
def checkpoint(tmp_path, build_small, save_network) -> Path:
    """A whole checkpoint of five grades, and the JSON beside it."""
    specs = branch_specs("ovo", "shared", 5, class_pairs(5))
    network = build_small(SMALL).network
    (path,) = save_network(tmp_path / "models", network, specs, parameters=400_000)
    return path


Outcome = tuple[str, str, str, str, float]


@pytest.fixture(scope="module")
def read_all(
    tmp_path_factory, build_small, save_network, prepared
) -> Callable[[str], list[Outcome]]:
    """(file, reader, outcome, what was said, seconds) of hostile files with their readers, the
    "quick" or the "long" ones, in one process that has a GiB of memory more than it needs without
    them."""
    folder = tmp_path_factory.mktemp("hostile")
    specs = branch_specs("ovo", "shared", 5, class_pairs(5))
    (path,) = save_network(folder / "models", build_small(SMALL).network, specs)

    def read(which: str) -> list[Outcome]:
        process = prepared.start([READING, folder, path, PREDICTIONS, which], ROOT)
        assert process.wait(600) == 0, process.stderr.read_text()
        return [tuple(json.loads(line)) for line in process.stdout.read_text().splitlines()]

    return read


@pytest.fixture(scope="module")
def outcomes(read_all) -> list[Outcome]:
    """Of the files of each kind but the costly ones, few of them in processes of their own."""
    return read_all("quick")


@pytest.fixture(scope="module")
def long_outcomes(read_all) -> list[Outcome]:
    """Of every torch file in a process of its own, and of the costly files."""
    return read_all("long")


def refused_in_words(outcomes: list[Outcome]) -> Counter[str]:
    """How many files each reader refused, which are all."""
    wrong = [each for each in outcomes if each[2] != "refused"]
    assert wrong == []
    for name, reader, _, said, _ in outcomes:
        assert "best_hostile_ovo.pth" in said or reader.startswith("analyze"), name
        assert not any(word in said for word in ("Traceback", "Error", "Exception")), said
    return Counter(reader for _, reader in {(name, reader) for name, reader, *_ in outcomes})


def test_every_hostile_file_is_refused_by_every_reader_in_words(outcomes):
    counts = refused_in_words(outcomes)
    assert counts["network"] == len(checkpoint_lies()) - 1
    assert counts["predictions"] == counts["medmnist"] > 20
    assert counts["analyze"] > 45
    assert counts["analyze apart"] == counts["pretrained apart"] == len(QUICK_APART)


@pytest.mark.slow
def test_every_hostile_file_is_refused_by_a_process_in_words(long_outcomes):
    counts = refused_in_words(long_outcomes)
    assert counts["network"] == counts["resume"] == counts["pretrained"] == 1
    assert counts["analyze apart"] == len(torch_bombs()) + len(scan_bombs())
    assert counts["pretrained apart"] > 45
    assert {"too many opcodes", "legacy without end"} <= {name for name, *_ in long_outcomes}


def in_time(outcomes: list[Outcome]) -> None:
    name, reader, _, _, seconds = max(outcomes, key=lambda each: each[4])
    assert seconds < SECONDS, (name, reader)


def test_none_takes_more_than_ten_seconds(outcomes):
    in_time(outcomes)


@pytest.mark.slow
def test_no_costly_file_takes_more_than_ten_seconds(long_outcomes):
    in_time(long_outcomes)


LIES = [
    ("architecture 'hf-hub:timm/resnet1", r"one of timm's own models"),
    ("half the precision", r"is float16 .*, where float32 .* is expected"),
    ("num_classes 3", r"class_names; expected 3|pairs are"),
    ("pairs [[0, 1]]", r"head\.bias is of shape \(10,\); expected \(1,\)"),
    ("a deflated bomb", r"would take 0\.3 GiB"),
]
BOMBS = [
    ("a deflated storage", "is compressed"),
    ("an expanded tensor", r"w \(200000, 200000\) stands for 149\.0 GiB"),
    ("a legacy storage of 4 TB", "cut|does not begin"),
    ("an unknown name", r"Python objects \(os\.system\)"),
    ("a long text, encoded often", "more than 16,777,216 values to calls"),
]
COSTLY = [
    (COSTLY_LIE, r"do not fit vit_gigantic.* is missing"),
    ("too many opcodes", "more than 500,000 opcodes"),
    ("many keys, copied often", "more than 16,777,216 values to calls"),
    ("a long size, read often", "more than 16,777,216 values to calls"),
    ("many storages", "does not list its storages"),
]


def says(outcomes: list[Outcome], name: str, said: str) -> None:
    found = [each[3] for each in outcomes if each[0] == name]
    assert found
    assert all(re.search(said, text) for text in found), found


@pytest.mark.parametrize(("name", "said"), [*LIES, *BOMBS])
def test_the_words_say_what_is_wrong(outcomes, name, said):
    says(outcomes, name, said)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "said"), [*BOMBS, *COSTLY])
def test_the_words_on_costly_files_and_of_processes_say_what_is_wrong(long_outcomes, name, said):
    says(long_outcomes, name, said)


# --- commands


def lying(path: Path, **changes: Any) -> None:
    """Writes other metadata into a checkpoint, without the JSON that tells of it."""
    torch.save(torch.load(path, weights_only=True) | changes, path)
    path.with_suffix(".json").unlink()


@pytest.mark.parametrize("name", ["hf-hub:timm/resnet18.a1_in1k", "local-dir:/etc"])
def test_inference_asks_no_hub_for_what_a_checkpoint_names(checkpoint, trainer, monkeypatch, name):
    def connect(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr("socket.socket.connect", connect)
    lying(checkpoint, architecture=name)
    picture = checkpoint.parent / "a.png"
    cv2.imwrite(str(picture), np.zeros((64, 64, 3), np.uint8))
    folder = checkpoint.parent.parent
    done = trainer("--mode", "inference", "--output_dir", folder, "--input", picture)
    assert done.code == 2
    assert f'its architecture is "{name}"' in done.stderr


def test_the_analyzer_ends_with_exit_2_and_the_reason(checkpoint, command):
    checkpoint.write_bytes(torch_bombs()["doubled lists"])
    done = command("reports.analyze", "--model", checkpoint, folder=checkpoint.parent)
    assert done.returncode == 2
    assert "holds more than 1,000,000 values" in done.stderr


# --- the sha256 beside a checkpoint


def test_a_whole_checkpoint_that_the_json_beside_it_does_not_describe_is_refused(checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["head.bias"] += 1
    torch.save(content, checkpoint)
    said = (
        rf"{checkpoint.name} can't be loaded safely: its sha256 is not .* {checkpoint.stem}\.json"
    )
    with pytest.raises(UserError, match=said):
        load_network([checkpoint])


@pytest.mark.parametrize("beside", [None, "", "[]", "{}", '{"sha256": 7}', "[" * 10**5])
def test_a_missing_or_damaged_json_is_no_obstacle(checkpoint, beside):
    if beside is None:
        checkpoint.with_suffix(".json").unlink()
    else:
        checkpoint.with_suffix(".json").write_text(beside)
    assert load_checkpoint(checkpoint).meta["num_classes"] == 5
