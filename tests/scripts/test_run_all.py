from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

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


def test_run_all_ends_well_where_all_do(tmp_path, echo, run_script):
    assert run_script(ROOT / "run_all.sh", cwd=tmp_path, PYTHON=echo).returncode == 0


@pytest.mark.parametrize("flag", ["--output_dir", "--output-dir=x", "--base_models", "--log_file"])
def test_run_all_refuses_what_is_each_ones_own(flag, tmp_path, echo, run_script):
    outcome = run_script(ROOT / "run_all.sh", flag, "x", cwd=tmp_path, PYTHON=echo)
    assert outcome.returncode == 2
    assert flag.partition("=")[0] in outcome.stderr
    assert outcome.stdout == ""


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
        while process.stdout.readline() != "ready\n":
            pass
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
