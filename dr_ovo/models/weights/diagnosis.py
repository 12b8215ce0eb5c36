"""Why weights do not fit a model: other channels, another architecture, other names, what is left.

Only for the text of an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

import timm
import torch

from dr_ovo.models.weights.containers import StateDict
from dr_ovo.models.weights.layouts import overlaps
from dr_ovo.models.weights.names import WRAPPERS

SHOWN = 4  # names of each kind in a message
# Names by which the layouts of other libraries are told, none of which is translated.
OTHER_NAMES = (
    (r"(^|\.)lora_[AB]\.", "adapters (LoRA): merge them into the model, then save it"),
    (r"(^|\.)layers?\.\d+\.attention\.", "Hugging Face transformers"),
    (r"(^|\.)embeddings\.patch_embeddings\.", "Hugging Face transformers"),
    (r"(^|\.)embedder\.embedder\.convolution\.", "Hugging Face transformers"),
    (r"(^|\.)layers\.encoder_layer_\d+\.", "torchvision's vision transformers"),
    (r"^features\.\d+\.\d+\.(\d+\.|block\.|weight)", "torchvision"),
    (r"(^|\.)transformer\.resblocks\.\d+\.", "OpenAI's or OpenCLIP's image encoders"),
    (r"(^|\.)layers\.\d+\.ln1\.", "OpenMMLab's vision transformers"),
    (r"_blocks\.\d+\._(bn|expand_conv|depthwise_conv)", "efficientnet_pytorch"),
)
# Names by which a family is told -> those of its architectures that are recognised.
LOOKALIKES = (
    (r"layer1\.0\.", (
        "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2",
        "resnext50_32x4d", "seresnext50_32x4d", "seresnet50", "resnet50d",
    )),
    (r"blocks\.0\.attn\.", (
        "vit_tiny_patch16_224", "vit_small_patch16_224", "vit_base_patch16_224",
        "vit_large_patch16_224", "vit_huge_patch14_224", "vit_small_patch8_224",
        "vit_base_patch8_224", "vit_base_patch32_224", "vit_small_patch14_dinov2",
        "vit_base_patch14_dinov2", "vit_large_patch14_dinov2", "deit_small_distilled_patch16_224",
    )),
    (r"features\.denseblock1\.", ("densenet121", "densenet169", "densenet201", "densenet161")),
    (r"blocks\.0\.0\.", (
        "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3",
        "efficientnet_b4", "efficientnet_b5", "tf_efficientnet_lite0", "mobilenetv2_100",
        "mobilenetv3_large_100",
    )),
    (r"stages\.0\.", (
        "convnext_tiny", "convnext_small", "convnext_base", "convnext_large", "convnextv2_tiny",
        "convnextv2_base", "coatnet_0_rw_224",
    )),
    (r"layers\.0\.blocks\.", (
        "swin_tiny_patch4_window7_224", "swin_small_patch4_window7_224",
        "swin_base_patch4_window7_224", "swinv2_tiny_window8_256", "swinv2_base_window8_256",
    )),
)  # fmt: skip
SECOND = re.compile(r"student|target|momentum|_k\.|key_")  # copies that are not the one to take
ALIKE = 0.95  # the share of tensors that a file and an architecture have in common


def explain(
    timm_name: str, state: StateDict, expected: StateDict, named: StateDict, error: str
) -> str:
    """What is wrong with `state` for a model with the weights `expected`, and what helps.

    `named` are the same weights under the names that timm's own filter gave them.
    """
    if other := _other_library(state):
        return f"they have the names of {other}. {_expected(timm_name)}"
    if channels := _other_channels(state, expected):
        return f"{channels} {_expected(timm_name)}"
    if prefix := _unknown_prefix(state, expected):
        return (
            f"they stand under the prefix '{prefix}', which is none of the known ones "
            f"({', '.join(WRAPPERS[:-1])}). Remove it from the names, and save the file again."
        )
    if like := _architecture(timm_name, state, expected):
        return (
            f"they look like {like}. Expected --base_models {like}, or the weights of {timm_name}."
        )
    listed = _listed(named, expected) or [error[:300]]
    return "\n  " + "\n  ".join(listed) + f"\n{_expected(timm_name)}"


def _expected(timm_name: str) -> str:
    return (
        f"Expected weights of {timm_name} under timm's names, or a checkpoint of this toolkit "
        "for it; docs/weights.md lists the layouts that are read."
    )


def _other_library(state: StateDict) -> str:
    for pattern, library in OTHER_NAMES:
        if any(re.search(pattern, name) for name in state):
            return library
    return ""


def _other_channels(state: StateDict, expected: StateDict) -> str:
    """The first convolution, if it takes another number of channels than photographs have."""
    for name, tensor in expected.items():
        found = state.get(name)
        if tensor.ndim == 4 and tensor.shape[1] == 3 and found is not None and found.ndim == 4:
            if found.shape[1] != 3 and found.shape[0] == tensor.shape[0]:
                return f"{name} takes {found.shape[1]} channels, and photographs have 3."
            return ""
    return ""


def _unknown_prefix(state: StateDict, expected: StateDict) -> str:
    found = overlaps(state, expected)
    # Of two copies, a teacher rather than its student, and a trained encoder rather than its echo.
    prefix = max(found, key=lambda p: (found[p], not SECOND.search(p)), default="")
    return prefix if found.get(prefix, 0) >= len(expected) / 2 else ""


def _architecture(timm_name: str, state: StateDict, expected: StateDict) -> str:
    """The architecture whose weights these are, if it is another of LOOKALIKES."""
    shapes = {name: tensor.shape for name, tensor in state.items() if name != "pos_embed"}
    own = sum(shapes.get(name) == tensor.shape for name, tensor in expected.items())
    if own >= ALIKE * len(shapes):
        return ""
    families = [
        names for pattern, names in LOOKALIKES if any(re.match(pattern, name) for name in shapes)
    ]
    found = {}
    for name in (name for names in families[:1] for name in names):
        if name == timm_name.split(".")[0] or not timm.is_model(name):
            continue
        other = _shapes(name)
        same = sum(shapes.get(key) == shape for key, shape in other.items())
        if same >= ALIKE * max(len(other), len(shapes)):
            found[name] = same
    return max(found, key=lambda name: found[name], default="")


@cache
def _shapes(timm_name: str) -> dict[str, torch.Size]:
    """The shapes of a model's weights, without the position table, which depends on the input."""
    with torch.device("meta"):
        state = timm.create_model(timm_name, num_classes=0).state_dict()
    return {name: tensor.shape for name, tensor in state.items() if name != "pos_embed"}


def _listed(state: StateDict, expected: StateDict) -> list[str]:
    """The weights that are missing, left over, and of another shape, a line each."""
    missing = [name for name in expected if name not in state]
    over = [name for name in state if name not in expected]
    shapes = [
        f"{name} {tuple(state[name].shape)} for {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape and name != "pos_embed"
    ]
    lines = [f"missing: {_some(missing)}"] if missing else []
    if over:
        prefixes = list(dict.fromkeys(f"'{name.partition('.')[0]}.'" for name in over))
        lines.append(f"left over: {_some(over)}; under {_some(prefixes)}")
    return lines + ([f"other shapes: {_some(shapes)}"] if shapes else [])


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
