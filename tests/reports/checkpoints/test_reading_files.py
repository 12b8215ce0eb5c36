from __future__ import annotations

import argparse
import contextlib
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dr_ovo.reports.checkpoints.reader import read_content
from dr_ovo.reports.checkpoints.record import UnreadableError

SCALARS = [np.float64(0.9125), np.float32(0.5), np.int64(41), np.bool_(True)]


class Payload:
    """Unpickling it writes a file: a stand-in for hostile code."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("scalar", SCALARS)
@pytest.mark.parametrize("zipped", [True, False])
def test_numpy_scalars_load(tmp_path: Path, scalar: np.generic, zipped: bool) -> None:
    path = tmp_path / "old.pth"
    torch.save({"value": scalar}, path, _use_new_zipfile_serialization=zipped)
    assert read_content(path)["value"] == scalar


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numpy_scalars_load_under_the_names_of_numpy_1_and_2(tmp_path: Path, module: str) -> None:
    data = pickle.dumps({"value": np.float64(0.9125)}, protocol=2)
    names = (b"numpy.core.multiarray", b"numpy._core.multiarray")
    for name in names:
        data = data.replace(name, module.encode())
    assert module.encode() in data
    path = tmp_path / "old.pth"
    torch.save({"value": 0}, path)
    with_pickle(path, data)
    assert read_content(path) == {"value": 0.9125}


def with_pickle(path: Path, data: bytes) -> None:
    """Puts another pickle into a checkpoint."""
    reader = torch._C.PyTorchFileReader(str(path))
    names = [name for name in reader.get_all_records() if name != "data.pkl"]
    records = {name: reader.get_record(name) for name in names if not name.startswith(".")}
    writer = torch._C.PyTorchFileWriter(str(path))
    for name, record in {"data.pkl": data, **records}.items():
        if name != "version":
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()


def test_pickled_classes_are_named_and_never_run(tmp_path: Path) -> None:
    target = tmp_path / "written by the checkpoint"
    path = tmp_path / "hostile.pth"
    torch.save({"state_dict": {}, "extra": Payload(target)}, path)
    with pytest.raises(UnreadableError, match="not loaded: it holds pickled Python objects"):
        read_content(path)
    assert not target.exists()
    torch.save({"args": argparse.Namespace(epochs=3)}, path)
    with pytest.raises(UnreadableError, match=r"argparse\.Namespace"):
        read_content(path)


def test_empty_truncated_and_foreign_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.touch()
    with pytest.raises(UnreadableError, match="0 bytes"):
        read_content(path)
    path.write_text("these are not the weights")
    with pytest.raises(UnreadableError, match="not a PyTorch checkpoint"):
        read_content(path)
    torch.save({"w": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UnreadableError, match="damaged or truncated"):
        read_content(path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "sound.pth"
    torch.save({"epoch": 3, "value": np.float64(0.5), "w": torch.ones(5)}, path)
    return path


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(place=st.floats(0, 0.999), value=st.integers(0, 255))
def test_any_altered_byte_ends_in_content_or_in_a_reason(
    sound: Path, place: float, value: int
) -> None:
    data = bytearray(sound.read_bytes())
    data[int(place * len(data))] = value
    path = sound.with_name("altered.pth")
    path.write_bytes(data)
    with contextlib.suppress(UnreadableError):
        assert isinstance(read_content(path), dict)
