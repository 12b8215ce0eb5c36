"""Exit codes: one message for expected errors, a traceback in the log for unexpected ones."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import pytest
import torch

from dr_ovo import errors
from dr_ovo.commands import trainer as trainer_command
from dr_ovo.commands.trainer import run_mode
from dr_ovo.errors import MachineError, ToolkitError, UserError, run
from dr_ovo.safe_files.torch_saving import save_torch
from dr_ovo.settings.command_line import parse_settings
from tests.fixtures.prepared import Prepared

ROOT = Path(__file__).resolve().parents[1]
TRAINER = ROOT / "ensemble_5class_trainer.py"


def close_log() -> None:
    for handler in list(errors.log.handlers):
        errors.log.removeHandler(handler)
        with contextlib.suppress(OSError):  # a log on a full disk
            handler.close()


@pytest.fixture(autouse=True)
def _process_of_its_own(tmp_path, monkeypatch) -> Iterator[None]:
    """Signals and log as in a new process; restores pytest's own afterwards."""
    monkeypatch.chdir(tmp_path)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    raises = logging.raiseExceptions
    close_log()
    # pytest attaches its own handler to loggers that don't propagate.
    monkeypatch.setattr(errors.log, "propagate", True)
    yield
    close_log()
    for number, handler in before.items():
        signal.signal(number, handler)
    logging.raiseExceptions = raises


def caused_by(cause: BaseException, error: Exception) -> Exception:
    error.__cause__ = cause
    return error


def raising(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


def test_codes_are_those_that_scripts_rely_on():
    names = ("DONE", "NOT_MET", "WRONG_INPUT", "LEAK", "MACHINE_FAILED", "UNEXPECTED")
    assert [getattr(errors, name) for name in names] == [0, 1, 2, 3, 4, 70]
    assert (errors.INTERRUPTED, errors.TERMINATED) == (130, 143)
    assert (UserError.exit_code, MachineError.exit_code, ToolkitError.exit_code) == (2, 4, 70)


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_command_that_ends_gives_its_own_code(code, capsys):
    assert run(lambda: code) == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("No such folder."), 2, "error: No such folder.\n"),
        (UserError("Two\nlines."), 2, "error: Two\nlines.\n"),
        (MachineError("The disk is full."), 4, "error: The disk is full.\n"),
        (KeyboardInterrupt(), 130, ""),
        (errors.Terminated(), 143, ""),
    ],
)
def test_foreseen_ends(error, code, message, capsys):
    assert run(raising(error)) == code
    assert capsys.readouterr() == ("", message)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), "memory is full (MemoryError)"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory is full"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate "
                         "memory: you tried to allocate 86400000000 bytes."),
            "memory is full",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB.\nmore"), "memory is full"),
        (RuntimeError("unable to open shared memory object </torch_1>"), "memory is full"),
        (RuntimeError("std::bad_alloc"), "memory is full"),
        (
            ImportError("libtorch_cpu.so: failed to map segment from shared object"),
            "memory is full",
        ),
        (caused_by(MemoryError(), ImportError("numpy needs help")), "memory is full (MemoryError)"),
        (cv2.error("OpenCV: Failed to allocate 99 bytes: (-4:Insufficient memory)"), "is full"),
        (RuntimeError("can't start new thread"), "no further thread or process"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "(ulimit -u)"),
        (BrokenProcessPool("A process was terminated abruptly"), "no further thread or process"),
        (OSError(errno.EMFILE, "Too many open files"), "(ulimit -n)"),
    ],
)  # fmt: skip
def test_what_the_machine_did(error, expected, capsys):
    assert run(raising(error)) == 4
    out, message = capsys.readouterr()
    assert out == ""
    assert expected in message
    assert len(message.splitlines()) == 1
    assert "--resume" in message


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space, then"),
        (errno.EDQUOT, "quota) is used up: free some space, then"),
        (errno.EIO, "Check the disk"),
        (errno.EROFS, "The disk is read-only: make it writable, or name an output on another"),
    ],
)
@pytest.mark.parametrize("way_on", ["", "continue with --resume"])
def test_what_the_disk_did_and_how_this_command_goes_on(number, advice, way_on, capsys):
    def command() -> int:
        if way_on:
            errors.WAY_ON.set(way_on)
        raise OSError(number, os.strerror(number))

    assert run(command) == 4
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith(f"error: the disk failed ([Errno {number}] ")
    assert advice in message
    assert message.endswith(f"then {way_on or 'run the command again'}.")
    assert ("space" in message) == (number in (errno.ENOSPC, errno.EDQUOT))


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG]
)
def test_a_path_that_can_not_be_used_is_the_callers(number, capsys):
    assert run(raising(OSError(number, os.strerror(number), "some/place"))) == 2
    assert f"error: some/place: {os.strerror(number)}." in capsys.readouterr().err


