"""Damage at seeded places: it is told, or what is read is what was written."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch

from dr_ovo.errors import UserError
from dr_ovo.safe_files.npz import open_npz
from dr_ovo.safe_files.problems import ChecksumError, RefusedFileError
from dr_ovo.safe_files.rules import FOREIGN, OURS
from dr_ovo.safe_files.torch_loading import damage_of, load_torch, read_torch
from tests.fixtures.hostile import mutated, mutated_zip
from tests.fixtures.slow import slow

EARLIER = Path(__file__).resolve().parents[1] / "earlier_results"
OLD = (  # of earlier versions: a checkpoint, a state of a training, its stem
    EARLIER / "shared" / "models" / "best_test_convnext_ovo.pth",
    EARLIER / "shared_stopped" / "resume" / "ovo.epoch1.pth",
    EARLIER / "shared_stopped" / "resume" / "stem.pth",
)


def equal(one: object, other: object) -> bool:
    """Whether two contents of files are the same, bit by bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and bytes_of(one) == bytes_of(other)
    if isinstance(one, dict):
        same = isinstance(other, dict) and one.keys() == other.keys()
        return same and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        same = isinstance(other, list | tuple) and len(one) == len(other)
        return same and all(map(equal, one, other))
    return repr(one) == repr(other)  # also of NaN


def bytes_of(tensor: torch.Tensor) -> tuple[object, ...]:
    return tensor.dtype, tensor.shape, tensor.contiguous().reshape(-1).view(torch.uint8).tolist()


@pytest.mark.parametrize("source", [*slow(*OLD[:2]), OLD[2]], ids=lambda path: path.name)
def test_one_flipped_bit_in_an_old_file_is_told(tmp_path, source):
    data, rng = source.read_bytes(), np.random.default_rng(0)
    whole, path = read_torch(source), tmp_path / source.name
    told = 0
    for _ in range(40):
        changed = bytearray(data)
        changed[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        if damage_of(path):
            told += 1
            with pytest.raises(UserError, match="can't be loaded safely"):
                load_torch(path, "Restore it.")
        else:  # in what fills up the space between parts, or says when they were written
            assert equal(read_torch(path), whole)
    assert told >= 36


def test_a_flipped_bit_in_a_tensor_is_named_by_its_part(tmp_path):
    path = tmp_path / "a.pth"
    torch.save({"x": torch.arange(1000.0)}, path)
    data = bytearray(path.read_bytes())
    data[data.index(torch.tensor(999.0).numpy().tobytes())] ^= 1
    path.write_bytes(data)
    with pytest.raises(ChecksumError, match=r"checksum of its part \w+/data/0 is wrong"):
        read_torch(path)
    assert read_torch(path, checksums=False)["x"][-1] != 999.0


@pytest.mark.parametrize("damage", [mutated, mutated_zip])
@pytest.mark.parametrize("source", [*slow(OLD[0]), OLD[1]], ids=lambda path: path.name)
def test_any_damage_ends_in_a_reason_or_in_content(tmp_path, source, damage):
    data, rng = source.read_bytes(), np.random.default_rng(1)
    whole, path = read_torch(source), tmp_path / source.name
    refused = 0
    for _ in range(60):
        path.write_bytes(damage(data, rng))
        for rules in (OURS, FOREIGN):
            try:
                content = read_torch(path, rules)
            except RefusedFileError:
                refused += 1
            else:  # checksums that agree with the damage hide it
                assert damage is mutated_zip or equal(content, whole)
    assert refused > 30


def test_the_same_seed_does_the_same_damage():
    data = OLD[0].read_bytes()
    for damage in (mutated, mutated_zip):
        once, again = (damage(data, np.random.default_rng(5)) for _ in range(2))
        assert once == again != data
        assert damage(data, np.random.default_rng(6)) != once


@pytest.mark.parametrize("damage", [mutated, mutated_zip])
def test_any_damage_to_arrays_ends_in_a_reason_or_in_arrays(tmp_path, damage):
    data, rng = (EARLIER / "shared" / "predictions_test.npz").read_bytes(), np.random.default_rng(2)
    path, refused = tmp_path / "a.npz", 0
    with np.load(io.BytesIO(data)) as held:
        whole = dict(held)
    for _ in range(100):
        path.write_bytes(damage(data, rng))
        try:
            with open_npz(path) as arrays:
                read = {name: arrays.read(name) for name in arrays.parts}
        except RefusedFileError:
            refused += 1
        else:
            assert damage is mutated_zip or all(
                np.array_equal(read[name], whole[name], equal_nan=whole[name].dtype.kind == "f")
                for name in whole
            )
    assert refused > 50
