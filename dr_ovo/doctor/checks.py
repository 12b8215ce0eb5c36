"""What `python -m dr_ovo doctor` looks at: each check returns a Finding and raises nothing.

Packages are imported inside the checks, so that the report also comes where some are missing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dr_ovo
from dr_ovo.errors import UserError

MIN_DISK = 2e9  # bytes: the best and the last state of an architecture, and their successors
# What timm and torch raise where an architecture can't be built in this installation.
BUILD_ERRORS = (ImportError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Finding:
    """One topic of the report: what is so, and what stands in the way of training, if anything."""

    topic: str
    lines: tuple[str, ...]
    problems: tuple[str, ...] = ()


def declared_requirements() -> list[str]:
    """What this package needs, extras aside; from its checkout where it is not installed."""
    try:
        declared = importlib.metadata.requires("dr_ovo") or []
        return [text for text in declared if "extra ==" not in text]
    except importlib.metadata.PackageNotFoundError:
        checkout = Path(dr_ovo.__file__).parents[1] / "requirements.txt"
    if not checkout.is_file():
        return []
    lines = checkout.read_text(encoding="utf-8").splitlines()
    return [text for text in lines if text.strip() and not text.startswith("#")]


def check_requirements(requirements: Sequence[str]) -> Finding:
    """Python and the installed versions of the requirements, each within its range."""
    lines, problems = [f"Python {platform.python_version()} on {platform.system()}"], []
    if importlib.util.find_spec("packaging") is None:
        wanted_all = " ".join(f'"{text}"' for text in requirements)
        return Finding(
            "Versions", tuple(lines), (f"no packages are installed. Run pip install {wanted_all}",)
        )
    from packaging.requirements import Requirement

    for text in requirements:
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate():
            continue
        install = f'Run pip install "{wanted.name}{wanted.specifier}"'
        try:
            version = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            problems.append(f"{wanted.name} is not installed. {install}")
            continue
        lines.append(f"{wanted.name} {version}")
        if not wanted.specifier.contains(version, prereleases=True):
            problems.append(f"{wanted.name} {wanted.specifier} is expected. {install}")
    return Finding("Versions", tuple(lines), tuple(problems))


def check_torchvision() -> Finding:
    """Whether torchvision fits this torch; how to make it fit in every program."""
    import torch

    from dr_ovo.torchvision_compat import fix_import

    if not fix_import():
        return Finding("torchvision", ("imports as it is",))
    version = importlib.metadata.version("torchvision").partition("+")[0]
    build = str(torch.__version__).partition("+")[2]
    index = f" --index-url https://download.pytorch.org/whl/{build}" if build else ""
    lines = (
        "its compiled part does not load beside this torch; this toolkit does without it.",
        "Where `import timm` fails elsewhere, run",
        f"pip install --force-reinstall --no-deps torchvision=={version}{index}",
        "or put `import dr_ovo` before it.",
    )
    return Finding("torchvision", lines)


def check_gpu() -> Finding:
    """The GPUs, their memory and precision, and whether this torch has code for them."""
    import torch

    from dr_ovo.device import CUDA_126_WHEELS, amp_name, gpu_report, kernel_problem

    cards, lines, problems = gpu_report(), [], []
    for card in cards:
        lines.append(
            f"cuda:{card.index} {card.name}, compute capability "
            f"{card.capability[0]}.{card.capability[1]}, {card.free_memory / 1e9:.1f} of "
            f"{card.memory / 1e9:.1f} GB free, mixed precision {amp_name(card.capability)}"
        )
        problem = kernel_problem(
            card.name, card.capability, torch.cuda.get_arch_list(), torch.version.cuda
        )
        problems += [problem] if problem else []
    if not cards:
        lines.append("torch sees none: training runs on the CPU, slowly for full-size models")
        if listed := _listed_by_the_driver():
            problems.append(
                f"torch {torch.__version__} does not see the GPU of this machine ({listed}). "
                "Builds for CUDA 13 need driver 580 or newer; for older ones run pip install "
                '--force-reinstall "torch>=2.11,<2.14" "torchvision>=0.26,<0.29" '
                f"--index-url {CUDA_126_WHEELS}"
            )
    return Finding("GPU", tuple(lines), tuple(problems))


def _listed_by_the_driver() -> str:
    """The names of the cards, with their driver, that nvidia-smi lists; empty without any."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return "; ".join(answer.stdout.split("\n")).strip("; ")


def check_architectures() -> Finding:
    """Whether each of the seven architectures builds, and where its ImageNet weights stand."""
    import timm
    import torch

    from dr_ovo.models.architectures import ARCHITECTURES, SEVEN
    from dr_ovo.models.weights.published import weights_at_hand

    lines, problems = [], []
    for alias in SEVEN:
        name = ARCHITECTURES[alias].timm_name
        try:
            with torch.device("meta"):  # no memory and no time for the weights
                model = timm.create_model(name, num_classes=0)
        except BUILD_ERRORS as error:
            problems.append(f"{alias}: timm {timm.__version__} can't build {name}: {error}")
            continue
        size = sum(parameter.numel() for parameter in model.parameters()) / 1e6
        weights = weights_at_hand(name) or "not here; downloaded when training begins"
        lines.append(f"{alias:<15}{size:5.1f} M parameters, weights: {weights}")
    return Finding("Architectures", tuple(lines), tuple(problems))


def check_dataset(root: Path, class_names: tuple[str, ...]) -> Finding:
    """The layout of a dataset folder, with counts per split and grade."""
    from dr_ovo.dataset.index import scan_dataset

    try:
        index = scan_dataset(root, class_names)
    except UserError as error:
        return Finding("Dataset", (str(root),), (str(error),))
    lines = [f"{root}{' (SYNTHETIC)' if index.synthetic else ''}"]
    for split, counts in index.counts.items():
        grades = ", ".join(f"grade {name}: {count}" for name, count in counts.items())
        lines.append(f"{split:<6}{sum(counts.values()):>8} images ({grades})")
    return Finding("Dataset", tuple(lines))


def check_disk(folder: Path) -> Finding:
    """Free space where the results would go."""
    there = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(there).free
    line = f"{free / 1e9:.1f} GB free for results in {folder.resolve()}"
    problem = f"less than {MIN_DISK / 1e9:.0f} GB are free. Free some, or set DR_OVO_OUTPUT_ROOT."
    return Finding("Disk", (line,), (problem,) if free < MIN_DISK else ())
