"""What the features of a frozen backbone depend on, beside the photograph and its view."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import timm
import torch
from torch import nn

from dr_ovo.decoded.places import store_name
from dr_ovo.models.backbone import InputSpec
from dr_ovo.photographs.preprocessing import Preprocessing

VERSION = 1  # increase it when the same backbone would be given other inputs


def identity_of(
    architecture: str,
    backbone: nn.Module,
    spec: InputSpec,
    preprocessing: Preprocessing,
    device: torch.device,
) -> dict[str, Any]:
    """All that decides the bits of features, as plain values: weights, input, and what computes.

    Another number of threads, or another GPU, rounds otherwise: a training that finds its features
    has the bits of one that computes them.
    """
    return {
        "version": VERSION,
        "architecture": architecture,
        "weights": weights_sha256(backbone),
        "input": [spec.size, list(spec.mean), list(spec.std)],
        "pixels": store_name(preprocessing),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "computed_on": computed_on(device),
    }


def as_text(identity: dict[str, Any]) -> str:
    """The identity as one text."""
    return json.dumps(identity, sort_keys=True)


def weights_sha256(module: nn.Module) -> str:
    """64 hex digits of the names, shapes and values of a module's weights."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def computed_on(device: torch.device) -> str:
    """The device, in words that tell apart those that round otherwise."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
