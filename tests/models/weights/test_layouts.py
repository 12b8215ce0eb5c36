"""Weights in each layout that the field publishes, from tiny networks of timm's."""

import argparse
import logging
import re
from collections import OrderedDict

import pytest
import timm
import torch
from torch import nn

from dr_ovo.errors import UserError
from dr_ovo.models.backbone import create_backbone
from dr_ovo.models.weights.fitting import fit_weights, fits
from dr_ovo.models.weights.sources import read_weights
from tests.fixtures.slow import slow
from tests.fixtures.weights import SMALL, same, state_of

VIT, VIT_AVG, RESNET = "test_vit", "test_vit2", "test_resnet"  # class token; average; a CNN
CONVNEXT = "test_convnext"
SIZE = 160  # at which timm builds them: no table is interpolated


def renamed(state: dict, prefix: str) -> dict:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def projector(name: str) -> dict:
    return {f"{name}.0.weight": torch.ones(4, 4), f"{name}.2.bias": torch.ones(4)}


def decoder() -> dict:
    return {
        "mask_token": torch.ones(1, 1, 8),
        "decoder_pos_embed": torch.ones(1, 5, 8),
        "decoder_embed.weight": torch.ones(8, 8),
        "decoder_blocks.0.norm1.weight": torch.ones(8),
        "decoder_norm.bias": torch.ones(8),
        "decoder_pred.weight": torch.ones(3, 8),
    }


def other(state: dict) -> dict:
    """The same names with other values, as a momentum encoder or a student has them."""
    return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


ARGS = argparse.Namespace(model="vit", lr=1e-3, output_dir="out")

