from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.fixtures.slow import slow

ROOT = Path(__file__).resolve().parents[2]
MODELS = {
    "coatnet": "coatnet_0_rw_224",
    "convnext": "convnext_tiny",
    "swinv2": "swinv2_tiny_window8_256",
    "densenet": "densenet121",
    "efficientnet": "efficientnet_b2",
    "resnet": "resnet50",
    "seresnext": "seresnext50_32x4d",
}


def rows(output: str) -> list[list[str]]:
    """The lines of run_all.sh's table, without its header."""
    table = output[output.index("architecture") :].splitlines()[1:]
    return [line.split() for line in table]


def wait_for_ready(process: subprocess.Popen[str], times: int) -> None:
    """Until the stub has said so, so many times."""
    assert process.stdout is not None
    while times:
        line = process.stdout.readline()
        assert line, "run_all.sh has ended"
        times -= line.endswith("ready\n")


def test_run_all_goes_on_after_a_failure(tmp_path, make_stub, run_script):
    failing = make_stub(
        tmp_path / "failing",
        'printf "%s " "$@" >>calls; echo >>calls\n'
        'case "$*" in *swinv2*) exit 4 ;; *resnet50*) exit 2 ;; esac',
    )
    outcome = run_script(ROOT / "run_all.sh", "--epochs", "2", cwd=tmp_path, PYTHON=failing)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [model in call for model, call in zip(MODELS.values(), calls, strict=True)] == [True] * 7
    assert all(call.split()[-2:] == ["--epochs", "2"] for call in calls)
    codes = dict.fromkeys(MODELS, "0") | {"swinv2": "4", "resnet": "2"}
    logs = [f"{name}_training_log.txt" for name in MODELS]
    expected = [[n, codes[n], "0", log] for n, log in zip(MODELS, logs, strict=True)]
    assert rows(outcome.stdout) == expected
    assert outcome.returncode == 4  # the first that failed


@pytest.mark.slow
def test_run_all_ends_well_where_all_do(tmp_path, echo, run_script):
    assert run_script(ROOT / "run_all.sh", cwd=tmp_path, PYTHON=echo).returncode == 0


@pytest.mark.parametrize("flag", ["--output_dir", "--output-dir=x", "--base_models", "--log_file"])
def test_run_all_refuses_what_is_each_ones_own(flag, tmp_path, echo, run_script):
    outcome = run_script(ROOT / "run_all.sh", flag, "x", cwd=tmp_path, PYTHON=echo)
    assert outcome.returncode == 2
    assert flag.partition("=")[0] in outcome.stderr
    assert outcome.stdout == ""


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_run_all_after_the_training_has_ended(
    sent, code, tmp_path, make_stub, clean_environment
):
    slow_end = f"kill $!; sleep 0.3; touch saved; exit {code}"
    waiting = make_stub(
        tmp_path / "waiting", f"trap '{slow_end}' INT TERM; echo ready; sleep 20 & wait"
    )
    with subprocess.Popen(
        [ROOT / "run_all.sh"],
        cwd=tmp_path,
        env=clean_environment(PYTHON=waiting),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        wait_for_ready(process, 1)
        process.send_signal(sent)
        start = time.monotonic()
        output = process.stdout.read()
        assert process.wait() == code
    assert time.monotonic() - start < 10
    assert (tmp_path / "saved").exists()
    log = "coatnet_training_log.txt"
    assert rows(output) == [
        ["coatnet", str(code), "0", log],
        *([name, "not", "started"] for name in list(MODELS)[1:]),
    ]


GPU_STUB = (
    'echo "$CUDA_VISIBLE_DEVICES start" >>gpus; sleep 0.5; echo "$CUDA_VISIBLE_DEVICES end" >>gpus'
)


@pytest.mark.slow
def test_ctrl_c_at_a_terminal(tmp_path, make_stub, clean_environment):
    slow_end = "kill $!; sleep 0.3; touch saved; exit 130"
    waiting = make_stub(tmp_path / "w", f"trap '{slow_end}' INT; echo ready; sleep 20 & wait")
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [ROOT / "run_all.sh"],
        cwd=tmp_path,
        env=clean_environment(PYTHON=waiting, CUDA_VISIBLE_DEVICES=""),
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(its)
    output = b""
    while b"ready" not in output:
        output += os.read(ours, 1000)
    time.sleep(0.5)
    os.write(ours, b"\x03")
    assert process.wait(timeout=15) == 130
    assert (tmp_path / "saved").exists()
    os.close(ours)


def on_each_gpu(tmp_path: Path) -> dict[str, list[str]]:
    """What ran on each GPU, in order."""
    lines = [line.rsplit(" ", 1) for line in (tmp_path / "gpus").read_text().splitlines()]
    return {gpu: [what for each, what in lines if each == gpu] for gpu, _ in lines}


def test_each_gpu_takes_one_architecture_at_a_time(tmp_path, make_stub, run_script):
    make_stub(tmp_path / "bin" / "nvidia-smi", "printf '0\\n1\\n2\\n'")
    fails = f'case "$*" in *resnet50*) exit 4 ;; esac\n{GPU_STUB}; echo done; echo oops >&2'
    python = make_stub(tmp_path / "python", fails)
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    outcome = run_script(ROOT / "run_all.sh", cwd=tmp_path, PYTHON=python, PATH=path)
    found = on_each_gpu(tmp_path)
    assert sorted(found) == ["0", "1", "2"]
    for events in found.values():  # one at a time
        assert events == ["start", "end"] * (len(events) // 2)
    assert sum(map(len, found.values())) == 2 * 6
    assert [row[:2] for row in rows(outcome.stdout)] == [
        [name, "4" if name == "resnet" else "0"] for name in MODELS
    ]
    assert outcome.returncode == 4
    assert "coatnet: done" in outcome.stdout
    assert "coatnet: oops" in outcome.stdout


@pytest.mark.parametrize(
    ("flags", "visible", "expected"),
    [
        ((), "3,GPU-5", {"3", "GPU-5"}),
        *slow(
            ((), "1", {"1"}),
            ((), "", {""}),
            (("--device", "cuda:1"), "0,1", {"0,1"}),
        ),
    ],
)
def test_which_gpus_are_used(flags, visible, expected, tmp_path, make_stub, run_script):
    python = make_stub(tmp_path / "python", GPU_STUB.replace("sleep 0.5", "sleep 0.1"))
    outcome = run_script(
        ROOT / "run_all.sh", *flags, cwd=tmp_path, PYTHON=python, CUDA_VISIBLE_DEVICES=visible
    )
    assert outcome.returncode == 0
    assert set(on_each_gpu(tmp_path)) == expected


def test_a_signal_stops_the_trainings_on_all_gpus(tmp_path, make_stub, clean_environment):
    slow_end = "kill $!; sleep 0.3; touch saved-$CUDA_VISIBLE_DEVICES; exit 143"
    body = f"trap '{slow_end}' INT TERM; echo ready; sleep 20 & wait"
    waiting = make_stub(tmp_path / "waiting", body)
    with subprocess.Popen(
        [ROOT / "run_all.sh"],
        cwd=tmp_path,
        env=clean_environment(PYTHON=waiting, CUDA_VISIBLE_DEVICES="0,1"),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        wait_for_ready(process, 2)
        process.send_signal(signal.SIGTERM)
        output = process.stdout.read()
        assert process.wait() == 143
    assert {path.name for path in tmp_path.glob("saved-*")} == {"saved-0", "saved-1"}
    assert [row[1] for row in rows(output)] == ["143", "143", *["not"] * 5]
