"""What weights an architecture has, and whether those of a checkpoint are the same."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import timm
import torch

from dr_ovo.models.backbone import create_backbone, feature_width
from dr_ovo.models.input_size import SIZE_ERRORS
from dr_ovo.models.weights.containers import StateDict

KINDS = {torch.float32}  # of the numbers of a head


class NoArchitectureError(Exception):
    """A name that this timm does not know."""


class OtherWeightsError(Exception):
    """Weights that are not those of an architecture; the text says which."""


@dataclass(frozen=True)
class BuiltBackbone:
    """The weights that a backbone has, without their numbers, and how many features it gives."""

    state: StateDict
    width: int

    def require_same(self, state: StateDict) -> None:
        """Raises OtherWeightsError for other names, shapes or kinds of numbers."""
        for name in dict.fromkeys([*self.state, *state]):
            here, wanted = (_kind(each.get(name)) for each in (state, self.state))
            if here != wanted:
                raise OtherWeightsError(f"{name} is {here}, where {wanted} is expected")

    def require_head(self, state: StateDict) -> None:
        """Raises OtherWeightsError for a head that takes another number of features."""
        head = state["head.weight"]
        if head.shape[1] != self.width or {head.dtype, state["head.bias"].dtype} != KINDS:
            raise OtherWeightsError(f"head.weight is {_kind(head)}, for {self.width} features")


@lru_cache(maxsize=16)  # the members of an ensemble are often of one architecture
def built_backbone(architecture: str, size: int) -> BuiltBackbone:
    """The backbone for inputs of `size` pixels, built on the meta device: it takes no memory,
    whatever it is. Raises NoArchitectureError; OtherWeightsError where it can't be built."""
    if not timm.is_model(architecture.partition(".")[0]):
        raise NoArchitectureError(f"timm {timm.__version__} has no model {architecture}")
    try:
        with torch.device("meta"):
            backbone = create_backbone(architecture, size, weights=None)
            return BuiltBackbone(backbone.state_dict(), feature_width(backbone, size))
    except SIZE_ERRORS as error:
        raise OtherWeightsError(f"it can't be built for {size} pixels ({error})") from None


def _kind(tensor: torch.Tensor | None) -> str:
    if tensor is None:
        return "missing"
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