UNEXPECTED = [
    ValueError("odd\nsecond line"),
    KeyError("gone"),
    RuntimeError("shapes do not match"),
    # A bug in a worker, which is not the machine's fault.
    RuntimeError("Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback"),
    FileNotFoundError(errno.ENOENT, "No such file or directory", "models/x.pth"),
    PermissionError("without a path"),
]


@pytest.mark.parametrize("error", UNEXPECTED, ids=repr)
def test_an_unforeseen_error_keeps_its_traceback_in_a_file(error, capsys):
    assert run(raising(error)) == 70
    out, message = capsys.readouterr()
    assert out == ""
    (line,) = message.splitlines()
    match = re.fullmatch(rf"error: unexpected {type(error).__name__}: .*Traceback in (.+)", line)
    assert match is not None
    file = Path(match[1])
    text = file.read_text()
    file.unlink()
    assert text.startswith("Traceback (most recent call last):")
    assert "in command" in text


def with_log(monkeypatch, command: Callable[[], int]) -> tuple[int, str]:
    """The exit code of `command` as a mode of the trainer, and its log file."""
    monkeypatch.setitem(trainer_command.MODES, "train", lambda _settings: command())
    code = run(lambda: run_mode(parse_settings(["--log_file", "logs/run.log"])))
    return code, Path("logs/run.log").read_text()


def test_an_unforeseen_error_keeps_its_traceback_in_the_open_log(monkeypatch, capsys):
    code, log = with_log(monkeypatch, raising(ZeroDivisionError("by zero")))
    assert code == 70
    out, message = capsys.readouterr()
    assert out == ""
    (line,) = message.splitlines()
    assert line.startswith("error: unexpected ZeroDivisionError: by zero. Traceback in ")
    assert line.endswith("logs/run.log")
    assert "Traceback (most recent call last):" in log
    assert "raise error" in log
    assert line in log


