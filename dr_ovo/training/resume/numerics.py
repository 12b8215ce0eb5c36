"""What decides the bits of a training beside its settings: device, number and memory format,
threads, compiling; and what of it a resumed training changes.

A training that goes on as it began has the bits of one that was never stopped. Its memory format
is therefore kept, and so is float16. Everything else is the machine's: another one is said, and
recorded with the first state that has it.
"""

from __future__ import annotations

from typing import Any

import torch

from dr_ovo.device import uses_tf32
from dr_ovo.errors import UserError, log
from dr_ovo.files import write_json
from dr_ovo.models.architectures import CONTIGUOUS
from dr_ovo.models.memory_format import MEMORY_FORMATS
from dr_ovo.models.precision import Precision
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.training.resume.state import Reached, kept_state, reached_in

FLOAT16 = "float16"  # as Precision names it
LOSS_VERSION = 2  # in 1 the ordinal loss took no weights from the counts


def numerics_now(
    precision: Precision, *, compiled: bool, micro_batch: int, ranks: int = 1
) -> dict[str, Any]:
    """What the machine decides, for config.json. `ranks`: processes that share each step."""
    return {
        "device": str(precision.device),
        "precision": precision.name,
        "tf32": uses_tf32(precision.device),  # in training; never in evaluation
        "threads": torch.get_num_threads(),
        "compile": compiled,
        "micro_batch": micro_batch,
        "ranks": ranks,
    }


def begun_memory_format(folder: ResultsFolder) -> str | None:
    """The memory format of the training in a folder; None if there is none yet.

    Earlier versions, which recorded none, had NCHW. Raises UserError for an unknown one.
    """
    if not folder.has_begun():
        return None
    name = _effective(folder.read_config()).get("memory_format", CONTIGUOUS)
    if name not in list(MEMORY_FORMATS):  # of any type, so it may have no hash
        raise UserError(
            f"{folder.config} is damaged: its effective memory_format is {name!r}, and "
            f"{' or '.join(MEMORY_FORMATS)} was expected. Restore it, or use another --output_dir."
        )
    return str(name)


def begun_frozen_stages(folder: ResultsFolder, wanted: int) -> int:
    """The stages to freeze: those `wanted`, or none where the training in a folder began so, as
    earlier versions did for plain vision transformers."""
    if not folder.has_begun():
        return wanted
    return 0 if _effective(folder.read_config()).get("frozen_stages") == 0 else wanted


def begun_micro_batch(folder: ResultsFolder) -> int | None:
    """The size of the last micro-batches of the training in a folder; None if there is none, and
    for one of an earlier version."""
    size = folder.read_progress().get("micro_batch") if folder.has_begun() else None
    return size if type(size) is int and size > 0 else None


def precision_to_go_on_with(folder: ResultsFolder, chosen: Precision) -> Precision:
    """The precision in which the training in a folder goes on: the chosen one, but float16 where
    that was its last and a newer GPU would have bfloat16; says so."""
    if chosen.dtype is not torch.bfloat16 or not folder.has_begun():
        return chosen
    before = _so_far(folder.read_config(), kept_state(folder))
    same_kind = _kind(before.get("device", chosen.device)) == chosen.device.type
    if before.get("precision") != FLOAT16 or not same_kind:
        return chosen
    log.info("%s goes on in float16, as it did so far", folder.root)
    return Precision(chosen.device, torch.float16)


def say_changes(folder: ResultsFolder, now: dict[str, Any]) -> None:
    """Says what the training in a folder will compute otherwise than so far."""
    progress = folder.read_progress()
    before = _so_far(folder.read_config(), reached_in(progress))
    before |= {name: progress[name] for name in ("micro_batch",) if name in progress}
    changes = _changes(before, now)
    if changes:
        log.warning(
            "This training goes on otherwise than so far: %s. Its bits will differ, by rounding, "
            "from those of a training that was never stopped.",
            "; ".join(changes),
        )


def record_numerics(folder: ResultsFolder, begun_at: Reached, now: dict[str, Any]) -> None:
    """Brings config.json up to how the training was computed, before a state is saved.

    `begun_at`: where this process went on. What it computes otherwise than before is listed under
    `resumed`; if there was nothing, `effective` takes what came out.
    """
    config = folder.read_config()
    updated = {**config, "effective": {**_effective(config), **now}}
    if begun_at.has_begun:
        entries = _resumed(config, begun_at)
        if _changes(_so_far(config, begun_at), now):
            place = {"after_epoch": begun_at.epochs, "images": begun_at.images}
            entries.append({**place, **now})
        updated = {**config, "resumed": entries} if entries or "resumed" in config else config
    if updated != config:
        write_json(folder.config, updated)


def _so_far(config: dict[str, Any], reached: Reached) -> dict[str, Any]:
    """How the training was computed last; earlier versions never compiled."""
    resumed = _resumed(config, reached)
    return {"compile": False, **_effective(config), **(resumed[-1] if resumed else {})}


def _resumed(config: dict[str, Any], reached: Reached) -> list[dict[str, Any]]:
    """The recorded resumptions, without those of which nothing was kept."""
    return [
        one
        for one in config.get("resumed", [])
        if (one["after_epoch"], one.get("images", 0)) < reached.position
    ]


def _changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What changes the bits, in words; of what was not recorded nothing is known."""
    before = {"ranks": 1, **before}
    names = ["precision", "tf32", "compile", "micro_batch", "ranks"]
    kinds = [_kind(one.get("device", now["device"])) for one in (before, now)]
    if kinds[0] != kinds[1]:
        names.append("device")
    elif kinds[1] == "cpu":
        names.append("threads")
    changed = [name for name in names if before.get(name, now[name]) != now[name]]
    said = [f"{name} {before[name]} before, {now[name]} now" for name in changed]
    if "precision" in changed and now["precision"] == FLOAT16:
        said.append("the gradient scaler of float16 begins anew")
    if "micro_batch" not in before:
        said.append(
            "the version that began it drew dropout for each micro-batch, this one for each step"
        )
    return said


def _kind(device: object) -> str:
    """`cpu` or `cuda`."""
    return str(device).partition(":")[0]


def begun_loss(folder: ResultsFolder) -> int:
    """The version of the losses with which the training in a folder goes on: the one that it began
    with, or today's."""
    if not folder.has_begun():
        return LOSS_VERSION
    version = _effective(folder.read_config()).get("loss_version", 1)
    if version not in range(1, LOSS_VERSION + 1):
        raise UserError(
            f"{folder.config} is damaged: its effective loss_version is {version!r}, and a number "
            f"up to {LOSS_VERSION} was expected. Restore it, or use another --output_dir."
        )
    return int(version)


def _effective(config: dict[str, Any]) -> dict[str, Any]:
    effective = config.get("effective")
    return effective if isinstance(effective, dict) else {}
