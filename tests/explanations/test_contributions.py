"""What places contribute: the sum is the logit less its bias, and an oracle agrees."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

from dr_ovo.explanations.contributions import contributions
from dr_ovo.explanations.layers import NoPlacesError
from dr_ovo.models.architectures import ARCHITECTURES, SEVEN
from dr_ovo.models.backbone import create_backbone
from dr_ovo.models.network import OvoNetwork, branch_specs, build_network
from dr_ovo.pairs import class_pairs
from tests.fixtures.slow import slow

NAMES = [ARCHITECTURES[alias].timm_name for alias in SEVEN]
QUICK = ["convnext_tiny", "densenet121", "efficientnet_b2"]
SLOW = [name for name in NAMES if name not in QUICK]
SIZES = {"swinv2_tiny_window8_256": 128}  # whose windows don't fit 96 pixels
PAIRS = class_pairs(5)


def network(
    name: str, frozen: int = 0, *, mode: str = "shared", size: int | None = None
) -> tuple[OvoNetwork, int]:
    """A network with random weights, also in its norms, and its input size."""
    size = size or SIZES.get(name, 96)
    torch.manual_seed(0)
    backbone = create_backbone(name, size, None)
    for module in backbone.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
    found = build_network(
        backbone, branch_specs("ovo", mode, 5, PAIRS), img_size=size, frozen_stages=frozen,
        dropout=0.1, seed=0,
    )  # fmt: skip
    for branch in map(found.branch, found.branches):
        nn.init.normal_(branch.head.weight)
        nn.init.normal_(branch.head.bias)
    return found.eval(), size


def images(size: int, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def asked(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 2, len(PAIRS), generator=torch.Generator().manual_seed(2))


def biases(found: OvoNetwork) -> torch.Tensor:
    return torch.cat([found.branch(name).head.bias.detach() for name in found.branches])


@pytest.mark.parametrize("name", [*QUICK, *slow(*SLOW)])
def test_the_places_add_up_to_the_logits_less_their_bias(name):
    found, size = network(name)
    seen, wanted = images(size), asked()
    answer = contributions(found, seen, wanted)
    with torch.no_grad():
        logits = found(seen)
    expected = torch.einsum("btk,bk->bt", wanted, logits - biases(found))
    assert answer.is_exact
    assert answer.values.shape == (2, 2, size // 32, size // 32)
    torch.testing.assert_close(answer.values.sum((2, 3)), expected, rtol=1e-4, atol=1e-3)
    outputs = torch.einsum("btk,bk->bt", wanted, logits)
    torch.testing.assert_close(answer.outputs, outputs, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "frozen"),
    [
        ("resnet50", 4),
        *slow(("resnet50", 2), ("resnet50", 3)),
        *slow(*product(("convnext_tiny", "swinv2_tiny_window8_256"), (2, 3, 4))),
    ],
)
def test_the_map_is_the_same_whatever_is_frozen(name, frozen):
    free, size = network(name)
    stem, _ = network(name, frozen)
    assert stem.frozen_stages == frozen
    expected = contributions(free, images(size), asked())
    found = contributions(stem, images(size), asked())
    torch.testing.assert_close(found.values, expected.values, rtol=1e-4, atol=1e-4)
    finer, also = (contributions(one, images(size), asked(), stride=16) for one in (free, stem))
    assert finer.values.shape[2:] == (size // 16, size // 16)
    torch.testing.assert_close(finer.values, also.values, rtol=1e-4, atol=1e-4)


def test_independent_classifiers_are_added_up():
    found, size = network("test_resnet", mode="independent")
    seen, wanted = images(size), asked()
    with torch.no_grad():
        expected = torch.einsum("btk,bk->bt", wanted, found(seen) - biases(found))
    answer = contributions(found, seen, wanted)
    torch.testing.assert_close(answer.values.sum((2, 3)), expected, rtol=1e-4, atol=1e-4)
    finer = contributions(found, seen, wanted, stride=16)
    assert finer.values.shape[2:] == (size // 16, size // 16)
    assert not finer.is_exact


def test_views_are_turned_back_before_they_are_averaged():
    found, size = network("test_resnet")
    seen, wanted = images(size), asked()
    whole = contributions(found, seen, wanted, views=4).values
    parts = [contributions(found, seen.flip(axes), wanted).values.flip(axes) for axes in AXES]
    torch.testing.assert_close(whole, torch.stack(parts).mean(0))


AXES = ((), (3,), (2,), (2, 3))


def oracle(found: OvoNetwork, layer: nn.Module, seen: torch.Tensor, wanted, reshape=None):
    """HiResCAM of pytorch-grad-cam for the first question of each image: what is above 0, from its
    smallest to its largest value."""
    grad_cam = pytest.importorskip("pytorch_grad_cam")

    class Target:
        def __init__(self, coefficients: torch.Tensor) -> None:
            self.coefficients = coefficients

        def __call__(self, logits: torch.Tensor) -> torch.Tensor:
            return (self.coefficients * logits).sum()

    with grad_cam.HiResCAM(found, [layer], reshape_transform=reshape) as cam:
        return torch.from_numpy(cam(seen, [Target(one[0]) for one in wanted]).copy())


def scaled(values: torch.Tensor, size: int) -> torch.Tensor:
    """As the oracle scales (B, h, w)."""
    from pytorch_grad_cam.utils.image import scale_cam_image

    above = values.clamp_min(0).numpy()
    once = scale_cam_image(above, (size, size))
    return torch.from_numpy(scale_cam_image(once))


class SpreadHeld(nn.Module):
    """LayerNorm over the channels of (B, F, 1, 1) whose spread has no gradient."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spread = (x.var(1, unbiased=False, keepdim=True) + self.norm.eps).sqrt().detach()
        scaled = (x - x.mean(1, keepdim=True)) / spread
        return scaled * self.norm.weight[:, None, None] + self.norm.bias[:, None, None]