# Layout -> what its file holds, from a network's weights without a classifier.
LAYOUTS = {
    "plain": lambda s: s,
    "MAE, RETFound": lambda s: {
        "model": {**s, **decoder()}, "optimizer": {"state": {}}, "epoch": 3, "args": ARGS,
    },
    "MAE, fine-tuned": lambda s: {
        "model": {**s, "head.weight": torch.ones(5, 4), "head.bias": torch.ones(5)}, "args": ARGS,
    },
    "DINO": lambda s: {
        "student": {**renamed(other(s), "module.backbone."), **projector("module.head.mlp")},
        "teacher": {**renamed(s, "backbone."), **projector("head.mlp")},
        "dino_loss": {"center": torch.ones(1, 8)}, "epoch": 3, "args": ARGS,
    },
    "DINOv2, training": lambda s: {
        "teacher": {**renamed(s, "backbone."), **projector("dino_head.mlp")},
    },
    "timm's train.py": lambda s: {
        "epoch": 3, "arch": "x", "state_dict": other(s), "state_dict_ema": s, "args": ARGS,
        "optimizer": {}, "version": 2, "metric": 91.2,
    },
    "timm's train.py without averages": lambda s: {"state_dict": s, "state_dict_ema": None},
    "Lightning": lambda s: {
        "state_dict": {**renamed(s, "model."), "criterion.weight": torch.ones(5)},
        "pytorch-lightning_version": "2.5.0", "hyper_parameters": {"lr": 1e-3}, "callbacks": {},
    },
    "Lightning, deeper": lambda s: {"state_dict": renamed(s, "model.backbone.")},
    "MoCo": lambda s: {
        "state_dict": {
            **renamed(s, "module.encoder_q."), **projector("module.encoder_q.fc"),
            **renamed(other(s), "module.encoder_k."), "module.queue": torch.ones(4, 8),
            "module.queue_ptr": torch.zeros(1, dtype=torch.long),
        },
        "arch": "resnet50",
    },
    "MoCo v3": lambda s: {
        "state_dict": {
            **renamed(s, "module.base_encoder."), **projector("module.base_encoder.head"),
            **renamed(other(s), "module.momentum_encoder."), **projector("module.predictor"),
        }
    },
    "SimSiam": lambda s: {
        "state_dict": {
            **renamed(s, "module.encoder."), **projector("module.encoder.fc"),
            **projector("module.predictor"),
        }
    },
    "BYOL": lambda s: {
        "online_network.state": 1,
        **renamed(s, "online_network.backbone."), **projector("online_network.projection"),
        **renamed(other(s), "target_network.backbone."), **projector("predictor"),
    },
    "SwAV": lambda s: {
        "state_dict": {
            **renamed(s, "module."), **projector("module.projection_head"),
            "module.prototypes.weight": torch.ones(4, 4),
        }
    },
    "Barlow Twins": lambda s: {
        "model": {
            **renamed(s, "module.backbone."), **projector("module.projector"),
            "module.bn.running_mean": torch.ones(4),
        }
    },
    "model_state_dict": lambda s: {"model_state_dict": s, "epoch": 1, "loss": 0.5},
    "a Sequential head on top": lambda s: {
        **renamed(s, "0."), "2.weight": torch.ones(5, 4), "2.bias": torch.ones(5),
    },
    "OpenMMLab": lambda s: {
        "meta": {"epoch": 3}, "state_dict": {**renamed(s, "backbone."), **projector("head.fc")},
    },
    "AveragedModel": lambda s: {**renamed(s, "module."), "n_averaged": torch.tensor(3)},
    "compiled, then parallel": lambda s: renamed(s, "_orig_mod.module."),
    "parallel, then compiled": lambda s: {"model": renamed(s, "module._orig_mod.")},
    "half precision": lambda s: {"model": {n: t.bfloat16() if t.is_floating_point() else t
                                           for n, t in s.items()}},
    "nested entries": lambda s: {"model": {"state_dict": OrderedDict(s)}},
    "Hugging Face's wrapper of timm": lambda s: renamed(s, "timm_model."),
    "OpenCLIP, BiomedCLIP": lambda s: {
        **renamed(s, "visual.trunk."), "visual.head.proj.weight": torch.ones(4, 4),
        "logit_scale": torch.tensor(4.0), "logit_bias": torch.tensor(4.0),
        "text.transformer.embeddings.word.weight": torch.ones(3, 3),
    },
    "OpenCLIP, older": lambda s: {
        "state_dict": renamed({
            **renamed(s, "visual.trunk."), "positional_embedding": torch.ones(3, 3),
            "text_projection": torch.ones(3, 3), "token_embedding.weight": torch.ones(3, 3),
            "ln_final.weight": torch.ones(3), "transformer.resblocks.0.ln_1.weight": torch.ones(3),
        }, "module."),
    },
    "FLAIR": lambda s: {
        **renamed(s, "vision_model.model."), **projector("text_model.model.x"),
        "vision_model.projection_head_vision.projection.weight": torch.ones(4, 4),
    },
    "Lightning with metrics": lambda s: {
        "state_dict": {
            **renamed(s, "model."), "val_kappa.confmat": torch.ones(5, 5),
            "f1_of_grades.tp": torch.ones(5), "class_weights": torch.ones(5),
            "loss_fn.pos_weight": torch.ones(5), "mean": torch.ones(3), "std": torch.ones(3),
        }
    },
    "ema-pytorch": lambda s: {
        **renamed(other(s), "online_model."), **renamed(s, "ema_model."),
        "initted": torch.tensor(True), "step": torch.tensor(3),
    },
    "iBOT": lambda s: {
        "student": renamed(other(s), "module.backbone."),
        "teacher": {
            **renamed(s, "backbone."), "backbone.masked_embed": torch.ones(1, 64),
            **projector("head.mlp"),
        },
    },
    "fastai": lambda s: {
        "model": {**renamed(s, "0.model."), "1.2.weight": torch.ones(3)}, "opt": {},
    },
    "lightly's BYOL": lambda s: {
        "state_dict": {
            **renamed(other(s), "backbone_momentum."), **renamed(s, "backbone."),
            **projector("projection_head_momentum.layers"),
        }
    },
    "lightly's DINO": lambda s: {
        "state_dict": {
            **renamed(other(s), "student_backbone."), **renamed(s, "teacher_backbone."),
            **projector("student_head.layers"),
        }
    },
    "BYOL in two entries": lambda s: {
        "target_network_state_dict": other(s), "online_network_state_dict": s,
        "optimizer_state_dict": {},
    },
    "an average in a shadow": lambda s: {"shadow": s, "decay": 0.99},
    "VISSL": lambda s: {
        "classy_state_dict": {
            "base_model": {"model": {"trunk": renamed(s, "_feature_blocks."), "heads": {}}}
        }
    },
    "CheXNet": lambda s: {"state_dict": renamed(s, "module.densenet121.")},
    "an entry with a name of its own": lambda s: {"retina_weights": s, "optimizer": {}},
}  # fmt: skip


@pytest.fixture
def logged(caplog, monkeypatch):
    """What the toolkit logs."""
    monkeypatch.setattr(logging.getLogger("dr_ovo"), "propagate", True)
    return caplog


def load(name: str, content: object, tmp_path, size: int = SIZE) -> dict:
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    return create_backbone(name, size, read_weights(name, str(path))).state_dict()


