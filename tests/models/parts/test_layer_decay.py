"""Layer-wise rate decay: the scales of timm's whole model, whatever is frozen."""

from __future__ import annotations

import pytest
import timm
from timm.optim import param_groups_layer_decay
from torch import nn

from dr_ovo.models.architectures import SEVEN, resolve_architecture
from dr_ovo.models.network import Branch, branch_specs
from tests.fixtures.slow import slow

DECAY = 0.5
WHOLE_AND_FROZEN = [
    ("efficientnetb2", 2),
    ("tf_efficientnet_lite0", 3),
    ("test_vit", 0),
    *slow(*((alias, 2) for alias in SEVEN if alias != "efficientnetb2")),
    *slow(*(("tf_efficientnet_lite0", stages) for stages in (0, 1, 2))),
    *slow(("deit_tiny_patch16_224", 0)),
]


def scales(branch: Branch, layer_decay: float = DECAY) -> dict[str, tuple[float, float]]:
    """(lr_scale, weight decay) of every parameter of a branch, by name."""
    names = {id(parameter): name for name, parameter in branch.named_parameters()}
    found = {
        names[id(parameter)]: (group.get("lr_scale", 1.0), group["weight_decay"])
        for group in branch.parameter_groups(0.1, layer_decay)
        for parameter in group["params"]
    }
    assert found.keys() == set(names.values())
    return found


def scales_of_timm(name: str, size: int) -> dict[str, float]:
    """The scale of every parameter of timm's own model with a classifier, by its name."""
    try:
        model = timm.create_model(name, num_classes=5, img_size=size)
    except TypeError:
        model = timm.create_model(name, num_classes=5)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = param_groups_layer_decay(model, layer_decay=DECAY)
    return {names[id(p)]: group["lr_scale"] for group in groups for p in group["params"]}


@pytest.mark.parametrize(("alias", "frozen"), WHOLE_AND_FROZEN)
def test_each_weight_has_the_scale_that_it_has_in_timms_whole_model(alias, frozen, build_small):
    built = build_small(alias, frozen=frozen)
    assert built.network.frozen_stages == frozen
    found, plain = scales(built.branch), scales(built.branch, 1.0)
    whole = scales_of_timm(resolve_architecture(alias), 64)
    assert len({scale for scale, _ in found.values()}) > 2
    for name, (scale, decay) in found.items():
        expected = whole[name.removeprefix("rest.")] if name.startswith("rest.") else 1.0
        assert scale == expected, name
        assert decay == plain[name][1], name


def test_lite0_by_hand(build_small):
    # Its last stage is one block; the stage before has four. conv_head belongs to the last block.
    found = scales(build_small("tf_efficientnet_lite0", frozen=3).branch)
    assert found["head.weight"] == (1.0, 0.1)
    assert found["head.bias"] == (1.0, 0.0)
    assert found["rest.conv_head.weight"] == (DECAY, 0.1)
    assert found["rest.blocks.6.0.conv_pw.weight"] == (DECAY, 0.1)
    assert found["rest.blocks.5.3.conv_pw.weight"] == (DECAY**2, 0.1)
    assert found["rest.blocks.5.0.bn1.weight"] == (DECAY**5, 0.0)


def test_every_branch_of_an_independent_network_has_them(build_small):
    specs = branch_specs("ovo", "independent", 3, [(0, 1), (1, 2)])
    network = build_small("test_efficientnet", specs=specs).network
    first, second = (scales(branch) for branch in network.branches.values())
    assert first == second
    assert min(scale for scale, _ in first.values()) < DECAY


def test_a_head_alone_has_the_full_rate(build_small):
    built = build_small("test_efficientnet", frozen=4)
    assert scales(built.branch) == {"head.weight": (1.0, 0.1), "head.bias": (1.0, 0.0)}


def test_a_network_whose_layers_timm_does_not_name():
    # Every twelve tensors are a layer: 30 tensors below the head are three.
    rest = nn.Sequential(*(nn.Linear(4, 4) for _ in range(15)))
    found = scales(Branch(rest, 4, 3, 0.0))
    assert [found[f"rest.{i}.weight"][0] for i in (0, 5, 6, 11, 12)] == [
        DECAY**3, DECAY**3, DECAY**2, DECAY**2, DECAY,
    ]  # fmt: skip
    assert found["head.weight"][0] == 1.0
