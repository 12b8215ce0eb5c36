"""Going on with a training: its state, what has changed since it began, and `--recover`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dr_ovo.errors import log
from dr_ovo.files import write_json
from dr_ovo.models.network import OvoNetwork
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.sealed_json import write_sealed
from dr_ovo.training.resume.branch_run import BranchRun
from dr_ovo.training.resume.kept_states import last_good_state, state_contents
from dr_ovo.training.resume.state import Reached, load_state, load_stem, reached_in

RECOVERY = 0.5  # of the learning rate


def recoveries(folder: ResultsFolder) -> list[dict[str, Any]]:
    """Where `--recover` halved the learning rate of the training in a folder."""
    return list(folder.read_config().get("recovered", [])) if folder.config.is_file() else []


def rate_scale(recovered: list[dict[str, Any]]) -> float:
    """By what the learning rates are scaled after these recoveries."""
    return float(recovered[-1]["rate_scale"]) if recovered else 1.0


def recovery(
    recovered: list[dict[str, Any]], reached: Reached, contents: Sequence[str]
) -> dict[str, Any]:
    """The next recovery after these, from a state that has `reached` so far; `contents` are the
    sha256 of its files."""
    return {
        "after_epoch": reached.epochs,
        "images": reached.images,
        "rate_scale": RECOVERY * rate_scale(recovered),
        "sha256": list(contents),
    }


def recover(folder: ResultsFolder) -> None:
    """Makes the last good state the newest, at half the learning rate, which config.json holds."""
    recovered = recoveries(folder)
    tried = {sha256 for entry in recovered for sha256 in entry.get("sha256", [])}
    newest = folder.read_progress()
    state = last_good_state(folder, tried)
    recovered.append(recovery(recovered, reached_in(state), state_contents(folder, state)))
    write_json(folder.config, folder.read_config() | {"recovered": recovered})
    if state != newest:
        log.info("going back to an older state, %s", reached_in(state).said)
        write_sealed(folder.progress, state)


def go_on(
    folder: ResultsFolder, runs: dict[str, BranchRun], versions: Mapping[str, str]
) -> tuple[Reached, float]:
    """Loads the state of a training into `runs`; how far it is, and by what its learning rates are
    scaled. Warns of other `versions` than at its start."""
    reached, scale = load_state(folder, runs), rate_scale(recoveries(folder))
    log.info("resuming %s%s", reached.said, f", at {scale:g} times the learning rate" * (scale < 1))
    _say_versions(folder, versions)
    return reached, scale


def _say_versions(folder: ResultsFolder, now: Mapping[str, str]) -> None:
    before = folder.read_config().get("versions", {})
    changed = [
        f"{name} {before[name]} before, {version} now"
        for name, version in now.items()
        if before.get(name, version) != version
    ]
    if changed:
        log.warning(
            "Other versions than when this training began: %s. Its bits may differ from those of "
            "a training that was never stopped.",
            ", ".join(changed),
        )


def load_stem_into(network: OvoNetwork, folder: ResultsFolder) -> None:
    """Loads the frozen stem that a folder stores into the network."""
    if network.stem is not None:
        network.stem.load_state_dict(load_stem(folder), strict=True)
