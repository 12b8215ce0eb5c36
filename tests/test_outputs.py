"""What branches put out on images: to the bit, however they are trained and whatever they see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dr_ovo.models.architectures import CHANNELS_LAST
from dr_ovo.models.backbone import InputSpec, create_backbone
from dr_ovo.models.memory_format import use_format
from dr_ovo.models.network import OvoNetwork, branch_specs, build_network
from dr_ovo.outputs import branch_outputs
from dr_ovo.pairs import class_pairs

CPU = torch.device("cpu")
SPEC = InputSpec(32, (0.5,) * 3, (0.5,) * 3)
IMAGES = torch.randint(
    0, 256, (5, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
Batches = list[tuple[np.ndarray, torch.Tensor]]


def network(mode: str, frozen_stages: int = 2) -> OvoNetwork:
    """Of three classes, always the same."""
    torch.manual_seed(0)
    return build_network(
        create_backbone("test_efficientnet", 32, None),
        branch_specs("ovo", mode, 3, class_pairs(3)),
        img_size=32, frozen_stages=frozen_stages, dropout=0.0, seed=0,
    )  # fmt: skip


def batches() -> Batches:
    return [(np.array([0, 1, 2]), IMAGES[:3]), (np.array([3, 4]), IMAGES[3:])]


def test_the_same_bits_in_whatever_format_the_network_trains():
    made, found = network("shared"), []
    for _ in range(2):
        found.append(branch_outputs(made, batches(), SPEC, CPU, {"ovo": None}, 2)["ovo"])
        use_format(made, CHANNELS_LAST)
    assert np.array_equal(found[0].logits, found[1].logits)
    assert torch.equal(found[0].feature_mean, found[1].feature_mean)
    assert not any(weight.is_inference() for weight in made.parameters())


def test_without_tf32(monkeypatch):
    seen, made = [], network("shared", 0)
    made.branch("ovo").rest.register_forward_pre_hook(
        lambda *_: seen.append(torch.backends.cudnn.allow_tf32)
    )
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    branch_outputs(made, batches()[:1], SPEC, CPU, {"ovo": None}, 1)
    assert seen == [False]
    assert torch.backends.cudnn.allow_tf32


def test_each_branch_sees_its_own_positions():
    made = network("independent")
    mine = np.array([True, False, True, False, False])  # none of the second batch
    wanted = {"0_1": None, "0_2": mine, "1_2": np.zeros(5, bool)}
    found = branch_outputs(made, batches(), SPEC, CPU, wanted, 2)
    assert list(found) == ["0_1", "0_2"]
    assert found["0_1"].positions.tolist() == [0, 1, 2, 3, 4]
    assert found["0_2"].positions.tolist() == [0, 2]
    everything = branch_outputs(made, batches(), SPEC, CPU, {"0_2": None}, 2)["0_2"]
    assert np.allclose(found["0_2"].logits, everything.logits[mine], atol=1e-6)
    features = found["0_2"].feature_mean
    assert not torch.allclose(features, everything.feature_mean, atol=1e-6)


@pytest.mark.parametrize("mask", [None, np.ones(5, bool)])
def test_what_a_branch_sees_whole_is_not_copied(mask):
    made = network("independent")
    fed: list[torch.Tensor] = []
    for name in ("0_1", "0_2"):
        made.branch(name).rest.register_forward_pre_hook(lambda _, inputs: fed.append(inputs[0]))
    branch_outputs(made, batches()[:1], SPEC, CPU, {"0_1": mask, "0_2": None}, 1)
    assert fed[0].data_ptr() == fed[1].data_ptr()


@pytest.mark.parametrize("fits", [1, 2])
def test_full_memory_gives_the_same_in_smaller_batches(fits, caplog):
    made = network("independent")
    wanted = {"0_1": None, "1_2": np.ones(5, dtype=bool)}
    whole = branch_outputs(made, batches(), SPEC, CPU, wanted, 2)

    def full(_: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if len(inputs[0]) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    # The second branch of a batch: the first one's outputs exist when the memory is full.
    made.branch("1_2").head.register_forward_pre_hook(full)
    found = branch_outputs(made, batches(), SPEC, CPU, wanted, 2)
    assert "in evaluation" in caplog.text
    for name, expected in whole.items():
        assert np.array_equal(found[name].positions, expected.positions)
        np.testing.assert_allclose(found[name].logits, expected.logits, atol=1e-5)
        assert torch.allclose(found[name].feature_std, expected.feature_std, atol=1e-4)
