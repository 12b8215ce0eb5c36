"""Checkpoints of other programs are read in a process of their own, and nothing of it stays."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from dr_ovo.errors import MachineError, UserError
from dr_ovo.models.weights.reading import read_content
from dr_ovo.reports.checkpoints.reader import read_checkpoint
from dr_ovo.reports.checkpoints.record import UnreadableError
from dr_ovo.safe_files import foreign
from dr_ovo.safe_files.foreign import read_foreign
from dr_ovo.safe_files.problems import (
    ChecksumError,
    DamagedError,
    ExcessError,
    ObjectsError,
)
from tests.fixtures.hostile import torch_bombs
from tests.fixtures.slow import slow

READ_APART = foreign.read_apart  # before the tests' own reader takes its place
ROOT = Path(__file__).resolve().parents[2]
ZIP, LEGACY = pytest.param(True, id="zip"), pytest.param(False, id="legacy")
SLOW_LEGACY = pytest.param(False, id="legacy", marks=pytest.mark.slow)
SLOW_ZIP = pytest.param(True, id="zip", marks=pytest.mark.slow)
ODD_NAME = os.fsdecode(b"caf\xe9 'a\" %s.pth")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, of which none is left. Files are read as commands do it."""
    inside = tmp_path / "temporary"
    inside.mkdir()
    monkeypatch.setattr(foreign, "read_apart", READ_APART)
    monkeypatch.setenv("TMPDIR", str(inside))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield inside
    assert list(inside.iterdir()) == []


def save(path: Path, content: object, *, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


# --- what comes back


def tensors() -> dict[str, torch.Tensor]:
    numbers = torch.arange(240, dtype=torch.float32)
    matrix = numbers.reshape(12, 20)
    kinds = (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
        torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64,
    )  # fmt: skip
    return {
        "whole": numbers,
        "every third": numbers[5::3],
        "transposed": matrix.T,
        "a window": matrix[2:5, 3:9],
        "expanded": torch.tensor([1.5]).expand(4, 3),
        "a number": torch.tensor(3.25),
        "empty": torch.empty(0, 4),
        "odd numbers": torch.tensor([float("nan"), float("inf"), -0.0, 1e-45]),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "needs gradients": torch.ones(2, requires_grad=True),
        "channels last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        **{str(kind): torch.arange(-3, 4).to(kind) for kind in kinds},
    }


def look(tensor: torch.Tensor) -> tuple[object, ...]:
    """All that can be seen of a tensor, bit by bit."""
    data = tensor.detach().contiguous().reshape(-1).view(torch.uint8).tolist()
    return (
        type(tensor), tensor.dtype, tensor.shape, tensor.stride(), tensor.storage_offset(),
        tensor.requires_grad, data,
    )  # fmt: skip


@pytest.mark.parametrize("zipped", [ZIP, SLOW_LEGACY])
def test_tensors_come_back_bit_by_bit(tmp_path, zipped):
    written = tensors()
    read = read_foreign(save(tmp_path / "a.pth", {"state_dict": written}, zipped=zipped))
    found = read["state_dict"]
    assert [*found] == [*written]
    for name, tensor in written.items():
        assert look(found[name]) == look(tensor), name
    shared = ("whole", "every third", "transposed", "a window")
    assert len({found[name].untyped_storage().data_ptr() for name in shared}) == 1
    found["whole"][5] = 99  # it can be written, and that is seen by what shares its numbers
    assert found["every third"][0] == 99


@pytest.mark.parametrize("zipped", [SLOW_ZIP, LEGACY])
def test_what_stands_beside_the_tensors_comes_back(tmp_path, zipped):
    network = torch.nn.BatchNorm1d(3)
    content = {
        "model": network.state_dict(),
        "args": argparse.Namespace(lr=1e-3, nested=argparse.Namespace(x=[1, "b"])),
        "numbers": [np.float64(81.5), np.int64(3), np.bool_(True), np.float32(0.1)],
        "plain": (1, -2.5, None, True, "Öhe \udce9", b"\x00\xff", 2**100, 1j, float("inf")),
        "counts": Counter({1: 2, 3: 4}),
        "ordered": OrderedDict(b=1, a=2),
        "torch": (torch.float16, torch.Size([2, 3]), torch.device("cpu")),
        3: {},
    }
    read = read_foreign(save(tmp_path / ODD_NAME, content, zipped=zipped), options=True)
    assert [*read] == [*content]
    assert read["model"]._metadata == network.state_dict()._metadata
    assert all(map(torch.equal, read["model"].values(), content["model"].values()))
    for name in [*content][1:]:
        assert read[name] == content[name], name
        assert type(read[name]) is type(content[name]), name


@pytest.mark.slow
def test_quantized_numbers_come_back(tmp_path):
    written = torch.quantize_per_tensor(torch.rand(3, 4), 0.1, 3, torch.qint8)
    read = read_foreign(save(tmp_path / "a.pth", {"a.weight": written}))["a.weight"]
    assert read.dtype == torch.qint8
    assert torch.equal(read.int_repr(), written.int_repr())


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [ZIP, LEGACY])
def test_a_file_with_an_odd_name_is_read(tmp_path, zipped):
    path = tmp_path / ODD_NAME
    assert read_foreign(save(path, {"epoch": 3}, zipped=zipped)) == {"epoch": 3}


