import pytest
import torch
from timm.layers import DropPath
from torch import nn

from dr_ovo.errors import UserError
from dr_ovo.models.architectures import SEVEN, resolve_architecture
from dr_ovo.models.backbone import create_backbone, input_spec
from tests.fixtures.slow import slow

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
    [("coatnet_0_rw_224", 192), *slow(("swinv2_tiny_window8_256", 224), ("resnet50", 96))],
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


def shares(module: nn.Module) -> list[float]:
    """What each block is left out for, in stochastic depth."""
    found = [m.drop_prob for m in module.modules() if isinstance(m, DropPath)]
    return [share for share in found if share]


WITH_DEPTH = [alias for alias in SEVEN if alias != "densenet121"]
QUICK = ["efficientnetb2", "tf_efficientnet_lite0", "test_vit"]


@pytest.mark.parametrize(
    "alias", [*QUICK, *slow(*(alias for alias in WITH_DEPTH if alias not in QUICK))]
)
def test_stochastic_depth_grows_to_the_share_asked_for(alias):
    name = resolve_architecture(alias)
    own = 0.1 if alias == "swinv2" else 0.0
    assert max(shares(create_backbone(name, 64, None)), default=0) == pytest.approx(own)
    found = shares(create_backbone(name, 64, None, 0.3))
    assert found == sorted(found)
    assert 0.25 < max(found) <= 0.3001  # EfficientNet's last block begins at the share before


def test_stochastic_depth_changes_no_weight():
    torch.manual_seed(0)
    plain = create_backbone("test_efficientnet", 64, None)
    torch.manual_seed(0)
    deep = create_backbone("test_efficientnet", 64, None, 0.3)
    loaded = create_backbone("test_efficientnet", 64, plain.state_dict(), 0.3)
    assert len(shares(deep)) == len(shares(loaded)) > 0
    for other in (deep.state_dict(), loaded.state_dict()):
        assert all(torch.equal(tensor, other[name]) for name, tensor in plain.state_dict().items())


@pytest.mark.parametrize("name", ["densenet121", "hrnet_w18", "vgg11"])
def test_a_network_without_stochastic_depth_says_so(name):
    with pytest.raises(UserError, match=f"--drop_path 0.2: {name} has no stochastic depth"):
        create_backbone(name, 64, None, 0.2)
