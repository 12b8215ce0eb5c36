"""What the environment says of a process."""

from __future__ import annotations

import pytest
import torch

from dr_ovo.device import select_device
from dr_ovo.distributed.place import Place, place_in_environment
from dr_ovo.errors import UserError

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@pytest.fixture
def set_place(monkeypatch: pytest.MonkeyPatch):
    def call(*values: str | None) -> None:
        for name, value in zip(NAMES, values, strict=True):
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, value)

    return call


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((None, None, None, None), None),
        (("0", None, None, None), None),
        (("0", "1", "0", "1"), None),
        (("3", "4", "1", "2"), Place(3, 4, 1, 2)),
        (("1", "2", None, None), Place(1, 2, 1, 2)),
    ],
)
def test_place(values, expected, set_place):
    set_place(*values)
    assert place_in_environment() == expected


@pytest.mark.parametrize("values", [("x", "2", "0", "2"), ("2", "2", "0", "2"), ("0", "", "", "")])
def test_numbers_that_make_no_sense(values, set_place):
    set_place(*values)
    with pytest.raises(UserError, match="torchrun"):
        place_in_environment()


def test_each_process_takes_its_own_gpu(set_place, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    set_place("3", "4", "1", "2")
    assert select_device("auto") == select_device("cuda") == torch.device("cuda", 1)
    assert select_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="each needs its own"):
        select_device("cuda:0")
    set_place("3", "4", "3", "4")
    with pytest.raises(UserError, match="nproc_per_node 2"):
        select_device("auto")