def test_checkpoints_of_this_toolkit_start_no_process(tmp_path, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", None)
    content = {"schema": 1, "toolkit": "dr_ovo", "state_dict": {"a.weight": torch.ones(3)}}
    path = save(tmp_path / "a.pth", content)
    assert read_foreign(path)["toolkit"] == "dr_ovo"
    save(path, content | {"args": argparse.Namespace()})
    with pytest.raises(ObjectsError, match="Namespace"):  # which no file of this toolkit has
        read_foreign(path, options=True)


LATE_CLAIM = {"note": "x" * 99, "toolkit": "dr_ovo"}


@pytest.mark.slow
def test_a_file_with_a_late_claim_is_read(tmp_path):
    assert read_foreign(save(tmp_path / "a.pth", LATE_CLAIM)) == LATE_CLAIM


def test_only_claims_at_the_beginning_count(tmp_path, monkeypatch):
    path = save(tmp_path / "a.pth", LATE_CLAIM)
    monkeypatch.setattr("subprocess.Popen", None)
    with pytest.raises(TypeError):  # it would have started one
        read_foreign(path)


# --- files that are refused


def test_reasons_come_back_as_they_are(tmp_path):
    path = tmp_path / "a.pth"
    for error, data in (
        (ObjectsError, "an unknown name"),
        (ExcessError, "deep nesting"),
        (DamagedError, "a negative stride"),
    ):
        path.write_bytes(torch_bombs("other")[data])
        with pytest.raises(error) as apart:
            read_foreign(path)
        with pytest.raises(error) as here:
            foreign.read_torch(path, foreign.rules_for(False))
        assert str(apart.value) == str(here.value)
        assert vars(apart.value) == vars(here.value)


@pytest.mark.slow
def test_a_wrong_checksum_is_named_by_its_part(tmp_path):
    path = save(tmp_path / "a.pth", {"x.y": torch.arange(1000.0)})
    data = bytearray(path.read_bytes())
    data[data.index(torch.tensor(999.0).numpy().tobytes())] ^= 1
    path.write_bytes(data)
    with pytest.raises(ChecksumError) as error:
        read_foreign(path)
    assert error.value.part == "a/data/0"
    assert read_foreign(path, checksums=False)["x.y"].shape == (1000,)


def test_too_much_memory_is_said_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(foreign, "MEMORY", 1 << 24)
    path = tmp_path / "a.pth"
    save(path, {str(n): [n] for n in range(60_000)})
    with pytest.raises(UserError, match=rf"{path}: it takes more than 16 MiB of memory besides"):
        read_content(path)
    with pytest.raises(UnreadableError, match="not loaded: it takes more than 16 MiB of memory"):
        read_checkpoint(path)


@pytest.fixture
def no_time(tmp_path, monkeypatch) -> Path:
    """A file that no process has the time to read."""
    monkeypatch.setattr(foreign, "SECONDS", 0.0)
    return save(tmp_path / "a.pth", {str(n): [n] for n in range(60_000)}, zipped=False)


def test_too_much_time_is_said_with_the_file(no_time):
    said = rf"{no_time}: it takes more than \d seconds of the processor"
    with pytest.raises(UserError, match=said):
        read_content(no_time)


@pytest.mark.slow
def test_too_much_time_is_said_by_the_analyzer(no_time):
    with pytest.raises(UnreadableError, match=r"not loaded: it takes more than \d seconds"):
        read_checkpoint(no_time)


# --- a process that ends otherwise


def instead(code: str) -> str:
    """The process does this when it has its order."""
    return foreign.CODE.replace("main()", f"import os, signal, time; {code}")


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", DamagedError, r"reading it crashes \(SIGSEGV\)"),
        ("os.abort()", DamagedError, r"reading it crashes \(SIGABRT\)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", MachineError, r"{path} was ended .*\(SIGKILL\)"),
        ("raise MemoryError", MachineError, r"{path} was ended by the machine \(exit code 1\)"),
        ("os._exit(3)", MachineError, r"{path} was ended by the machine \(exit code 3\)"),
        ("os._exit(0)", DamagedError, "does not begin as a file of torch.save"),
    ],
)
def test_how_it_ended_is_said(tmp_path, monkeypatch, code, error, said):
    path = save(tmp_path / "a.pth", {"epoch": 3})
    monkeypatch.setattr(foreign, "CODE", instead(code))
    with pytest.raises(error, match=said.format(path=path)):
        read_foreign(path)


