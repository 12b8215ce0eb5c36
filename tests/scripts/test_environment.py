"""scripts/environment.sh and scripts/machine_torch.py, with nothing installed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("answer", "build"),
    [
        ("7.0, 580.65.06", "cu126"),  # V100
        ("7.0", "cu126"),
        ("6.1, 535.54", "cu126"),
        ("7.5, 580.65.06", "default"),  # T4
        ("9.0, 580.65.06", "default"),
        ("9.0, 550.54.15", "cu126"),  # a driver too old for CUDA 13
        ("12.0, 570.86.10", "default"),  # no code for Blackwell in builds for CUDA 12.6
        ("9.0, 580.65.06\n7.0, 580.65.06", "cu126"),  # the oldest of several decides
        ('Field "compute_cap" is not a valid field to query.', "default"),
        ("", "default"),
    ],
)
def test_the_build_of_torch_for_a_card(answer, build, tmp_path, make_stub, bash):
    make_stub(tmp_path / "nvidia-smi", f"cat <<'END'\n{answer}\nEND")
    path = f"{tmp_path}:{os.environ['PATH']}"
    assert bash("torch_build", ROOT, PATH=path).stdout.strip() == build


def test_the_default_build_without_nvidia_smi(tmp_path, bash):
    for tool in ("awk", "readlink"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or tool)
    assert bash("torch_build", ROOT, PATH=tmp_path).stdout.strip() == "default"


def test_a_python_that_is_too_old_is_passed_over(tmp_path, make_stub, bash):
    make_stub(tmp_path / "python3", "[ $1 != --version ] || echo Python 3.8.10; exit 1")
    outcome = bash("find_python", ROOT, PATH=tmp_path)
    assert outcome.returncode == 2
    assert "Python 3.10 or newer" in outcome.stderr
    assert "Python 3.8.10" in outcome.stderr
    make_stub(tmp_path / "python3.12", "exit 0")
    assert bash("find_python", ROOT, PATH=tmp_path).stdout.strip() == "python3.12"


def test_a_python_without_venv_says_what_to_install(tmp_path, make_stub, bash):
    python = make_stub(tmp_path / "bare", 'case "$2" in *ensurepip*) exit 1 ;; esac')
    outcome = bash(f"create_environment '{tmp_path}/env'", ROOT, PYTHON=python)
    assert outcome.returncode == 2
    assert "python3-venv" in outcome.stderr


def test_an_environment_is_set_up_once_for_the_same_requirements(environment_stub, prepare, calls):
    assert prepare(environment_stub).returncode == 0
    assert len(calls("pip install", f"--editable {environment_stub}")) == 1
    assert prepare(environment_stub).returncode == 0
    assert calls() == []
    with (environment_stub / "pyproject.toml").open("a") as file:
        file.write("# another dependency\n")
    assert prepare(environment_stub).returncode == 0
    assert len(calls("pip install", f"--editable {environment_stub}")) == 1


def test_an_extra_is_installed_with_the_project(environment_stub, bash, calls):
    assert bash('prepare_environment "$here/.venv" "[dev]"', environment_stub).returncode == 0
    assert len(calls("pip install", f"--editable {environment_stub}[dev]")) == 1


def test_the_environment_knows_the_package_and_mends_torchvision(
    tmp_path, environment_stub, prepare
):
    site = tmp_path / "site"
    (site / "dr_ovo.pth").write_text("/where/earlier/set-ups/pointed\n")
    prepare(environment_stub)
    assert not (site / "dr_ovo.pth").exists()
    (hook,) = (site / "dr_ovo_torchvision.pth").read_text().splitlines()
    assert hook == "import dr_ovo_torchvision; dr_ovo_torchvision.fix_on_import()"
    copied = (site / "dr_ovo_torchvision.py").read_text()
    assert copied == (ROOT / "dr_ovo" / "torchvision_compat.py").read_text()


def test_a_failed_install_is_said_and_done_again(tmp_path, environment_stub, prepare, calls):
    (tmp_path / "broken").touch()
    outcome = prepare(environment_stub)
    assert outcome.returncode == 4
    assert "install" in outcome.stderr
    (tmp_path / "broken").unlink()
    calls()
    assert prepare(environment_stub).returncode == 0
    assert len(calls("pip install")) == 1


def test_a_v100_gets_its_torch_before_the_requirements(
    tmp_path, environment_stub, make_stub, prepare, calls
):
    make_stub(tmp_path / "smi" / "nvidia-smi", "echo 7.0, 580.65.06")
    prepare(environment_stub, PATH=f"{tmp_path / 'smi'}:{os.environ['PATH']}")
    first, second = calls("pip install")
    assert "torch>=2.11,<2.14 torchvision>=0.26,<0.29 --index-url" in first
    assert "/whl/cu126" in first
    assert "--index-url" not in second
    assert "--editable" in second


def test_the_machines_own_torch_is_kept_by_constraints(
    tmp_path, environment_stub, make_stub, prepare, calls
):
    constraints = environment_stub / ".venv" / "constraints.txt"
    constraints.write_text("torch==2.12.0\n")
    make_stub(tmp_path / "smi" / "nvidia-smi", "echo 7.0, 580.65.06")
    prepare(environment_stub, PATH=f"{tmp_path / 'smi'}:{os.environ['PATH']}")
    (install,) = calls("pip install")
    assert f"--constraint {constraints}" in install


@pytest.mark.parametrize(
    ("version", "within"),
    [
        ("2.10.0", True),
        ("2.13.1+cu126", True),
        ("2.9.1", False),
        ("2.14.0", False),
        ("2.10.0a0+b4e4ee8", False),
        ("2.11.0a0+b4e4ee8.nv25", True),
        ("2.14.0.dev20260101", True),  # before 2.14, as pip has it
        ("3.0", False),
    ],
)
def test_which_torch_of_a_machine_serves(version, within):
    spec = importlib.util.spec_from_file_location(
        "machine_torch", ROOT / "scripts/machine_torch.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    requirements = (ROOT / "requirements.txt").read_text()
    assert module.in_range("torch", version, requirements) is within


MACHINE_TORCH = """
from types import SimpleNamespace
__version__ = "2.12.0"
version = SimpleNamespace(cuda="13.0")
device = lambda kind, index=0: SimpleNamespace(type=kind)
cuda = SimpleNamespace(
    is_available=lambda: {sees},
    get_device_name=lambda device: "Tesla V100",
    get_device_capability=lambda device: (7, 0),
    get_arch_list=lambda: ["{arch}"],
)
"""


@pytest.mark.parametrize(
    ("sees", "arch", "kept", "pip"),
    [
        (True, "sm_70", True, False),
        (True, "sm_75", False, False),
        (False, "sm_70", False, False),
        pytest.param(True, "sm_70", True, True, marks=pytest.mark.slow),  # seconds for pip
    ],
)
def test_the_machines_own_torch_is_used_where_it_serves(
    sees, arch, kept, pip, tmp_path, bash, make_stub
):
    package = tmp_path / "machine" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(MACHINE_TORCH.format(sees=sees, arch=arch))
    for name, version in (("torch", "2.12.0"), ("torchvision", "0.27.0")):
        record = tmp_path / "machine" / f"{name}-{version}.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    env = tmp_path / "env"
    changes = {"PYTHONPATH": tmp_path / "machine"}
    if not pip:
        body = f'[ "$1 $2" != "-m venv" ] || set -- "$@" --without-pip; exec {sys.executable} "$@"'
        changes["PYTHON"] = make_stub(tmp_path / "python", body)
    outcome = bash(f"create_environment '{env}'", ROOT, **changes)
    assert outcome.returncode == 0, outcome.stderr
    pins = "torch==2.12.0\ntorchvision==0.27.0\n"
    assert (env / "constraints.txt").read_text() == (pins if kept else "")
    shared = f"include-system-site-packages = {str(kept).lower()}"
    assert shared in (env / "pyvenv.cfg").read_text()
    assert (env / "bin" / "pip").exists() == pip
