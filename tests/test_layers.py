"""Imports inside the package run one way, and what needs no torch imports none."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Bottom up: a module imports from its own row and from those before it.
LAYERS = (
    (
        "errors", "signals", "broken_imports", "exhaustion", "choices", "tables",
        "torchvision_compat",
    ),
    (
        "pairs", "files", "json_files", "sealed_json", "writable", "csv_text", "logs", "device",
        "freed_memory", "full_memory", "parallel", "leash", "locks", "caches", "distributed",
        "safe_files",
    ),
    ("settings",),
    ("decoding",),
    ("photographs",),
    ("dataset",),
    ("copies", "integrity", "decoded"),
    ("prepare",),
    ("audit",),
    ("predictions", "gates"),
    ("statistics",),
    ("ensembles",),
    ("models",),
    ("results",),
    ("batches", "outputs"),
    ("training",),
    ("inference",),
    ("evaluation",),
    ("document",),
    ("explanations", "grading"),
    ("reports",),
    ("synthetic",),
    ("doctor",),
    ("commands",),
    ("__main__",),
)  # fmt: skip
TORCH = {"torch", "torchvision", "timm"}
# What must load in a moment, and run where they are not installed: also without scipy.stats, which
# takes half a second.
WITHOUT_TORCH = (
    "choices", "pairs", "caches", "settings", "decoding", "photographs", "dataset", "copies",
    "integrity", "decoded", "prepare", "audit", "predictions", "gates", "statistics",
    "ensembles", "results", "document", "reports", "synthetic",
)  # fmt: skip
WITHOUT_CV2 = (
    "choices", "pairs", "settings", "decoding", "predictions", "statistics", "ensembles", "results",
    "document", "reports",
)  # fmt: skip
MAX_PER_PACKAGE = 12


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


@cache
def imports_of(module: str, inside_functions: bool = True) -> frozenset[str]:
    """What a module of the package imports."""
    return frozenset(imports(MODULES[module].read_text(), inside_functions))


@cache
def own_imports(module: str, inside_functions: bool = True) -> frozenset[str]:
    """The package's modules among them, with the packages that hold them."""
    return frozenset(own_modules(imports_of(module, inside_functions)))


def own_modules(names: Collection[str]) -> set[str]:
    """The package's modules among imported names, with the packages that hold them."""
    dotted = [name.split(".") for name in names if name.split(".")[0] == "dr_ovo"]
    parents = {".".join(parts[:end]) for parts in dotted for end in range(1, len(parts) + 1)}
    return parents & MODULES.keys()


def layer(module: str) -> int:
    top = module.split(".")[1]
    (rank,) = [rank for rank, row in enumerate(LAYERS) if top in row]
    return rank


@cache
def reachable(module: str) -> frozenset[str]:
    """The modules that importing one imports, itself and its packages included."""
    reached: set[str] = set()
    waiting = own_modules({module})
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= own_imports(name, inside_functions=False) - reached
    return frozenset(reached)


def among(names: Collection[str], packages: set[str]) -> set[str]:
    """The names that are of these packages or inside them."""
    return {name for name in names if name.split(".")[0] in packages}


def children(package: str) -> dict[str, set[str]]:
    """Module or sub-package directly in `package` -> its modules, itself included."""
    found: dict[str, set[str]] = {}
    for name in MODULES:
        if name.startswith(f"{package}."):
            found.setdefault(name.removeprefix(f"{package}.").split(".")[0], set()).add(name)
    return found


PACKAGES = sorted(name for name, path in MODULES.items() if path.name == "__init__.py")


def test_the_reader_of_imports():
    source = "import torch.nn as nn\nfrom dr_ovo.dataset import index\ndef f():\n    import timm\n"
    names = {"torch.nn", "dr_ovo.dataset", "dr_ovo.dataset.index"}
    assert imports(source) == names | {"timm"}
    assert imports(source, inside_functions=False) == names
    assert among(imports(source), TORCH) == {"torch.nn", "timm"}
    assert own_modules(names) == {"dr_ovo", "dr_ovo.dataset", "dr_ovo.dataset.index"}


def test_every_package_has_its_layer():
    listed = [name for row in LAYERS for name in row]
    assert sorted(listed) == sorted(children("dr_ovo"))


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"dr_ovo"}))
def test_imports_run_one_way(module):
    used = own_imports(module) - {"dr_ovo"}
    upward = sorted(name for name in used if layer(name) > layer(module))
    assert not upward, f"{module} imports from above itself: {', '.join(upward)}"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_circle_inside_a_package(package):
    """Between the modules and sub-packages that stand side by side."""
    inside = children(package)
    uses = {
        child: {
            other
            for other, theirs in inside.items()
            if other != child and any(theirs & own_imports(name) for name in modules)
        }
        for child, modules in inside.items()
    }
    while free := [child for child, used in uses.items() if not used & uses.keys()]:
        for child in free:
            del uses[child]
    assert not uses, f"import one another: {', '.join(sorted(uses))}"


@pytest.mark.parametrize("package", [name for name in PACKAGES if name != "dr_ovo"])
def test_a_package_is_small_and_says_its_job(package):
    assert len(children(package)) <= MAX_PER_PACKAGE
    assert ast.get_docstring(ast.parse(MODULES[package].read_text()))


def modules_of(packages: tuple[str, ...]) -> list[str]:
    """The modules of these packages; those that read checkpoints need torch."""
    return [
        name
        for name in MODULES
        if name.partition(".")[2].split(".")[0] in packages
        and not name.startswith("dr_ovo.reports.checkpoints")
    ]


FREE = [(package, "torch") for package in WITHOUT_TORCH] + [
    (package, "cv2") for package in WITHOUT_CV2
]


@pytest.mark.parametrize(("package", "library"), FREE)
def test_no_torch_and_no_cv2(package, library):
    unwanted = TORCH if library == "torch" else {"cv2"}
    for module in modules_of((package,)):
        for name in sorted(reachable(module)):
            found = among(imports_of(name, inside_functions=False), unwanted)
            assert not found, f"{module} imports {name}, which imports {found}"


@pytest.mark.parametrize(
    ("packages", "unwanted"),
    [(WITHOUT_TORCH, {"scipy.stats"} | TORCH), (WITHOUT_CV2, {"cv2"} | TORCH)],
)
def test_nothing_slow_when_they_run(packages, unwanted):
    code = (
        f"import sys\nimport {', '.join(modules_of(packages))}\n"
        f"print(sorted({unwanted!r} & sys.modules.keys()))"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert outcome.stdout.strip() == "[]", outcome.stderr
