"""Imports inside the package run one way, and what needs no torch imports none."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A module imports from its own row and from those below it.
LAYERS = (
    ("commands", "doctor", "__main__"),
    ("reporting",),
    ("training",),
    ("audit",),
    ("models", "data"),
    ("evaluation", "decoding"),
    ("cli", "settings_file"),
    ("config", "config_checks", "option", "pairs", "legacy_flags"),
    ("logs", "files", "parallel", "hardware"),
    ("errors", "choices", "tables", "torchvision_ops"),
)
TORCH_FREE = ("evaluation", "decoding", "pairs", "config")
TORCH = {"torch", "torchvision", "timm"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((ROOT / "dr_ovo").rglob("*.py"))}


def nodes(tree: ast.AST, inside_functions: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if inside_functions or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from nodes(child, inside_functions)


def imports(source: str, inside_functions: bool = True) -> set[str]:
    """Dotted names that a source imports; for `from a import b` both a and a.b."""
    found: set[str] = set()
    for node in nodes(ast.parse(source), inside_functions):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def own_modules(names: set[str]) -> set[str]:
    """The package's modules among imported names, with the packages that hold them."""
    dotted = [name.split(".") for name in names if name.split(".")[0] == "dr_ovo"]
    parents = {".".join(parts[:end]) for parts in dotted for end in range(1, len(parts) + 1)}
    return parents & MODULES.keys()


def layer(module: str) -> int:
    top = module.split(".")[1]
    ranks = [rank for rank, row in enumerate(LAYERS) if top in row]
    assert ranks, f"{module} has no place in LAYERS"
    return ranks[0]


def reachable(module: str) -> set[str]:
    """The modules that importing one imports, itself and its packages included."""
    reached: set[str] = set()
    waiting = own_modules({module})
    while waiting:
        name = waiting.pop()
        reached.add(name)
        found = own_modules(imports(MODULES[name].read_text(), inside_functions=False))
        waiting |= found - reached
    return reached


def needs_torch(names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] in TORCH}


def test_the_reader_of_imports():
    source = "import torch.nn as nn\nfrom dr_ovo.data import index\ndef f():\n    import timm\n"
    names = {"torch.nn", "dr_ovo.data", "dr_ovo.data.index"}
    assert imports(source) == names | {"timm"}
    assert imports(source, inside_functions=False) == names
    assert needs_torch(imports(source)) == {"torch.nn", "timm"}
    assert own_modules(names) == {"dr_ovo", "dr_ovo.data", "dr_ovo.data.index"}


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"dr_ovo"}))
def test_imports_run_one_way(module):
    used = own_modules(imports(MODULES[module].read_text())) - {"dr_ovo"}
    upward = sorted(name for name in used if layer(name) < layer(module))
    assert not upward, f"{module} imports from above itself: {', '.join(upward)}"


TORCH_FREE_MODULES = [
    name for name in MODULES if name.split(".")[1:2] and name.split(".")[1] in TORCH_FREE
]


@pytest.mark.parametrize("module", TORCH_FREE_MODULES)
def test_no_torch(module):
    assert not needs_torch(imports(MODULES[module].read_text()))
    for name in sorted(reachable(module)):
        found = needs_torch(imports(MODULES[name].read_text(), inside_functions=False))
        assert not found, f"{module} imports {name}, which imports {found}"


def test_no_torch_when_they_run():
    code = (
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        f"import {', '.join(TORCH_FREE_MODULES)}\n"
        f"print(sorted({TORCH!r} & sys.modules.keys()))"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert outcome.stdout.strip() == "[]", outcome.stderr
