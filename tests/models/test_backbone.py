import pytest
import torch

from dr_ovo.models.backbone import create_backbone, input_spec

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("name", "size", "statistics"),
    [
        ("coatnet_0_rw_224", 224, HALF),
        ("convnext_tiny", 224, IMAGENET),
        ("swinv2_tiny_window8_256", 256, IMAGENET),
        ("densenet121", 224, IMAGENET),
        ("efficientnet_b2", 256, IMAGENET),
        ("resnet50", 224, IMAGENET),
        ("seresnext50_32x4d", 224, IMAGENET),
        ("tf_efficientnet_lite0", 224, HALF),
    ],
)
def test_each_network_is_fed_what_it_was_pretrained_on(name, size, statistics):
    spec = input_spec(name)
    assert (spec.size, (spec.mean, spec.std)) == (size, statistics)
    assert input_spec(name, 96).size == 96
    assert input_spec(name, 96).mean == spec.mean


@pytest.mark.parametrize(
    ("name", "size"),
    [("coatnet_0_rw_224", 192), ("swinv2_tiny_window8_256", 224), ("resnet50", 96)],
)
def test_at_another_size_than_its_own_a_network_is_built_and_runs(name, size):
    backbone = create_backbone(name, size, None).eval()
    with torch.no_grad():
        features = backbone(torch.rand(2, 3, size, size))
    assert features.shape == (2, backbone.num_features)
    assert torch.isfinite(features).all()
    assert not torch.equal(features[0], features[1])


def test_random_weights_are_those_of_the_seed():
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        states.append(create_backbone("test_efficientnet", 64, None).state_dict())
    first, same, other = states
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["conv_stem.weight"], other["conv_stem.weight"])
