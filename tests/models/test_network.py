"""Every architecture with a wrapper, at 64 px; small ones for what all have in common."""

import copy
import gc
import weakref

import pytest
import timm
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dr_ovo.models.architectures import SEVEN, resolve_architecture
from dr_ovo.models.backbone import feature_width
from dr_ovo.models.compilation import Compiler
from dr_ovo.models.network import BranchSpec, branch_specs, build_network
from dr_ovo.pairs import class_pairs
from tests.fixtures.slow import slow

PAIRS = class_pairs(5)
SMALL = "test_efficientnet"  # 0.1 M parameters
WIDTHS = {
    "coatnet": 768,
    "convnext": 768,
    "swinv2": 768,
    "densenet121": 1024,
    "efficientnetb2": 1408,
    "resnet50": 2048,
    "seresnext50": 2048,
}


QUICK = "efficientnetb2"


@pytest.fixture(
    scope="module", params=[QUICK, *slow(*(alias for alias in SEVEN if alias != QUICK))]
)
def alias(request):
    return request.param


@pytest.fixture(scope="module")
def built(alias, build_small):
    return build_small(alias)


@pytest.fixture(scope="module")
def copied(built):
    return copy.deepcopy(built.network)


@pytest.fixture
def network(built, copied):
    """A copy to train, which has its weights back afterwards."""
    yield copied
    copied.zero_grad(set_to_none=True)
    with torch.no_grad():
        for tensors in (nn.Module.parameters, nn.Module.buffers):
            for mine, kept in zip(tensors(copied), tensors(built.network), strict=True):
                mine.copy_(kept)
    copied.branch("ovo").live_batchnorm = built.branch.live_batchnorm


