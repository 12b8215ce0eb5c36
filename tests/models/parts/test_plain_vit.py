"""Plain vision transformers are cut between their blocks without changing a bit."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from timm.layers import RmsNorm
from timm.models.beit import Beit
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from dr_ovo.models.backbone import create_backbone
from dr_ovo.models.network import Branch, branch_specs, build_network
from dr_ovo.models.parts.plain_vit import frozen_blocks, is_plain
from dr_ovo.models.parts.random_layers import MaskedDropPath, draw_masks, masked_layers
from dr_ovo.models.parts.stem import split_backbone
from dr_ovo.pairs import class_pairs
from tests.fixtures.networks import unsettle
from tests.fixtures.slow import slow

SIZE = 48
SMALL = {
    "img_size": SIZE, "patch_size": 16, "embed_dim": 48, "depth": 8, "num_heads": 2,
    "num_classes": 0,
}  # fmt: skip
TOKENS = {"use_abs_pos_emb": False, "use_rot_pos_emb": True}
# What timm's families differ in: tokens, positions, norms, pooling.
KINDS = {
    "vit": VisionTransformer,
    "no class token": partial(VisionTransformer, class_token=False, global_pool="avg"),
    "registers": partial(VisionTransformer, reg_tokens=4, no_embed_class=True, init_values=1e-1),
    "norm before": partial(VisionTransformer, pre_norm=True),
    "RMS norms": partial(VisionTransformer, pre_norm=True, norm_layer=RmsNorm, final_norm=False),
    "attention pooling": partial(VisionTransformer, class_token=False, global_pool="map"),
    "any size": partial(VisionTransformer, dynamic_img_size=True),
    "distilled": VisionTransformerDistilled,
    "beit": partial(Beit, use_abs_pos_emb=False, use_rel_pos_bias=True, init_values=0.1),
    "beit with positions": partial(Beit, use_abs_pos_emb=True, global_pool="token"),
    "eva": partial(Eva, global_pool="token"),
    "rotary": partial(Eva, **TOKENS, swiglu_mlp=True, scale_mlp=True),
    "dinov3": partial(Eva, **TOKENS, rope_type="dinov3", num_reg_tokens=4, dynamic_img_size=True),
}


def backbone_of(kind: str, **options: object) -> nn.Module:
    torch.manual_seed(0)
    backbone = KINDS[kind](**SMALL, **options)
    unsettle(backbone, images())
    return backbone.eval()


def images() -> torch.Tensor:
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def require_same_bits(backbone: nn.Module, stages: int, size: int = SIZE) -> None:
    given = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    halves = split_backbone(backbone, stages, size)
    assert halves is not None
    stem, rest = halves
    with torch.no_grad():
        assert torch.equal(rest(stem.forward_features(given)), backbone(given))
    frozen, trained = set(stem.state_dict()), set(rest.state_dict())
    assert not frozen & trained
    assert frozen | trained == set(backbone.state_dict())
    blocks = {name.split(".")[1] for name in frozen if name.startswith("blocks.")}
    assert len(blocks) == frozen_blocks(backbone, stages) > 0
    assert {"patch_embed.proj.weight", "blocks.0.norm1.weight"} <= frozen
    assert trained
    assert all(name.startswith(("blocks", "norm", "fc_norm", "attn_pool")) for name in trained)


@pytest.mark.parametrize("stages", [2, *slow(1, 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_stem_and_rest_are_the_whole(kind, stages):
    require_same_bits(backbone_of(kind), stages)


@pytest.mark.parametrize(
    ("name", "size"),
    [("vit_tiny_patch16_224", 32), ("deit_tiny_distilled_patch16_224", 32),
     ("eva02_tiny_patch14_224", 28), ("vit_tiny_patch16_dinov3_qkvb", 32), ("test_vit", 32)],
)  # fmt: skip
def test_models_of_timm(name, size):
    torch.manual_seed(0)
    backbone = create_backbone(name, size, None)
    unsettle(backbone, torch.rand(2, 3, size, size))
    require_same_bits(backbone.eval(), 2, size)


@pytest.mark.parametrize(
    ("depth", "expected"), [(12, [3, 6, 9]), (24, [6, 12, 18]), (6, [1, 3, 4])]
)
def test_a_stage_is_a_quarter_of_the_blocks(depth, expected):
    backbone = VisionTransformer(**(SMALL | {"depth": depth}))
    assert [frozen_blocks(backbone, stages) for stages in (1, 2, 3)] == expected


@pytest.mark.parametrize(
    "backbone",
    [
        partial(Eva, **TOKENS, rope_type="mixed"),
        partial(Beit, use_abs_pos_emb=False, use_shared_rel_pos_bias=True),
    ],
)
def test_weights_that_all_blocks_share_can_not_be_cut(backbone):
    made = backbone(**SMALL)
    assert is_plain(made)
    assert split_backbone(made, 2, SIZE) is None


@pytest.mark.parametrize("kind", ["vit", "beit", "rotary"])
def test_recomputed_activations_give_the_same_gradients(kind):
    backbone = backbone_of(kind, drop_path_rate=0.3)
    network = build_network(
        backbone, branch_specs("ovo", "shared", 5, class_pairs(5)), img_size=SIZE, frozen_stages=2,
        dropout=0.0, seed=0,
    )  # fmt: skip
    branch = network.branch("ovo").train()
    assert isinstance(branch, Branch)
    assert any(isinstance(module, MaskedDropPath) for module in branch.modules())
    features = network.stem_features(images())
    gradients = []
    for checkpointing in (False, True):
        assert branch.set_checkpointing(checkpointing) == checkpointing
        draw_masks(masked_layers(branch), len(features), 7, torch.device("cpu"))
        branch.zero_grad()
        branch(features).square().sum().backward()
        gradients.append({name: p.grad.clone() for name, p in branch.named_parameters()})
    assert all(torch.equal(gradients[1][name], grad) for name, grad in gradients[0].items())


@pytest.mark.parametrize("kind", ["vit", "rotary"])
def test_branches_are_copies_that_train_by_themselves(kind):
    backbone = backbone_of(kind)
    network = build_network(
        copy.deepcopy(backbone), branch_specs("ovo", "independent", 3, class_pairs(3)),
        img_size=SIZE, frozen_stages=3, dropout=0.0, seed=0,
    )  # fmt: skip
    assert network.frozen_stages == 3
    states = [network.backbone_state(name) for name in network.branches]
    for state in states:
        assert state.keys() == backbone.state_dict().keys()
        assert all(torch.equal(state[name], value) for name, value in backbone.state_dict().items())
    one, other = (network.branch(name) for name in ("0_1", "0_2"))
    with torch.no_grad():
        list(one.rest.blocks)[-1].norm2.weight.mul_(2)
        features = network.stem_features(images())
        assert not torch.equal(one.features(features), other.features(features))
        assert torch.equal(other.features(features), backbone(images()))


def test_the_frozen_part_has_no_gradients():
    network = build_network(
        backbone_of("vit"), branch_specs("softmax", "shared", 5, []), img_size=SIZE,
        frozen_stages=1, dropout=0.0, seed=0,
    )  # fmt: skip
    network.train()
    network(images()).sum().backward()
    assert network.stem is not None
    assert not any(p.requires_grad for p in network.stem.parameters())
    assert all(p.grad is not None for p in network.branch("softmax").parameters())
