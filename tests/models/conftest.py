"""Small networks with random weights, of any architecture."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dr_ovo.data.preprocess import Preprocessing
from dr_ovo.models.architectures import resolve_architecture
from dr_ovo.models.backbone import create_backbone, input_spec
from dr_ovo.models.checkpoint import checkpoint_path, save_checkpoint
from dr_ovo.models.network import BranchSpec, OvoNetwork, branch_specs, build_network
from dr_ovo.pairs import class_pairs


def unsettle(backbone: nn.Module, images: torch.Tensor) -> None:
    """Takes every weight away from its initial value, and BatchNorm statistics to those of images:
    a norm left out, or a residual branch that starts at nothing, would not be seen else."""
    generator = torch.Generator().manual_seed(0)
    norms = [module for module in backbone.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    with torch.no_grad():
        for parameter in backbone.parameters():
            noise = torch.rand(parameter.shape, generator=generator)
            parameter.mul_(0.8 + 0.4 * noise)
            if parameter.ndim == 1:
                parameter.add_(0.2 * noise - 0.1)
        for norm in norms:
            norm.momentum = 1.0
        backbone.train()(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@dataclass(frozen=True)
class Built:
    """A network, the backbone that it was made of, whole, and images that it takes."""

    backbone: nn.Module
    network: OvoNetwork
    images: torch.Tensor

    @property
    def branch(self) -> Any:
        """The first branch."""
        return next(iter(self.network.branches.values()))


def build(
    name: str,
    *,
    frozen: int = 2,
    size: int = 64,
    specs: Sequence[BranchSpec] | None = None,
    dropout: float = 0.0,
    seed: int = 0,
) -> Built:
    torch.manual_seed(seed)
    backbone = create_backbone(resolve_architecture(name), size, None)
    # Patches of colour: noise looks all the same after pooling.
    patches = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    images = nn.functional.interpolate(patches, size)
    unsettle(backbone, images)
    specs = specs or branch_specs("ovo", "shared", 5, class_pairs(5))
    network = build_network(
        copy.deepcopy(backbone),
        list(specs),
        img_size=size,
        frozen_stages=frozen,
        dropout=dropout,
        seed=seed,
    )
    return Built(backbone.eval(), network, images)


@pytest.fixture(scope="session")
def build_small() -> Callable[..., Built]:
    """`build_small(alias, frozen=2, size=64, specs=None, dropout=0.0, seed=0)`; one shared branch
    of five grades unless `specs` say else."""
    return build


def meta_of(
    network: OvoNetwork, spec: BranchSpec, architecture: str, head: str, mode: str, classes: int
) -> dict[str, Any]:
    """The meta data that a training writes beside the weights of a branch."""
    given = input_spec(architecture, 64)
    preprocessing = Preprocessing(64)
    accuracy = [{"pair": list(pair), "val_accuracy": 0.5 + 0.01 * sum(pair)} for pair in spec.pairs]
    return {
        "version": "0",
        "architecture": architecture,
        "head": head,
        "ovo_mode": mode,
        "branch": spec.name,
        "pairs": [list(pair) for pair in spec.pairs],
        "class_names": [str(grade) for grade in range(classes)],
        "num_classes": classes,
        "input": {"size": given.size, "mean": list(given.mean), "std": list(given.std)},
        "preprocessing": preprocessing.to_dict(),
        "preprocessing_hash": preprocessing.hash,
        "freeze_stages": network.frozen_stages,
        "epoch": 3,
        "metrics": {"val_loss": 0.25, "pairs": accuracy},
    }


@pytest.fixture(scope="session")
def save_network() -> Callable[..., list[Path]]:
    """Writes a checkpoint of every branch of a network, as a training does."""

    def save(
        models: Path,
        network: OvoNetwork,
        specs: Sequence[BranchSpec],
        architecture: str = "test_efficientnet",
        head: str = "ovo",
        classes: int = 5,
        **changes: Any,
    ) -> list[Path]:
        mode = "independent" if len(specs) > 1 else "shared"
        paths = []
        for spec in specs:
            branch = network.branch(spec.name)
            state = {
                **{f"backbone.{k}": v for k, v in network.backbone_state(spec.name).items()},
                **{f"head.{k}": v for k, v in branch.head.state_dict().items()},
            }
            meta = meta_of(network, spec, architecture, head, mode, classes) | changes
            path = checkpoint_path(models, architecture, spec.name)
            save_checkpoint(path, meta, state, {"feature_mean": torch.arange(3.0)})
            paths.append(path)
        return paths

    return save
