"""`python -m benchmarks.sizes`, `inference_memory` and `on_cpu`, with a tiny network."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks import inference_memory, on_cpu, sizes
from benchmarks.inference_memory import Graded
from benchmarks.network_sizes import Sizes, measure
from benchmarks.on_gpu.setting import SMALL, Setting
from dr_ovo.errors import UserError
from dr_ovo.training.fitting.dry_run import DiskNeed, disk_need
from dr_ovo.training.writing.run import count_parameters

BY_HAND = Sizes(
    "a", 100, 1_000, 200, 9_000, 10, DiskNeed(1, 2, 3), DiskNeed(4, 5, 6), {1: 7, 2: 14}, 8, 9, 2.0
)


@pytest.fixture(scope="module")
def setting(tmp_path_factory) -> Setting:
    return Setting(tmp_path_factory.mktemp("sizes"), "cpu", quick=True)


def test_memory_by_hand():
    # Weights 1,200; gradients and two moments of 1,000; or moments of 9,000, gradients of 900.
    assert BY_HAND.memory == 4 * (1_200 + 3_000)
    assert BY_HAND.memory_independent == 4 * (9_200 + 18_000 + 900)


def test_disk_by_hand():
    assert disk_need(1_000, 200, 1, averaged=False) == DiskNeed(4_800, 12_000, 53_600)
    assert disk_need(9_000, 200, 10, averaged=True) == DiskNeed(44_000, 144_000, 620_800)
    # Two members before the third have a checkpoint each.
    one = DiskNeed(4_800, 12_000, 53_600)
    assert one.of_members(3) == DiskNeed(14_400, 12_000, 63_200)
    assert one.of_members(1) == one


def test_the_tables_by_hand():
    cells = sizes.duration([BY_HAND], [7_200]).splitlines()[2]
    assert cells == "| a | 0.0 | 0.0 | 2.00 | 1.0 |"
    cells = sizes.disk([BY_HAND], [10]).splitlines()[2]
    assert cells == "| a | 300.0 kB | 1 B | 2 B | 3 B | 4 B | 5 B | 6 B |"


@pytest.mark.slow
def test_what_is_counted_is_that_of_the_networks(setting):
    found = measure(setting, "convnext")
    for mode, trained in (("shared", found.trained), ("independent", found.trained_independent)):
        with setting.training(SMALL, setting.flags("convnext", "--ovo_mode", mode)) as made:
            assert count_parameters(made.model) == (trained, trained + found.frozen)
    assert found.frozen > 0
    assert found.kept[2] == 2 * found.kept[1] > 0
    assert found.operations < found.operations_independent < 4 * found.operations


@pytest.mark.slow
def test_backward_takes_twice_the_operations_of_forward(setting, monkeypatch):
    whole = measure(setting, "resnet50")  # whose wrapper freezes nothing of the tiny network
    assert whole.frozen == 0
    monkeypatch.setattr("torch.Tensor.backward", lambda _: None)
    from benchmarks import network_sizes

    monkeypatch.setattr(network_sizes, "_rate", lambda *_: 1.0)
    assert 2.5 < whole.operations / measure(setting, "resnet50").operations <= 3


@pytest.mark.slow
def test_the_command(tmp_path, capsys):
    file = tmp_path / "sizes.json"
    words = ["--quick", "--only", "densenet121", "--photographs", "100", "--json", str(file)]
    assert sizes.main(words) == 0
    output = capsys.readouterr().out
    assert output.count("| densenet121 | ") == 3
    assert "cache of 100" in output
    content = json.loads(file.read_text())
    assert content["photographs"] == [100]
    assert content["sizes"][0]["name"] == "densenet121"


def test_wrong_numbers():
    with pytest.raises(UserError, match="--photographs"):
        sizes.main(["--photographs", "0"])
    with pytest.raises(UserError, match="--counts 0"):
        inference_memory.main(["--counts", "0"])
    with pytest.raises(UserError, match="--rounds 0: expected 1 or more"):
        on_cpu.main(["--rounds", "0"])


def test_growth_is_against_the_row_before():
    found = [Graded(10, 2**20, 1.0), Graded(20, 2**20 + 5 * 2**10, 2.4)]
    assert inference_memory.markdown(found).splitlines()[2:] == [
        "| 10 | 1 | 1 | - |", "| 20 | 1 | 2 | 0.50 |",
    ]  # fmt: skip


@pytest.mark.slow
def test_inference_is_measured_in_processes_of_their_own(tmp_path, capsys):
    file = tmp_path / "memory.json"
    words = ["--counts", "3", "50", "--side", "64", "--network", "test_efficientnet"]
    assert inference_memory.main([*words, "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert [one["photographs"] for one in found] == [3, 50]
    assert all(50e6 < one["peak"] < 5e9 for one in found)
    assert "| 50 | " in capsys.readouterr().out


@pytest.mark.slow
def test_what_a_cpu_gains_is_measured_in_processes_of_their_own(capsys):
    assert on_cpu.main(["test_efficientnet", "--size", "64", "--rounds", "1"]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    ratio, memory = r" \| [\d.]+ \([\d.]+ - [\d.]+\)", r" \| \d+"
    assert re.fullmatch(rf"\| test_efficientnet, 64 px({ratio}){{3}}({memory}){{3}} \|", row)