@pytest.mark.parametrize(
    ("error", "code"),
    [(UserError("wrong"), 2), (MachineError("broken"), 4), (MemoryError("full"), 4)],
)
def test_a_foreseen_error_reaches_the_log_without_a_traceback(error, code, monkeypatch, capsys):
    ended, log = with_log(monkeypatch, raising(error))
    assert ended == code
    (line,) = capsys.readouterr().err.splitlines()
    (logged,) = log.splitlines()
    assert logged.endswith(line)
    assert line.startswith("error: ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_log_that_can_not_be_written_prints_no_traceback(capsys):
    assert run(lambda: run_mode(parse_settings(["--log_file", "/dev/full"]))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --base_models is missing.")


def test_names_can_not_act_on_the_terminal(capsys):
    assert run(raising(UserError("There is no \x1b[2J\u202eevil\r\x07.\nNext line."))) == 2
    assert capsys.readouterr().err == (
        "error: There is no \\x1b[2J\\u202eevil\\r\\x07.\nNext line.\n"
    )


def test_names_can_not_act_on_the_log(monkeypatch, capsys):
    def command() -> int:
        errors.log.info("read %s", "a\x1b[31m\udcff\u4e2d.png")
        return 0

    code, log = with_log(monkeypatch, command)
    assert code == 0
    assert log.endswith(" read a\\x1b[31m\\udcff\u4e2d.png\n")
    assert capsys.readouterr().out == "read a\\x1b[31m\\udcff\u4e2d.png\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_that_a_library_turns_into_another_error(number, code, capsys):
    def command() -> int:
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        except BaseException as error:
            raise ImportError("numpy.core failed to import") from error
        return 0

    assert run(command) == code
    assert capsys.readouterr() == ("", "")
    assert run(raising(ZeroDivisionError())) == 70  # the next one is not of that signal


def test_sigterm_ends_a_command_like_ctrl_c_does():
    finished = []

    def command() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            finished.append("files")
        return 0

    assert run(command) == 143
    assert finished == ["files"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_a_checkpoint_is_written_is_no_failure_of_the_disk(
    number, code, tmp_path, capsys
):
    path, part = tmp_path / "state.pth", tmp_path / "state.pth.part"
    save_torch(path, {"epoch": 1})
    before = path.read_bytes()

    def send_when_writing_has_begun() -> None:
        while not (part.exists() and part.stat().st_size):
            time.sleep(0)
        os.kill(os.getpid(), number)

    def command() -> int:
        sender = threading.Thread(target=send_when_writing_has_begun)
        sender.start()
        try:
            save_torch(path, {str(n): torch.zeros(1_000_000) for n in range(20)})
        finally:
            sender.join()
        return 0

    assert run(command) == code, capsys.readouterr().err
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_that_has_gone_ends_quietly(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    assert run(raising(BrokenPipeError(errno.EPIPE, "Broken pipe"))) == 0
    assert screen.closed


def test_a_training_goes_on_when_the_reader_of_its_log_has_gone(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr(sys, "stdout", os.fdopen(writing, "w"))

    def command() -> int:
        errors.log.info("epoch 1")
        errors.log.info("epoch 2")
        return 0

    code, log = with_log(monkeypatch, command)
    assert code == 0
    assert [line.split(maxsplit=2)[2] for line in log.splitlines()] == ["epoch 1", "epoch 2"]
    sys.stdout.close()


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--base_models", "test_resnet", "--dataset_path", "nowhere"], "folder nowhere does not"),
        (["--base_models", "resnet51"], "There is no model 'resnet51'"),
        (["--base_models", "test_resnet", "--device", "tpu"], "'tpu' is not a device"),
        (["--base_models", "test_resnet", "--dataset_path", "x" * 300], "File name too long"),
        (["--mode", "evaluate"], "Name a model with --base_models"),
        (["--mode", "evaluate", "--output_dir", "nowhere"], "No checkpoints in nowhere/models"),
        (["--mode", "inference"], "needs --input"),
        (["--mode", "inference", "--input", "nowhere.png"], "--input nowhere.png: there is no"),
        (["--log_file", "."], "--log_file .: can't be written"),
    ],
)
def test_mistakes_are_one_message_and_nothing_is_begun(argv, expected, capsys, tmp_path):
    assert run(lambda: run_mode(parse_settings(argv))) == 2
    out, message = capsys.readouterr()
    assert out == ""
    assert message.startswith("error: ")
    assert expected in message
    assert "Traceback" not in message
    assert list(tmp_path.iterdir()) == []


def trainer(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, TRAINER, *argv], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_process_ends_with_the_code_and_the_message():
    wrong = trainer("--epoch", "3")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("error: Unknown flag --epoch. Did you mean --epochs")
    assert "Traceback" not in wrong.stderr
    assert trainer("--help").returncode == 0


def trains_until(number: int, pid: int, folder: Path, ended: Callable[[], bool]) -> None:
    """Sends a signal to the process that trains in `folder`, when its second epoch is over."""
    start, history = time.monotonic(), folder / "results" / "history.csv"
    # A row of the second epoch means that the state after the first was saved.
    while not history.exists() or len(history.read_text().splitlines()) < 3:
        if ended():
            return
        if time.monotonic() - start > 120:
            break
        time.sleep(0.1)
    os.kill(pid, number)


def stopped_process(
    number: int, folder: Path, flags: list[str], prepared: Prepared
) -> tuple[int, str]:
    """The exit code and the output of a training in a process of its own."""
    process = prepared.start([TRAINER, *flags], folder)
    trains_until(number, process.pid, folder, lambda: process.poll() is not None)
    code = process.wait(30)
    return code, process.stdout.read_text() + process.stderr.read_text()


def stopped_here(
    number: int, folder: Path, flags: list[str], _prepared: Prepared
) -> tuple[int, str]:
    """The exit code and the output of a training in this process."""
    output, over = io.StringIO(), threading.Event()
    sender = threading.Thread(target=trains_until, args=(number, os.getpid(), folder, over.is_set))
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
    ):
        patch.setattr(sys, "argv", [str(TRAINER), *flags])
        sender.start()
        try:
            code = run(lambda: run_mode(parse_settings(flags)))
        finally:
            over.set()
            sender.join()
    return code, output.getvalue()


@pytest.mark.parametrize(
    ("number", "code", "stopped"),
    [(signal.SIGINT, 130, stopped_here), (signal.SIGTERM, 143, stopped_process)],
)
def test_a_signal_in_mid_training(number, code, stopped, tiny_dataset, tmp_path, prepared):
    flags = (
        f"--dataset_path {tiny_dataset} --base_models test_resnet --img_size 32 --device cpu "
        "--num_workers 1 --no-pretrained --epochs 100000 --train_sample 0 --output_dir results"
    )
    ended, message = stopped(number, tmp_path, flags.split(), prepared)
    assert ended == code, message
    assert "Traceback" not in message
    last = message.splitlines()[-1]
    match = re.match(
        r"Stopped; (\d+) finished epochs(?: and a part of epoch (\d+))? are saved\. "
        r"Resume with: (.+)",
        last,
    )
    assert match is not None, message
    progress = json.loads((tmp_path / "results" / "resume" / "progress.json").read_text())
    assert int(match[1]) == progress["epoch"] >= 1
    assert (match[2] == str(progress["epoch"] + 1)) is ("within" in progress)
    assert not progress["finished"]
    assert match[3].startswith("python ")
    assert match[3].endswith("--output_dir results --resume")
    assert "Traceback" not in (tmp_path / "results" / "train.log").read_text()
