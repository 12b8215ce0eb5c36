"""Each case runs in its own process: what is declared to torch stays declared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# An environment made by the set-up scripts may have its own hook; these tests check the package's.
NO_HOOKS = (
    "import sys\nsys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != '_FixFirst']\n"
)
# Fails without the operator, as torchvision does.
IMPORT_OF_MISFIT = (
    "import torch\n"
    "torch.library.register_fake('torchvision::nms')(lambda dets, scores, iou: dets)\n"
)


# Runs each code of a JSON list in a fork that has torch already, and prints [exit code, output,
# errors] of each.
FORKS = """
import json, os, sys, torch
done = []
for number, code in enumerate(json.loads(sys.argv[1])):
    names = [f"{sys.argv[2]}/{number}.{stream}" for stream in (1, 2)]
    child = os.fork()
    if child == 0:
        for stream, name in enumerate(names, 1):
            os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY), stream)
        exec(code, {"__name__": "__main__", "sys": sys})
        sys.exit()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    done.append([status, *(open(name).read() for name in names)])
print(json.dumps(done))
"""


def run_python(
    code: str, *paths: Path, flags: tuple[str, ...] = (), words: tuple[str, ...] = ()
) -> subprocess.CompletedProcess:
    search = f"import sys\nsys.path[:0] = {[str(path) for path in (*paths, ROOT)]!r}\n"
    command = [sys.executable, *flags, "-c", search + code, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def misfit(folder: Path) -> Path:
    """A torchvision whose compiled part does not load."""
    package = folder / "torchvision"
    package.mkdir()
    (package / "_C.so").write_bytes(b"built for another torch")
    (package / "__init__.py").write_text(IMPORT_OF_MISFIT)
    return folder


@pytest.mark.slow
def test_with_torch_imported_before(tmp_path):
    """The mismatch fails without the fix; the fix says that it was applied when it is called before
    the import hook; and nothing is declared where the operators are there."""
    fixed = "import dr_ovo.torchvision_compat as t; print(t.fix_import(), t.fix_import())"
    declared = (
        "import torch, dr_ovo.torchvision_compat as t\n"
        "library = torch.library.Library('torchvision', 'FRAGMENT')\n"
        "library.define(t.SCHEMAS[0])\n"
        "print(t.fix_import()); import torchvision"
    )
    codes = json.dumps([NO_HOOKS + code for code in ("import torchvision", fixed, declared)])
    outcome = run_python(NO_HOOKS + FORKS, misfit(tmp_path), words=(codes, str(tmp_path)))
    assert outcome.returncode == 0, outcome.stderr
    without, fixed_twice, there = json.loads(outcome.stdout)
    assert "operator torchvision::nms does not exist" in without[2]
    assert fixed_twice[1].split() == ["True", "True"], fixed_twice
    assert (there[0], there[1].strip()) == (0, "False"), there


def test_importing_the_package_mends_the_misfit_without_importing_torch(tmp_path):
    code = (
        NO_HOOKS
        + "import dr_ovo; assert 'torch' not in sys.modules\n"
        + "import torchvision; from dr_ovo.torchvision_compat import fix_import\n"
        + "print(fix_import(), torchvision.__file__)"
    )
    outcome = run_python(code, misfit(tmp_path))
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.split() == ["True", str(tmp_path / "torchvision" / "__init__.py")]


def test_without_torchvision_nothing_is_imported():
    code = (
        "import dr_ovo.torchvision_compat as t\n"
        "assert t.fix_import() is False\n"
        "assert 'torch' not in sys.modules"
    )
    outcome = run_python(code, flags=("-S",))  # -S: no site-packages
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.slow
def test_timm_and_torchvision_import_behind_the_package():
    outcome = run_python(NO_HOOKS + "import dr_ovo, timm, torchvision")
    assert outcome.returncode == 0, outcome.stderr
