"""NCHW and channels_last: the same network up to rounding, and NCHW again to the bit."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from dr_ovo.models.architectures import CHANNELS_LAST, CONTIGUOUS
from dr_ovo.models.backbone import create_backbone
from dr_ovo.models.memory_format import contiguous, use_format
from dr_ovo.models.network import OvoNetwork, branch_specs, build_network
from dr_ovo.pairs import class_pairs
from tests.fixtures.slow import slow

IMAGES = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module", params=[2, 4, *slow(0)])
def plain(request) -> OvoNetwork:
    """In eval mode, with so many stages frozen."""
    torch.manual_seed(0)
    return build_network(
        create_backbone("tf_efficientnet_lite0", 64, None),
        branch_specs("ovo", "independent", 3, class_pairs(3)),
        img_size=64, frozen_stages=request.param, dropout=0.0, seed=0,
    ).eval()  # fmt: skip


@pytest.fixture
def other(plain) -> OvoNetwork:
    made = copy.deepcopy(plain)
    use_format(made, CHANNELS_LAST)
    return made


def kernels(network: nn.Module) -> list[torch.Tensor]:
    return [p for p in network.parameters() if p.dim() == 4 and min(p.shape[1:]) > 1]


def test_all_weights_have_the_format(other):
    assert other.memory_format == CHANNELS_LAST
    assert kernels(other)
    for weight in kernels(other):
        assert weight.is_contiguous(memory_format=torch.channels_last)
    use_format(other, CONTIGUOUS)
    assert all(weight.is_contiguous() for weight in kernels(other))


def test_features_take_the_format_of_the_weights(other):
    if other.frozen_stages == 2:
        assert other.stem_features(IMAGES).is_contiguous(memory_format=torch.channels_last)


def test_logits_and_gradients_are_the_same_up_to_rounding(plain, other):
    found = []
    for network in (plain, other):
        logits = network(IMAGES)
        logits.square().sum().backward()
        gradient = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        found.append((logits.detach(), torch.cat(gradient)))
    for one, two in zip(*found, strict=True):
        assert torch.allclose(one, two, rtol=1e-3, atol=1e-5 * float(one.abs().max()))


def test_evaluation_has_the_bits_of_a_network_that_was_never_converted(plain, other):
    weights = [weight.data_ptr() for weight in other.parameters()]
    with contiguous(other, other.branches), torch.inference_mode():
        logits = other(IMAGES)
    assert torch.equal(logits, plain(IMAGES))
    assert [weight.data_ptr() for weight in other.parameters()] == weights
    assert other.memory_format == CHANNELS_LAST
    with pytest.raises(RuntimeError), contiguous(other, other.branches):
        raise RuntimeError
    assert [weight.data_ptr() for weight in other.parameters()] == weights


def test_a_network_in_nchw_is_left_as_it_is(plain):
    weights = [weight.data_ptr() for weight in plain.parameters()]
    with contiguous(plain, plain.branches):
        assert [weight.data_ptr() for weight in plain.parameters()] == weights


def test_branches_that_are_not_used_keep_their_format(other):
    if other.frozen_stages == 4:
        pytest.skip("its branches have no kernels")
    unused = kernels(other.branch("0_2"))
    before = [weight.data_ptr() for weight in unused]
    with contiguous(other, ["0_1"]):
        assert all(weight.is_contiguous() for weight in kernels(other.branch("0_1")))
        assert [weight.data_ptr() for weight in unused] == before
