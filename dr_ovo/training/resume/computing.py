"""How a training computes: device, number and memory format, threads; and what of it a resumed
training changes.

A training that goes on as it began has the bits of one that was never stopped. Its memory format
is therefore kept. Device, precision and threads are those of the machine: another one is said and
recorded.
"""

from __future__ import annotations

from typing import Any

import torch

from dr_ovo.device import uses_tf32
from dr_ovo.errors import UserError, log
from dr_ovo.files import write_json
from dr_ovo.models.architectures import CONTIGUOUS
from dr_ovo.models.network import MEMORY_FORMATS, OvoNetwork
from dr_ovo.models.precision import Precision
from dr_ovo.results.folder import ResultsFolder


def computing_now(precision: Precision, network: OvoNetwork) -> dict[str, Any]:
    """How a training computes, for config.json."""
    return {**_machine(precision), "memory_format": network.memory_format}


def _machine(precision: Precision) -> dict[str, Any]:
    """What the machine decides."""
    return {
        "device": str(precision.device),
        "precision": precision.name,
        "tf32": uses_tf32(precision.device),  # in training; never in evaluation
        "threads": torch.get_num_threads(),
    }


def begun_memory_format(folder: ResultsFolder) -> str | None:
    """The memory format of the training in a folder; None if there is none yet.

    Earlier versions, which recorded none, had NCHW. Raises UserError for an unknown one.
    """
    if not folder.finished_epochs():
        return None
    name = _effective(folder.read_config()).get("memory_format", CONTIGUOUS)
    if name not in list(MEMORY_FORMATS):  # of any type, so it may have no hash
        raise UserError(
            f"{folder.config} is damaged: its effective memory_format is {name!r}, and "
            f"{' or '.join(MEMORY_FORMATS)} was expected. Restore it, or use another --output_dir."
        )
    return str(name)


def note_changes(folder: ResultsFolder, epoch: int, precision: Precision) -> None:
    """Says and records, in the folder's config.json, what a training resumed after `epoch` computes
    otherwise than so far."""
    config = folder.read_config()
    resumed = config.get("resumed", [])
    before = {**_effective(config), **(resumed[-1] if resumed else {})}
    now = _machine(precision)
    changes = _changes(before, now)
    if not changes:
        return
    log.warning(
        "This training goes on otherwise than so far: %s. Its bits will differ, by rounding, from "
        "those of a training that was never stopped.",
        "; ".join(changes),
    )
    write_json(folder.config, {**config, "resumed": [*resumed, {"after_epoch": epoch, **now}]})


def _changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What changes the bits, in words; of what was not recorded nothing is known."""
    names = ["precision", "tf32"]
    kinds = [str(one.get("device", now["device"])).partition(":")[0] for one in (before, now)]
    if kinds[0] != kinds[1]:
        names.append("device")
    elif kinds[1] == "cpu":
        names.append("threads")
    changed = [name for name in names if before.get(name, now[name]) != now[name]]
    said = [f"{name} {before[name]} before, {now[name]} now" for name in changed]
    if "precision" in changed and now["precision"] == "float16":
        said.append("the gradient scaler of float16 begins anew")
    return said


def _effective(config: dict[str, Any]) -> dict[str, Any]:
    effective = config.get("effective")
    return effective if isinstance(effective, dict) else {}
