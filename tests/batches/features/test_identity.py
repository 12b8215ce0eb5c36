"""What features depend on names their store."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from dr_ovo.batches.features.identity import as_text, identity_of, weights_sha256
from dr_ovo.decoded.places import features_folder, is_store_name
from dr_ovo.models.backbone import InputSpec
from dr_ovo.photographs.preprocessing import Preprocessing

SPEC = InputSpec(32, (0.5,) * 3, (0.5,) * 3)
CPU = torch.device("cpu")


def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def text(**changes: object) -> str:
    given = {
        "architecture": "resnet18", "backbone": module(), "spec": SPEC,
        "preprocessing": Preprocessing(32), "device": CPU,
    }  # fmt: skip
    return as_text(identity_of(**(given | changes)))


def test_the_same_again():
    assert text() == text()


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "resnet34"},
        {"spec": dataclasses.replace(SPEC, mean=(0.4, 0.5, 0.5))},
        {"preprocessing": Preprocessing(32, clahe=False)},
    ],
)
def test_another_input_or_architecture(changes):
    assert text(**changes) != text()


def test_other_weights():
    for change in ("0.weight", "1.running_mean", "1.num_batches_tracked"):
        other = module()
        other.state_dict()[change].add_(1)
        assert weights_sha256(other) != weights_sha256(module())
    renamed = nn.Sequential(nn.Identity(), *module())
    assert weights_sha256(renamed) != weights_sha256(module())


def test_the_memory_format_is_not_part_of_the_weights():
    other = module().to(memory_format=torch.channels_last)
    assert weights_sha256(other) == weights_sha256(module())


def test_another_number_of_threads(monkeypatch):
    before = text()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    assert text() != before


def test_the_folder_is_one_that_the_cache_command_knows(tmp_path):
    folder = features_folder(tmp_path, text())
    assert is_store_name(folder.name)
    assert folder != features_folder(tmp_path, text(architecture="resnet34"))
    assert not is_store_name(folder.name.replace("features-", "features-x"))
