import pytest
import torch

from dr_ovo.errors import UserError
from dr_ovo.models.architectures import SEVEN, resolve_architecture
from dr_ovo.models.backbone import create_backbone
from dr_ovo.models.weights.sources import read_weights
from tests.fixtures.slow import slow
from tests.fixtures.weights import SMALL, state_of


@pytest.fixture(scope="module")
def lite0():
    return read_weights("tf_efficientnet_lite0", "")


def test_a_missing_weight_is_named():
    state = state_of(SMALL)
    del state["bn2.bias"]
    with pytest.raises(UserError, match=r"(?s)do not fit test_efficientnet.*bn2\.bias"):
        create_backbone(SMALL, 64, state)


def test_a_weight_too_many_is_named():
    state = state_of(SMALL) | {"blocks.9.weight": torch.zeros(1)}
    with pytest.raises(UserError, match=r"(?s)do not fit test_efficientnet.*blocks\.9\.weight"):
        create_backbone(SMALL, 64, state)


def test_a_weight_of_another_shape_is_named():
    state = state_of(SMALL)
    state["conv_head.weight"] = state["conv_head.weight"][:-1]
    with pytest.raises(UserError, match=r"(?s)do not fit test_efficientnet.*conv_head\.weight"):
        create_backbone(SMALL, 64, state)


def test_a_classifier_alone_is_no_reason_to_download(hub):
    state = state_of(SMALL)
    alone = {name: state[name] for name in ("classifier.weight", "classifier.bias")}
    with pytest.raises(UserError, match="nothing but a classifier"):
        create_backbone(SMALL, 64, alone)


ALIASES = ["efficientnetb2", *slow(*(alias for alias in SEVEN if alias != "efficientnetb2"))]


@pytest.mark.parametrize("alias", ALIASES)
def test_weights_of_another_architecture_do_not_fit(alias, lite0):
    with pytest.raises(UserError, match="do not fit"):
        create_backbone(resolve_architecture(alias), 64, lite0)


@pytest.mark.parametrize("alias", ALIASES)
def test_weights_of_the_same_architecture_fit_exactly(alias):
    name = resolve_architecture(alias)
    sized = {"img_size": 64} if alias in ("coatnet", "swinv2") else {}
    state = state_of(name, num_classes=3, **sized)
    backbone = create_backbone(name, 64, state)
    loaded = backbone.state_dict()
    assert set(state) - set(loaded) == {
        name for name in state if name.split(".")[0] in ("classifier", "fc", "head")
        and name not in loaded
    }  # fmt: skip
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.items())


@pytest.mark.filterwarnings("ignore::UserWarning:timm")  # of its interpolation
def test_position_tables_of_coatnet_are_interpolated_to_another_size():
    name = "coatnet_0_rw_224"
    state = state_of(name, num_classes=0)
    tables = [key for key in state if key.endswith("relative_position_bias_table")]
    assert tables
    sides = {729: 27, 169: 13}  # offsets -13..13 of 14 x 14 places, -6..6 of 7 x 7
    for key in tables:
        side, heads = sides[len(state[key])], state[key].shape[1]
        ramp = torch.linspace(-1, 1, side).view(1, side, 1).expand(side, side, heads)
        state[key] = ramp.reshape(-1, heads).contiguous()
    loaded = create_backbone(name, 192, state).state_dict()
    for key, tensor in state.items():
        if key not in tables:
            assert torch.equal(loaded[key], tensor)
            continue
        side = {27: 23, 13: 11}[sides[len(tensor)]]  # 12 x 12 and 6 x 6 places
        found = loaded[key].view(side, side, -1)
        assert found[:, side // 2].abs().max() < 1e-4  # no offset
        assert (found.diff(dim=1) > 0).all()
        assert found.diff(dim=0).abs().max() < 1e-4