def snapshot(module: nn.Module) -> dict[str, torch.Tensor]:
    """All parameters and buffers, including those outside the state dict."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    return {name: tensor.detach().clone() for name, tensor in tensors}


def changed(module: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in snapshot(module).items() if not tensor.equal(before[name])}


def gradients(network: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """The gradients of all branch parameters; every call uses the same random numbers."""
    network.train()
    network.zero_grad(set_to_none=True)
    torch.manual_seed(5)
    logits = network(images)
    (logits * torch.linspace(-1, 1, logits.numel()).view_as(logits)).sum().backward()
    return {name: p.grad for name, p in network.branches.named_parameters() if p.grad is not None}


# --- features


def test_features_are_pooled_finite_and_tell_images_apart(alias, built):
    network = built.network.eval()
    with torch.no_grad():
        features = built.branch.features(network.stem_features(built.images))
        logits = network(built.images)
    assert features.shape == (2, WIDTHS[alias])
    assert feature_width(built.backbone, 64) == WIDTHS[alias]
    assert torch.isfinite(features).all()
    assert (features[0] - features[1]).abs().max() > 1e-4
    assert logits.shape == (2, 10)


def test_stem_and_rest_are_the_backbone_to_the_last_bit(built):
    network = built.network.eval()
    with torch.no_grad():
        halves = built.branch.features(network.stem_features(built.images))
        assert torch.equal(halves, built.backbone(built.images))


def test_weights_keep_timms_names_each_in_one_half(alias, built):
    frozen = set(built.network.stem.state_dict())
    trained = set(built.branch.rest.state_dict())
    assert not frozen & trained
    with torch.device("meta"):
        names = set(timm.create_model(resolve_architecture(alias), num_classes=0).state_dict())
    assert frozen | trained == names
    whole = built.network.backbone_state("ovo")
    expected = built.backbone.state_dict()
    assert set(whole) == names
    assert all(torch.equal(whole[name], expected[name]) for name in names)


@pytest.mark.parametrize("frozen", [1, 3])
def test_other_stems_are_cut_as_exactly(built, frozen):
    network = build_network(
        copy.deepcopy(built.backbone), branch_specs("ovo", "shared", 5, PAIRS),
        img_size=64, frozen_stages=frozen, dropout=0.0, seed=0,
    ).eval()  # fmt: skip
    assert network.frozen_stages == frozen
    with torch.no_grad():
        features = network.branch("ovo").features(network.stem_features(built.images))
        assert torch.equal(features, built.backbone(built.images))
    with_two = sum(p.numel() for p in built.network.stem.parameters())
    count = sum(p.numel() for p in network.stem.parameters())
    assert (count < with_two) if frozen == 1 else (count > with_two)


# --- training


def test_gradients_reach_every_weight_of_the_branch_and_none_of_the_stem(built, network):
    found = gradients(network, built.images)
    names = {name for name, _ in network.branches.named_parameters()}
    assert set(found) == names
    assert all(torch.isfinite(gradient).all() for gradient in found.values())
    # Some gradients are zero by position: a bias before a norm.
    alive = [name for name, gradient in found.items() if gradient.abs().max() > 1e-7]
    assert len(alive) > 0.9 * len(names)
    assert all(p.grad is None and not p.requires_grad for p in network.stem.parameters())
    features = network.stem_features(built.images)
    assert not features.requires_grad


def test_a_step_changes_the_branch_and_not_a_bit_of_the_stem(built, network):
    stem, branch = snapshot(network.stem), snapshot(network.branches)
    assert len(stem) > 5
    # Weight decay would move every weight that the optimizer has.
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-2, weight_decay=0.5)
    gradients(network, built.images)
    optimizer.step()
    assert changed(network.stem, stem) == set()
    assert changed(network.branches, branch) >= {
        name for name, _ in network.branches.named_parameters()
    }


def test_each_weight_is_in_one_group_and_only_matrices_decay(alias, built):
    branch = built.branch
    groups = branch.parameter_groups(0.1)
    names = {id(parameter): name for name, parameter in branch.named_parameters()}
    grouped = {g["weight_decay"]: [names[id(p)] for p in g["params"]] for g in groups}
    assert set(grouped) == {0.0, 0.1}
    assert sorted(grouped[0.0] + grouped[0.1]) == sorted(names.values())
    shapes = {name: p.ndim for name, p in branch.named_parameters()}
    assert all(shapes[name] > 1 for name in grouped[0.1])
    assert "head.weight" in grouped[0.1]
    # Excluded by timm's authors in addition to biases and norms.
    special = {"coatnet": "relative_position_bias_table", "swinv2": "logit_scale"}
    excluded = {name for name in grouped[0.0] if shapes[name] > 1}
    assert bool(excluded) == (alias in special)
    if alias in special:
        named = {name for name in shapes if name.endswith(special[alias])}
        assert named <= excluded


def test_the_stem_stays_in_eval_mode_and_draws_nothing(built):
    network = built.network.train()
    assert network.branches.training
    assert not any(module.training for module in network.stem.modules())
    first, second = (network.stem_features(built.images) for _ in range(2))
    assert torch.equal(first, second)


def test_batchnorm_keeps_pretrained_statistics_and_learns_others(alias, built, network):
    norms = [m for m in network.branches.modules() if isinstance(m, _BatchNorm)]
    # CoAtNet has its own in the stem; the later stages are transformers.
    assert bool(norms) == (alias not in ("coatnet", "convnext", "swinv2"))
    buffers = {name for name, _ in network.branches.named_buffers() if "running" in name}
    assert bool(buffers) == bool(norms)
    if norms:
        before = snapshot(network.branches)
        gradients(network, built.images)
        assert not changed(network.branches, before) & buffers
        assert all(m.weight.grad is not None for m in norms)  # their own weights are trained
        network.branch("ovo").live_batchnorm = True
        gradients(network, built.images)
        assert changed(network.branches, before) >= buffers
    network.eval()
    before = snapshot(network.branches)
    network(built.images)
    assert changed(network.branches, before) == set()


def test_checkpointing_gives_the_same_gradients_of_every_weight(built, network):
    branch = network.branch("ovo")
    calls = {name: 0 for name, _ in branch.rest.named_modules()}

    def count(name: str) -> None:
        calls[name] += 1

    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: count(name))
        for name, module in branch.rest.named_modules()
    ]
    assert branch.set_checkpointing(False) is False
    plain = gradients(network, built.images)
    assert max(calls.values()) == 1
    assert branch.set_checkpointing(True) is True
    saved = gradients(network, built.images)
    branch.set_checkpointing(False)
    for hook in hooks:
        hook.remove()
    # Checkpointing is active: the forward pass ran once more, in the backward pass.
    assert max(calls.values()) == 3
    assert set(saved) == set(plain) == {name for name, _ in network.branches.named_parameters()}
    for name, gradient in plain.items():
        assert torch.allclose(saved[name], gradient, rtol=1e-5, atol=1e-7), name


# --- all architectures


@pytest.mark.parametrize("frozen", [0, 1, 2, 3, 4])
def test_any_number_of_stages_can_be_frozen(build_small, frozen):
    built = build_small(SMALL, frozen=frozen)
    network = built.network
    assert network.frozen_stages == frozen
    assert (network.stem is None) == (frozen == 0)
    with torch.no_grad():
        features = built.branch.features(network.eval().stem_features(built.images))
        assert torch.equal(features, built.backbone(built.images))
    found = gradients(network, built.images)
    assert set(found) == {name for name, _ in network.branches.named_parameters()}
    in_stem = {f"{stage}." for stage in (["conv_stem", *(f"blocks.{i}" for i in range(5))])}
    ends = {0: 0, 1: 3, 2: 4, 3: 5, 4: 6}[frozen]  # reduction 2 is blocks.0, 4 is blocks.1
    names = network.stem.state_dict() if network.stem else {}
    assert sum(any(name.startswith(stage) for name in names) for stage in in_stem) == ends
    assert (found.keys() == {"ovo.head.weight", "ovo.head.bias"}) == (frozen == 4)


@pytest.mark.parametrize("frozen", [1, 2, 3])
def test_without_stages_nothing_is_frozen_and_everything_trains(build_small, frozen):
    built = build_small("test_vit_relpos", frozen=frozen)
    assert built.network.stem is None
    assert built.network.frozen_stages == 0
    with torch.no_grad():
        assert torch.equal(
            built.branch.features(built.network.eval().stem_features(built.images)),
            built.backbone(built.images),
        )
    found = gradients(built.network, built.images)
    assert len(found) == len(list(built.network.parameters()))
    assert torch.equal(built.network.stem_features(built.images), built.images)


def test_without_stages_the_whole_backbone_can_still_be_frozen(build_small):
    built = build_small("test_vit_relpos", frozen=4)
    assert built.network.frozen_stages == 4
    assert len(gradients(built.network, built.images)) == 2  # the head


@pytest.mark.parametrize(("name", "frozen"), [("test_efficientnet", 4), *slow(("convit_tiny", 2))])
def test_a_branch_that_can_not_be_checkpointed_says_so_and_trains(build_small, name, frozen):
    built = build_small(name, frozen=frozen, size=224 if name == "convit_tiny" else 64)
    assert built.branch.set_checkpointing(True) is False
    found = gradients(built.network, built.images)
    assert len(found) == len(list(built.network.branches.parameters()))


def test_the_branches_of_each_head_and_mode():
    names = ["0_1", "0_2", "0_3", "0_4", "1_2", "1_3", "1_4", "2_3", "2_4", "3_4"]
    single = branch_specs("ovo", "independent", 5, PAIRS)
    assert [spec.name for spec in single] == names
    assert all(spec.outputs == 1 and len(spec.pairs) == 1 for spec in single)
    assert branch_specs("ovo", "shared", 5, PAIRS) == [BranchSpec("ovo", tuple(PAIRS), 10)]
    assert branch_specs("softmax", "shared", 5, PAIRS) == [BranchSpec("softmax", (), 5)]
    assert branch_specs("ordinal", "shared", 5, PAIRS) == [BranchSpec("ordinal", (), 4)]
    assert [s.name for s in branch_specs("ovo", "independent", 5, [(1, 3)])] == ["1_3"]


def test_logits_of_all_branches_stand_side_by_side(build_small):
    built = build_small(SMALL, specs=branch_specs("ovo", "independent", 5, PAIRS))
    network = built.network.eval()
    with torch.no_grad():
        logits = network(built.images)
        features = network.stem_features(built.images)
        for column, name in enumerate(network.branches):
            assert torch.equal(logits[:, column], network.branch(name)(features)[:, 0])
    assert logits.shape == (2, 10)


def test_branches_share_no_weight(build_small):
    built = build_small(SMALL, specs=branch_specs("ovo", "independent", 3, class_pairs(3)))
    network = built.network.train()
    before = {name: snapshot(network.branch(name)) for name in network.branches}
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.5)
    network.branch("0_1")(network.stem_features(built.images)).sum().backward()
    optimizer.step()
    assert changed(network.branch("0_1"), before["0_1"])
    assert not changed(network.branch("0_2"), before["0_2"])
    assert not changed(network.branch("1_2"), before["1_2"])


def test_a_head_is_drawn_from_the_seed_and_its_branch_alone(build_small):
    def heads(seed: int, pairs: list) -> dict[str, torch.Tensor]:
        specs = branch_specs("ovo", "independent", 5, pairs)
        network = build_small(SMALL, specs=specs, seed=seed).network
        return {name: network.branch(name).head.weight.detach() for name in network.branches}

    every, alone, other = heads(0, PAIRS), heads(0, [(2, 3)]), heads(1, [(2, 3)])
    assert torch.equal(every["2_3"], alone["2_3"])
    assert not torch.equal(alone["2_3"], other["2_3"])
    assert len({weight.sum().item() for weight in every.values()}) == 10


def test_building_leaves_the_global_random_numbers_alone(build_small):
    backbone = build_small(SMALL).backbone
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    specs = branch_specs("ovo", "independent", 5, PAIRS)
    build_network(backbone, specs, img_size=64, frozen_stages=2, dropout=0.3, seed=4)
    assert torch.equal(torch.rand(3), expected)


def test_dropout_works_before_the_head_and_only_in_training(build_small):
    built = build_small(SMALL, dropout=0.5)
    features = built.network.stem_features(built.images)
    branch = built.branch.train()
    torch.manual_seed(0)
    first = branch(features)
    assert not torch.equal(branch(features), first)
    torch.manual_seed(0)
    assert torch.equal(branch(features), first)
    branch.eval()
    assert torch.equal(branch(features), branch(features))


@pytest.mark.parametrize("stages", [0, 2, 4])
@pytest.mark.parametrize("compiled", [False, True])
def test_nothing_holds_a_network_that_is_no_longer_used(compiled, stages, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    network = build_network(
        timm.create_model(SMALL, num_classes=0), branch_specs("ovo", "shared", 3, class_pairs(3)),
        img_size=32, frozen_stages=stages, dropout=0.0, seed=0,
    )  # fmt: skip
    names = list(network.state_dict())
    if compiled:
        network.compile_stem(Compiler(torch.device("cpu")))
    network.trained_stem(torch.zeros(2, 3, 32, 32))
    assert list(network.state_dict()) == names
    branch = weakref.ref(network.branch("ovo"))
    gc.disable()  # which would find a cycle, at some time
    try:
        del network
        assert branch() is None
    finally:
        gc.enable()
