import pytest

from dr_ovo.models.backbone import input_spec
from dr_ovo.models.weights.published import with_imagenet_colours


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("vit_large_patch16_224", "vit_large_patch16_224.mae"),
        ("vit_base_patch16_224", "vit_base_patch16_224.mae"),
        ("vit_small_patch16_224", "vit_small_patch16_224.dino"),
        ("vit_tiny_patch16_224", "deit_tiny_patch16_224"),
        ("vit_large_patch16_224.mae", ""),
        ("vit_small_patch14_dinov2", ""),
        ("resnet18", ""),
        ("inception_v3", ""),
    ],
)
def test_the_same_transformer_with_imagenet_s_colours(name, other):
    assert with_imagenet_colours(name) == other
    if other:
        assert input_spec(name).mean == (0.5, 0.5, 0.5)
        assert input_spec(other).mean == (0.485, 0.456, 0.406)