# The module whose output is averaged, of each architecture.
LAST = {
    "coatnet_0_rw_224": "norm",
    "convnext_tiny": "stages",
    "swinv2_tiny_window8_256": "norm",
    "densenet121": "features",
    "efficientnet_b2": "bn2",
    "resnet50": "layer4",
    "seresnext50_32x4d": "layer4",
}


@pytest.mark.parametrize("name", [*QUICK, *slow(*SLOW)])
def test_an_independent_implementation_draws_the_same_map(name):
    found, size = network(name)
    rest = found.branch("ovo").rest
    reshape = None
    if name == "swinv2_tiny_window8_256":

        def reshape(features: torch.Tensor) -> torch.Tensor:
            return features.permute(0, 3, 1, 2)

    given = found
    if name == "convnext_tiny":
        # The bias of its norm is the same at each place, which gradients don't see.
        nn.init.zeros_(rest.head.norm.bias)
        given, _ = network(name)
        given.load_state_dict(found.state_dict())
        given.branch("ovo").rest.head.norm = SpreadHeld(rest.head.norm)
    layer = given.branch("ovo").rest.get_submodule(LAST[name])
    largest = 0.0
    for sign in (1, -1):  # the oracle shows only what is above 0
        seen, wanted = images(size), sign * asked()
        values = contributions(found, seen, wanted).values[:, 0]
        expected = oracle(given, layer, seen, wanted, reshape)
        torch.testing.assert_close(scaled(values, size), expected, rtol=1e-3, atol=1e-3)
        largest = max(largest, float(expected.max()))
    assert largest > 0.9


@pytest.mark.parametrize(
    "name",
    ["vit_tiny_patch16_224", "mobilenetv3_small_050", "test_vit", "cait_xxs24_224", *slow("vgg11")],
)
def test_other_models_have_maps_by_gradients(name):
    size = 64 if name in ("mobilenetv3_small_050", "vgg11") else None
    sizes = {"vit_tiny_patch16_224": 64, "test_vit": 64, "cait_xxs24_224": 64}
    found, size = network(name, size=size or sizes[name])
    answer = contributions(found, images(size), asked())
    assert not answer.is_exact
    assert answer.values.shape[:2] == (2, 2)
    assert answer.values.shape[2] > 1
    assert bool((answer.values != 0).any())
    with torch.no_grad():
        outputs = torch.einsum("btk,bk->bt", asked(), found(images(size)))
    torch.testing.assert_close(answer.outputs, outputs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("frozen", [3, 4])
def test_a_plain_transformer_has_the_same_map_whatever_is_frozen(frozen):
    free, size = network("vit_tiny_patch16_224", size=64)
    stem, _ = network("vit_tiny_patch16_224", frozen, size=64)
    assert stem.frozen_stages == frozen
    first, second = (contributions(one, images(size), asked()) for one in (free, stem))
    torch.testing.assert_close(first.values, second.values, rtol=1e-4, atol=1e-5)


def test_an_input_of_a_single_place_has_no_map():
    found, size = network("test_resnet", size=32)
    with pytest.raises(NoPlacesError, match="single place"):
        contributions(found, images(size), asked())


def test_a_step_that_an_architecture_does_not_have_is_refused():
    found, size = network("mobilenetv3_small_050", size=64)
    with pytest.raises(NoPlacesError, match="--map_stride 12"):
        contributions(found, images(size), asked(), stride=12)
