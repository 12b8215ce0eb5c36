import pytest
import timm
import torch
from torch import nn

from dr_ovo.models.parts.stem import find_cut, split_backbone
from tests.fixtures.slow import slow

# The last module of the stem, for reductions 4, 8 and 16.
CUTS = {
    "coatnet_0_rw_224": ("stages.0", "stages.1", "stages.2"),
    "convnext_tiny": ("stages.0", "stages.1", "stages.2"),
    "swinv2_tiny_window8_256": ("layers.0", "layers.1", "layers.2"),
    "densenet121": ("features.denseblock1", "features.denseblock2", "features.denseblock3"),
    "efficientnet_b2": ("blocks.1", "blocks.2", "blocks.4"),
    "resnet50": ("layer1", "layer2", "layer3"),
    "seresnext50_32x4d": ("layer1", "layer2", "layer3"),
}


@pytest.mark.parametrize(("name", "expected"), CUTS.items())
def test_the_stem_ends_with_the_stage_of_its_reduction(name, expected):
    with torch.device("meta"):
        backbone = timm.create_model(name, num_classes=0)
    assert tuple(find_cut(backbone, stages) for stages in (1, 2, 3)) == expected


@pytest.mark.parametrize("name", ["test_vit", "vit_tiny_patch16_224", "cait_xxs24_224"])
def test_an_architecture_without_stages_has_no_module_to_end_with(name):
    with torch.device("meta"):
        backbone = timm.create_model(name, num_classes=0)
    assert [find_cut(backbone, stages) for stages in (1, 2, 3)] == [None] * 3


@pytest.mark.parametrize(
    "name",
    ["test_efficientnet", "test_resnet", "test_convnext", "test_byobnet", "mobilenetv2_100",
     "edgenext_xx_small", "ghostnet_050"],
)  # fmt: skip
@pytest.mark.parametrize("stages", [2, *slow(1, 3)])
def test_other_architectures_are_cut_without_changing_a_bit(name, stages):
    torch.manual_seed(0)
    backbone = timm.create_model(name, num_classes=0).eval()
    images = torch.rand(2, 3, 64, 64)
    stem, rest = split_backbone(backbone, stages, 64)
    with torch.no_grad():
        assert torch.equal(rest(stem.forward_features(images)), backbone(images))
    frozen, trained = set(stem.state_dict()), set(rest.state_dict())
    assert not frozen & trained
    assert frozen | trained == set(backbone.state_dict())
    assert frozen
    assert trained


@pytest.mark.parametrize("name", ["cait_xxs24_224", "test_vit_relpos"])
def test_what_has_neither_stages_nor_plain_blocks_is_not_cut(name):
    assert split_backbone(timm.create_model(name, num_classes=0), 2, 224) is None


class Toy(nn.Module):
    """A backbone of two stages; `skip` passes the image around the first."""

    def __init__(self, skip: bool) -> None:
        super().__init__()
        self.skip = skip
        self.first = nn.Conv2d(3, 3, 8, stride=8)
        self.second = nn.Conv2d(3, 3, 1)
        self.feature_info = [
            {"module": "first", "reduction": 8},
            {"module": "second", "reduction": 32},
        ]

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        first = self.first(x)
        return self.second(first) + (x.mean() if self.skip else 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward_features(x).mean((2, 3))


def test_a_cut_that_would_change_the_features_is_not_made():
    assert split_backbone(Toy(skip=False), 2, 64) is not None
    assert split_backbone(Toy(skip=True), 2, 64) is None
    assert split_backbone(Toy(skip=False), 1, 64) is None  # no stage of reduction 4


def test_cutting_leaves_the_backbone_whole():
    backbone = timm.create_model("test_resnet", num_classes=0)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    split_backbone(backbone, 2, 64)
    assert set(backbone.state_dict()) == set(before)
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())
    assert not any(module._forward_pre_hooks for module in backbone.modules())
