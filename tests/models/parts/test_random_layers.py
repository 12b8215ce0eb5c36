"""Masks of an optimizer step: a function of its seed, whatever is computed together."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.layers import DropPath
from torch import nn

from dr_ovo.errors import UserError
from dr_ovo.models.network import (
    BranchSpec,
    build_network,
    find_own_draws,
    leaves_blocks_out,
)
from dr_ovo.models.parts.random_layers import (
    MaskedDropout,
    MaskedDropPath,
    draw_masks,
    draws_on_its_own,
    keeps_images_apart,
    mask_drop_paths,
    masked_layers,
    uses_drop_paths,
)
from tests.fixtures.slow import slow

CPU = torch.device("cpu")
IMAGES, UNITS = 4000, 3


@pytest.mark.parametrize("layer", [MaskedDropout(0.3, UNITS), MaskedDropPath(0.3, 1)])
def test_a_share_is_left_out_and_the_rest_scaled(layer):
    draw_masks([layer], IMAGES, 1, CPU)
    out = layer(torch.ones(IMAGES, UNITS))
    assert sorted(out.unique().tolist()) == pytest.approx([0, 1 / 0.7])
    assert float((out == 0).float().mean()) == pytest.approx(0.3, abs=0.03)
    by_image = {len(row.unique()) for row in out}
    assert by_image == ({1, 2} if isinstance(layer, MaskedDropout) else {1})


def test_parts_of_a_step_are_the_step():
    layers = [MaskedDropout(0.5, UNITS), MaskedDropPath(0.5, 1, scaled=False)]
    x = torch.rand(8, UNITS)
    draw_masks(layers, 8, 7, CPU)
    whole = [layer(x) for layer in layers]
    draw_masks(layers, 8, 7, CPU)
    for rows in (slice(0, 2), slice(2, 7), slice(7, 8)):
        for layer, expected in zip(layers, whole, strict=True):
            layer.use(rows)
            assert torch.equal(layer(x[rows]), expected[rows])
    draw_masks(layers, 8, 8, CPU)
    assert not torch.equal(layers[0](x), whole[0])


def test_without_masks_and_in_evaluation_it_is_the_usual_layer():
    x = torch.rand(50, UNITS)
    pairs = [(MaskedDropout(0.5, UNITS), nn.Dropout(0.5)), (MaskedDropPath(0.5, 1), DropPath(0.5))]
    for masked, usual in pairs:
        draw_masks([masked], 50, 0, CPU)
        masked.forget()
        found = []
        for layer in (masked, usual):
            torch.manual_seed(3)
            found.append(layer(x))
        assert torch.equal(*found)
        assert torch.equal(masked.eval()(x), x)


def test_sixteen_bits_stay_sixteen_bits():
    layer = MaskedDropout(0.5, UNITS)
    draw_masks([layer], 8, 0, CPU)
    assert layer(torch.ones(8, UNITS, dtype=torch.bfloat16)).dtype is torch.bfloat16


def test_the_drop_paths_of_a_transformer_take_masks():
    model = timm.create_model("swinv2_cr_tiny_224", img_size=32, num_classes=0, drop_path_rate=0.2)
    before = [m.drop_prob for m in model.modules() if isinstance(m, DropPath)]
    assert before
    mask_drop_paths(model)
    assert not [m for m in model.modules() if isinstance(m, DropPath)]
    assert [layer.share for layer in masked_layers(model)] == [share for share in before if share]


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.Linear(UNITS, 2), False),
        (MaskedDropout(0.5, UNITS), False),
        (nn.Dropout(0.5), True),
        (nn.Dropout(0.0), False),
    ],
)
def test_other_random_numbers_are_found(module, expected):
    x = torch.rand(2, UNITS)
    before = torch.get_rng_state()
    assert draws_on_its_own(module, x) is expected
    assert torch.equal(torch.get_rng_state(), before)


class Noisy(nn.Module):
    """A backbone with dropout of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(x.mean((2, 3)), 0.5, self.training)


@pytest.mark.parametrize(
    ("backbone", "expected"), [(Noisy(), True), (nn.AdaptiveAvgPool2d(1), False)]
)
def test_branches_note_it(backbone, expected):
    module = nn.Sequential(backbone, nn.Flatten())
    specs = [BranchSpec("ovo", ((0, 1),), 1)]
    network = build_network(module, specs, img_size=16, frozen_stages=0, dropout=0.5, seed=0)
    assert find_own_draws(network, 16) is expected
    assert network.branch("ovo").draws_on_its_own is expected


@pytest.mark.parametrize(
    ("name", "expected"), [("test_resnet", True), ("test_efficientnet", False)]
)
def test_whether_blocks_are_left_out_is_seen_in_a_run(name, expected):
    model = timm.create_model(name, num_classes=0, drop_path_rate=0.3)
    mask_drop_paths(model)
    assert masked_layers(model)  # the EfficientNet's blocks have no skips, and never call theirs
    before = torch.get_rng_state()
    assert uses_drop_paths(model.train(), torch.zeros(2, 3, 32, 32)) == expected
    assert torch.equal(torch.get_rng_state(), before)


FOLDING = ("mobilevit_xxs", *slow("tnt_s_legacy_patch16_224"))


@pytest.mark.parametrize("name", FOLDING)
def test_rows_of_an_image_that_a_network_folds_are_left_out_together(name):
    size = timm.get_pretrained_cfg(name).input_size[-1]
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=0, drop_path_rate=0.5).train()
    mask_drop_paths(model)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    images = torch.rand(3, 3, size, size)
    layers = masked_layers(model)
    for seed in range(2):
        draw_masks(layers, 3, seed, CPU)
        with torch.no_grad():
            together = model(images)
            for layer in layers:
                layer.use(slice(1, 2))
            alone = model(images[1:2])
        assert torch.allclose(together[1:2], alone, rtol=1e-4, atol=1e-5)
    assert keeps_images_apart(model, images[:2])


class Turned(nn.Module):
    """A block that works on (positions, B, width), as some transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.drop_path = DropPath(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        turned = self.drop_path(x.flatten(2).permute(2, 0, 1))
        return turned.mean(0)


def test_a_network_that_mixes_images_is_refused():
    specs = [BranchSpec("ovo", ((0, 1),), 1)]
    network = build_network(Turned(), specs, img_size=4, frozen_stages=0, dropout=0.0, seed=0)
    with pytest.raises(UserError, match="--drop_path"):
        leaves_blocks_out(network, 4)
