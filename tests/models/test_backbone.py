import time

import pytest
import torch

from dr_ovo.errors import UserError
from dr_ovo.models.backbone import check_size, create_backbone, input_spec

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
    [
        ("coatnet_0_rw_224", 192),
        ("coatnet_0_rw_224", 224),
        ("coatnet_0_rw_224", 384),
        ("swinv2_tiny_window8_256", 224),
        ("swinv2_tiny_window8_256", 256),
        ("convnext_tiny", 100),
        ("densenet121", 384),
        ("efficientnet_b2", 384),
        ("resnet50", 225),
        ("vit_tiny_patch16_224", 64),
    ],
)
def test_sizes_that_work_pass(name, size):
    check_size(name, size)


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


@pytest.mark.parametrize(
    ("name", "wrong", "nearest"),
    [
        ("coatnet_0_rw_224", 200, "160, 192, 224"),
        ("coatnet_0_rw_224", 1, "32, 64, 96"),
        ("convnext_tiny", 16, "32, 48, 64"),
    ],
)
def test_a_size_that_does_not_work_is_answered_with_those_that_do(name, wrong, nearest):
    with pytest.raises(UserError) as error:
        check_size(name, wrong)
    text = str(error.value)
    assert f"--img_size {wrong}: {name}" in text
    for size in text.split("Nearest: ")[1].rstrip(".").split(", "):
        check_size(name, int(size))
    assert text.endswith(f"Nearest: {nearest}.")


def test_looking_for_a_size_computes_nothing():
    start = time.process_time()
    check_size("convnext_tiny", 1024)
    assert time.process_time() - start < 5  # a forward pass takes longer, and 2 GB


def test_random_weights_are_those_of_the_seed():
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        states.append(create_backbone("test_efficientnet", 64, None).state_dict())
    first, same, other = states
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["conv_stem.weight"], other["conv_stem.weight"])
