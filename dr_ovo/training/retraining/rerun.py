"""A training done again from its config.json: the command line, and what came out the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dr_ovo.errors import UserError
from dr_ovo.results.folder import LATER_SETTINGS, ResultsFolder
from dr_ovo.safe_files.torch_loading import load_torch
from dr_ovo.settings.train_config import TrainConfig, values_of

# Columns of history.csv that no two runs share.
MEASURED = ("seconds", "images_per_second", "peak_memory_mb")
FLAGS = ("dataset_path", "allow_leaks")  # settings of the run that config.json alone doesn't set
NUMERICS = ("device", "precision", "tf32", "threads", "compile", "micro_batch", "memory_format")
SETUP_KEYS = ("data_hash", "data_manifest_hash", "preprocessing_hash", "git_commit")


@dataclass(frozen=True)
class Finding:
    """One thing compared: in words what it is, whether it is the same, and both values."""

    what: str
    same: bool
    before: str
    now: str


def command_line(folder: ResultsFolder, output: Path, more: Mapping[str, str]) -> list[str]:
    """The arguments that train again what is in a folder, into `output`; `more` overrides settings.

    Raises UserError where the folder holds no finished training.
    """
    if not folder.is_finished():
        raise UserError(
            f"{folder.root} holds no finished training. Finish it with --resume, or name another "
            "results folder."
        )
    config = folder.read_config()
    effective = config.get("effective", {})
    given = {name: config["settings"][name] for name in FLAGS if name in config["settings"]}
    given |= _former_defaults(config["settings"])
    given["compile"] = effective.get("compile", False)
    if "micro_batch" in effective:
        given["micro_batch"] = effective["micro_batch"]
    if effective.get("frozen_stages") == 0:  # also where today's version would freeze some
        given["freeze_weights"] = False
    given |= more
    flags = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return ["--config", str(folder.config), "--output_dir", str(output), *flags]


def _former_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a config.json does not say, since there was no choice then, and has another default
    now."""
    now = values_of(TrainConfig())
    return {
        name: value
        for name, value in LATER_SETTINGS.items()
        if settings[name] == value != now[name]
    }


def differences(one: ResultsFolder, other: ResultsFolder) -> list[Finding]:
    """Everything that decides a training and that comes out of it, in two results folders."""
    configs = [folder.read_config() for folder in (one, other)]
    effective, versions = (
        [config.get(key) or {} for config in configs] for key in ("effective", "versions")
    )
    findings = [_finding(key, *(config.get(key) for config in configs)) for key in SETUP_KEYS]
    findings += [_finding(key, *(each.get(key) for each in effective)) for key in NUMERICS]
    names = sorted(set(versions[0]) | set(versions[1]))
    findings += [_finding(f"version of {key}", *(e.get(key) for e in versions)) for key in names]
    for key, what in (
        ("resumed", "times that it went on otherwise"),
        ("recovered", "times that --recover halved the rate"),
        ("retrained", "pairs that were trained again"),
    ):
        findings.append(_finding(what, *(len(config.get(key, [])) for config in configs)))
    return [*findings, _history(one, other), *_weights(one, other)]


def _finding(what: str, before: Any, now: Any) -> Finding:
    return Finding(what, before == now, str(before), str(now))


def _history(one: ResultsFolder, other: ResultsFolder) -> Finding:
    """The figures of all epochs, without times and memory."""
    rows = [
        [
            {name: value for name, value in row.items() if name not in MEASURED and value}
            for row in folder.read_history(10**9)
        ]
        for folder in (one, other)
    ]
    pairs = zip(*rows, strict=False)
    first = next((before["epoch"] for before, now in pairs if before != now), None)
    counts = [f"{len(each)} rows" for each in rows]
    if first is not None:
        counts = [f"{count}, other from epoch {first} on" for count in counts]
    return Finding("figures in history.csv", rows[0] == rows[1], *counts)


def _weights(one: ResultsFolder, other: ResultsFolder) -> list[Finding]:
    """The weights of each checkpoint, and how far apart they are at most."""
    names = sorted({path.name for folder in (one, other) for path in folder.models.glob("*.pth")})
    findings = []
    for name in names:
        paths = [folder.models / name for folder in (one, other)]
        missing = ["missing" if not path.is_file() else "there" for path in paths]
        if "missing" in missing:
            findings.append(Finding(f"weights in {name}", False, *missing))
            continue
        hint = "Restore it, or compare another folder."
        states = [load_torch(path, hint)["state_dict"] for path in paths]
        apart = _distance(*states)
        said = "equal bit by bit" if apart == 0 else f"at most {apart:.2g} apart"
        findings.append(Finding(f"weights in {name}", apart == 0, "", said))
    return findings


def _distance(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> float:
    """The largest difference between two networks' weights; infinite between unlike networks."""
    shapes = [{name: value.shape for name, value in each.items()} for each in (one, other)]
    if shapes[0] != shapes[1]:
        return float("inf")
    return max(
        (float((other[n].double() - v.double()).abs().max()) for n, v in one.items() if v.numel()),
        default=0.0,
    )


def as_json(findings: list[Finding]) -> dict[str, Any]:
    """The content of rerun.json."""
    return {"schema": 1, "compared": [asdict(finding) for finding in findings]}