def test_a_disk_without_an_answer_is_not_blamed_on_the_file(tmp_path, monkeypatch):
    path = save(tmp_path / "a.pth", {"epoch": 3})
    monkeypatch.setattr(foreign, "CODE", instead("time.sleep(99)"))
    monkeypatch.setattr(foreign, "STALLED_SECONDS", 0.5)
    begin = time.monotonic()
    with pytest.raises(MachineError, match=rf"Reading {path} gave no answer for \d+ s. Check the"):
        read_content(path)
    assert time.monotonic() - begin < 60


def test_a_machine_that_starts_no_process_says_so(tmp_path, monkeypatch):
    path = save(tmp_path / "a.pth", {"epoch": 3})
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(MachineError, match=rf"No process can be started that reads {path} \(No "):
        read_foreign(path)


def test_a_full_disk_for_the_copy_is_said(tmp_path, monkeypatch):
    path = save(tmp_path / "a.pth", {"x.y": torch.rand(10_000)})
    monkeypatch.setattr(foreign, "LONGER", 1000 - path.stat().st_size)
    with pytest.raises(MachineError, match=r"copied into .* \(TMPDIR .* failed: File too large\."):
        read_foreign(path)


def test_a_file_that_can_not_be_read_is_named(tmp_path):
    path = tmp_path / "gone.pth"
    with pytest.raises(FileNotFoundError):
        read_foreign(path)


# --- the end of the process that asked

PARENT = """
import subprocess, sys
from pathlib import Path
from dr_ovo.errors import run
from dr_ovo.safe_files import foreign

start = foreign._start

def started(order):
    process = start(order)
    print(process.pid, flush=True)
    return process

foreign._start = started
foreign.CODE = foreign.CODE.replace(
    "import main; main()",
    "import Connection, end_with, os; end_with(Connection(os.dup(0), writable=False)); "
    "import time; [time.sleep(0.1) for _ in range(900)]",
)
sys.exit(run(lambda: foreign.read_apart(Path(sys.argv[1]), options=False, checksums=True)))
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGKILL, -9), *slow((signal.SIGINT, 130), (signal.SIGTERM, 143))],
)
def test_it_ends_with_the_process_that_asked(tmp_path, number, code):
    path = save(tmp_path / "a.pth", {"epoch": 3})
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, path], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    pid = int(parent.stdout.readline())
    assert is_running(pid)
    if number == signal.SIGINT:
        os.killpg(parent.pid, number)  # as a terminal does
    else:
        parent.send_signal(number)
    out, err = parent.communicate(timeout=60)
    assert (parent.returncode, out, err) == (code, "", "")
    give_up = time.monotonic() + 30
    while is_running(pid) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not is_running(pid)


# --- commands


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [ZIP, LEGACY])
def test_the_analyzer_shows_a_checkpoint_of_another_program(tmp_path, zipped, command):
    content = {"state_dict": {"a.weight": torch.ones(3, 4)}, "best_acc": 91.5, "epoch": 7}
    path = save(tmp_path / "best_resnet50_0_1.pth", content, zipped=zipped)
    done = command("reports.analyze", "--model", path, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resnet50" in done.stdout
    assert "91.5 %" in done.stdout


def test_the_analyzer_ends_with_exit_2_and_the_reason(tmp_path, command):
    path = tmp_path / "a.pth"
    path.write_bytes(torch_bombs("other")["doubled lists"])
    done = command("reports.analyze", "--model", path, folder=tmp_path)
    assert done.returncode == 2
    assert f"{path}: not loaded: it holds more than 1,000,000 values" in done.stderr