@pytest.mark.parametrize("name", [RESNET, *slow(VIT)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_exactly_the_backbone_s_weights(layout, name, tmp_path):
    state = state_of(name, num_classes=0)
    if layout == "half precision":
        state = {n: t.bfloat16().float() if t.is_floating_point() else t for n, t in state.items()}
    assert same(load(name, LAYOUTS[layout](state), tmp_path), state)


def test_what_was_done_is_said(tmp_path, logged):
    state = state_of(VIT, num_classes=0)
    with logged.at_level(logging.INFO, logger="dr_ovo"):
        load(VIT, LAYOUTS["MAE, RETFound"](state), tmp_path)
        load(VIT, LAYOUTS["DINO"](state), tmp_path)
        load(VIT, LAYOUTS["MoCo"](state), tmp_path)
    text = logged.text
    assert "84 tensors of the entry 'model' (not used: optimizer, epoch, args)" in text
    assert "dropped: mask_token, decoder_pos_embed, decoder_embed, decoder_blocks" in text
    assert "of the entry 'teacher' (not used: student, dino_loss" in text
    assert "prefix 'backbone.' removed (78 tensors)" in text
    assert "dropped: head (2)" in text
    assert "dropped: encoder_k (78), fc (2), queue, queue_ptr" in text


@pytest.mark.parametrize(
    ("name", "there", "fresh"), [(VIT_AVG, "norm", "fc_norm"), (VIT, "fc_norm", "norm")]
)
def test_the_norm_of_another_pooling_gives_way_to_a_fresh_identity(
    name, there, fresh, tmp_path, logged
):
    expected = state_of(name, num_classes=0)
    given = {n.replace(f"{fresh}.", f"{there}.", 1) if n.startswith(fresh) else n: t
             for n, t in expected.items()}  # fmt: skip
    given[f"{there}.weight"] = torch.full_like(given[f"{there}.weight"], 3.0)
    with logged.at_level(logging.INFO, logger="dr_ovo"):
        loaded = load(name, {"model": {**given, **decoder()}, "args": ARGS}, tmp_path)
    assert (loaded[f"{fresh}.weight"] == 1).all()
    assert (loaded[f"{fresh}.bias"] == 0).all()
    assert f"added, as the identity: {fresh}.weight, {fresh}.bias" in logged.text
    assert f"{there} (2)" in logged.text
    rest = {n: t for n, t in expected.items() if not n.startswith(fresh)}
    assert same({n: loaded[n] for n in rest}, rest)


def test_with_both_norms_the_one_of_the_pooling_is_taken(tmp_path):
    state = state_of(VIT, num_classes=0)
    both = {**state, "fc_norm.weight": torch.zeros(4), "fc_norm.bias": torch.zeros(4)}
    assert same(load(VIT, {"model": both}, tmp_path), state)


def test_blocks_in_chunks_are_numbered_through(tmp_path):
    state = state_of(VIT, num_classes=0)
    chunked = {name.replace("blocks.", "blocks.0.", 1): t for name, t in state.items()}
    assert same(load(VIT, {"teacher": renamed(chunked, "backbone.")}, tmp_path), state)
    # An EfficientNet's blocks.<stage>.<block> stay what they are.
    state = state_of(SMALL, num_classes=0)
    assert same(load(SMALL, {"teacher": renamed(state, "backbone.")}, tmp_path, 64), state)


@pytest.mark.slow
def test_the_official_names_of_dinov2_are_timm_s_with_registers(tmp_path):
    name = "vit_small_patch14_reg4_dinov2"
    options = {"num_classes": 0, "img_size": 28}
    state = state_of(name, **options)
    official = {n: t for n, t in state.items() if n != "reg_token"}
    official["register_tokens"] = state["reg_token"]
    official["mask_token"] = torch.ones(1, 384)
    zero = torch.zeros_like(state["pos_embed"][:, :1])
    official["pos_embed"] = torch.cat([zero, state["pos_embed"]], dim=1)
    assert same(load(name, official, tmp_path, 28), state)


def test_numbers_of_a_sequential_of_a_network_s_children_get_their_names(tmp_path):
    torch.manual_seed(0)
    network = timm.create_model(RESNET, num_classes=0)
    body = nn.Sequential(*list(network.children())[:-2])
    state = network.state_dict()
    for content in (body.state_dict(), nn.Sequential(body, nn.Linear(3, 5)).state_dict()):
        assert any(name.split(".")[0].isdigit() for name in content)
        assert same(load(RESNET, content, tmp_path), state)


def test_a_position_table_of_another_input_size_is_interpolated_by_timm_s_function(
    tmp_path, logged
):
    state = state_of(VIT, num_classes=0)
    with logged.at_level(logging.INFO, logger="dr_ovo"):
        loaded = load(VIT, LAYOUTS["MAE, RETFound"](state), tmp_path, 64)
    grid = timm.layers.resample_abs_pos_embed(state["pos_embed"], [4, 4], num_prefix_tokens=1)
    assert loaded["pos_embed"].equal(grid)
    assert "interpolated: pos_embed (1, 101, 64) -> (1, 17, 64)" in logged.text


NUMBERED = {"backbone.": "backbone_momentum.", "teacher_backbone.": "student_backbone."}


@pytest.mark.parametrize("taken", NUMBERED)
def test_numbers_behind_a_wrapper_get_their_names_beside_a_second_copy(taken, tmp_path):
    torch.manual_seed(0)
    network = timm.create_model(RESNET, num_classes=0)
    body = nn.Sequential(*list(network.children())[:-2]).state_dict()
    content = {"state_dict": {**renamed(other(body), NUMBERED[taken]), **renamed(body, taken)}}
    assert same(load(RESNET, content, tmp_path), network.state_dict())


def official_convnext(state: dict) -> dict:
    """timm's names of a ConvNeXt as its authors write them."""
    rules = (
        (r"^stem\.(\d)", r"downsample_layers.0.\1"),
        (r"^stages\.(\d)\.downsample\.(\d)", r"downsample_layers.\1.\2"),
        (r"^stages\.(\d)\.blocks\.(\d+)", r"stages.\1.\2"),
        (r"conv_dw", "dwconv"), (r"mlp\.fc", "pwconv"), (r"mlp\.grn", "grn"),
        (r"^head\.norm", "norm"),
    )  # fmt: skip
    official = {}
    for name, tensor in state.items():
        for pattern, with_what in rules:
            name = re.sub(pattern, with_what, name)
        flat = "pwconv" in name and name.endswith("weight")
        official[name] = tensor.flatten(1) if flat else tensor
    return official


@pytest.mark.parametrize(
    "layout",
    [
        lambda s: {"model": s},
        lambda s: {"state_dict": {**renamed(s, "module.backbone."), **projector("module.head")}},
        lambda s: {"state_dict": {**renamed(s, "module.encoder_q."), "module.queue": torch.ones(2),
                                  **renamed(other(s), "module.encoder_k.")}},
        lambda s: {"model": {**renamed(other(s), "student."), **renamed(s, "teacher.")}},
    ],
)  # fmt: skip
def test_prefixes_go_step_by_step_before_names_that_timm_replaces(layout, tmp_path):
    state = state_of(CONVNEXT, num_classes=0)
    loaded = load(CONVNEXT, layout(official_convnext(state)), tmp_path)
    assert same(loaded, state)


def test_swin_s_official_places_of_downsampling_are_not_called_interpolated(tmp_path, logged):
    name, options = "swin_tiny_patch4_window7_224", {"embed_dim": 8, "num_heads": (1, 1, 1, 1)}
    state = state_of(name, num_classes=0, **options)
    official = {
        re.sub(r"layers\.(\d)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample", n): t
        for n, t in state.items()
    }
    with logged.at_level(logging.INFO, logger="dr_ovo"):
        loaded = fit_weights(name, official, **options).state_dict()
    assert same(loaded, state)
    assert "replaced by timm: layers" in logged.text
    assert "interpolated" not in logged.text


def old_torchvision(state: dict) -> dict:
    return {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", n): t for n, t in state.items()}


@pytest.mark.parametrize("prefix", ["", "module.densenet121."])
def test_densenets_as_torchvision_first_published_them_fit(prefix):
    options = {"growth_rate": 4, "block_config": (2, 2)}
    state = state_of("densenet121", num_classes=0, **options)
    given = {**old_torchvision(state), "classifier.0.weight": torch.ones(14, 8)}
    assert any("norm.1." in name for name in given)
    loaded = fit_weights("densenet121", renamed(given, prefix), **options).state_dict()
    assert same(loaded, state)


def test_vgg_s_first_classifying_layers_are_kept_as_timm_has_them():
    with torch.device("meta"):
        shapes = timm.create_model("vgg11_bn", num_classes=0).state_dict()
    names = {name.split(".")[0] for name in shapes}
    assert names == {"features", "pre_logits"}
    given = {
        **{n: t for n, t in shapes.items() if n.startswith("features.")},
        "classifier.0.weight": shapes["pre_logits.fc1.weight"].flatten(1),
        "classifier.0.bias": shapes["pre_logits.fc1.bias"],
        "classifier.3.weight": shapes["pre_logits.fc2.weight"].flatten(1),
        "classifier.3.bias": shapes["pre_logits.fc2.bias"],
        "classifier.6.weight": torch.empty(1000, 4096, device="meta"),
        "classifier.6.bias": torch.empty(1000, device="meta"),
    }
    assert fits("vgg11_bn", given)
    del given["classifier.3.bias"]
    assert not fits("vgg11_bn", given)


# --- several entries


ENTRIES = {
    "a teacher of another architecture": lambda s: {"teacher": state_of("test_resnet"), "model": s},
    "averages without BatchNorm's buffers": lambda s: {
        "ema": {n: t for n, t in other(s).items() if "running" not in n and "num_b" not in n},
        "model": s,
    },
}  # fmt: skip


@pytest.mark.parametrize("content", ENTRIES)
def test_the_first_entry_that_fits_is_taken_and_said(content, tmp_path, logged):
    state = state_of(SMALL, num_classes=0)
    with logged.at_level(logging.INFO, logger="dr_ovo"):
        loaded = load(SMALL, ENTRIES[content](state), tmp_path, 64)
    assert same(loaded, state)
    first = next(iter(ENTRIES[content](state)))
    assert f"the entry '{first}' does not fit {SMALL}: passed over" in logged.text
    assert "tensors of the entry 'model'" in logged.text


def test_where_no_entry_fits_the_preferred_one_is_told(tmp_path):
    content = {"model": {"a.b": torch.ones(2)}, "ema": {"c.d": torch.ones(2)}}
    assert "left over: c.d" in refused(RESNET, content, tmp_path)


# --- what can't be taken


def test_an_unknown_prefix_that_is_told_is_the_teacher_s(tmp_path):
    state = state_of(RESNET, num_classes=0)
    both = {**renamed(state, "tower_student."), **renamed(state, "tower_teacher.")}
    assert "under the prefix 'tower_teacher.'" in refused(RESNET, both, tmp_path)


def refused(name: str, content: object, tmp_path, size: int = SIZE) -> str:
    with pytest.raises(UserError) as error:
        load(name, content, tmp_path, size)
    assert len(str(error.value)) < 1500
    return str(error.value)


@pytest.mark.parametrize("name", [VIT, RESNET])
def test_an_unknown_prefix_is_named(name, tmp_path):
    text = refused(name, renamed(state_of(name, num_classes=0), "retina.tower."), tmp_path)
    assert "do not fit" in text
    assert "under the prefix 'retina.tower.'" in text


def test_what_is_left_over_is_named_with_its_prefix(tmp_path):
    state = state_of(VIT, num_classes=0)
    text = refused(VIT, {**state, **projector("adapter.down")}, tmp_path)
    assert "left over: adapter.down.0.weight, adapter.down.2.bias; under 'adapter.'" in text
    beside = {**renamed(state, "encoder."), **projector("adapter.down")}
    assert "'adapter.'" in refused(VIT, beside, tmp_path)


def test_the_architecture_that_weights_look_like_is_named(tmp_path):
    with torch.device("meta"):
        shapes = timm.create_model("resnet18", num_classes=0).state_dict()
    state = {name: torch.zeros(t.shape, dtype=t.dtype) for name, t in shapes.items()}
    text = refused("resnet50", {"state_dict": renamed(state, "module.")}, tmp_path)
    assert "look like resnet18. Expected --base_models resnet18" in text


@pytest.mark.slow
def test_a_vision_transformer_s_weights_are_known_beside_a_projector(tmp_path):
    with torch.device("meta"):
        shapes = timm.create_model("vit_tiny_patch16_224", num_classes=0).state_dict()
    state = renamed({name: torch.zeros(t.shape) for name, t in shapes.items()}, "backbone.")
    text = refused(RESNET, {"teacher": {**state, **projector("head.mlp")}}, tmp_path)
    assert "look like vit_tiny_patch16_224" in text


def test_weights_for_grey_images_are_named_as_that(tmp_path):
    state = state_of(RESNET, num_classes=0, in_chans=1)
    assert "conv1.0.weight takes 1 channels, and photographs have 3" in refused(
        RESNET, state, tmp_path
    )


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("vit.encoder.layer.0.attention.attention.query.weight", "Hugging Face transformers"),
        ("encoder.layers.encoder_layer_0.ln_1.weight", "torchvision's vision transformers"),
        ("features.1.0.block.0.weight", "torchvision"),
        ("visual.transformer.resblocks.0.ln_1.weight", "OpenCLIP"),
        ("base_model.model.blocks.0.attn.qkv.lora_A.default.weight", "LoRA"),
        ("_blocks.0._depthwise_conv.weight", "efficientnet_pytorch"),
    ],
)
def test_the_names_of_another_library_are_told(name, library, tmp_path):
    assert library in refused(VIT, {name: torch.ones(2, 2)}, tmp_path)
