"""Going on with a training: its state, what has changed since it began, and `--recover`."""

from __future__ import annotations

from collections.abc import Mapping

from dr_ovo.errors import log
from dr_ovo.files import write_json
from dr_ovo.models.network import OvoNetwork
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.training.resume.branch_run import BranchRun
from dr_ovo.training.resume.state import Reached, load_state, load_stem

RECOVERY = 0.5  # of the learning rate


def go_on(
    folder: ResultsFolder, runs: dict[str, BranchRun], versions: Mapping[str, str], *, recover: bool
) -> tuple[Reached, float]:
    """Loads the state of a training into `runs`; how far it is, and by what its learning rates are
    scaled: to `recover`, by half of what they were. Warns of other `versions` than at its start."""
    reached = load_state(folder, runs)
    scale = float(folder.read_progress().get("rate_scale", 1.0))
    if recover:
        scale *= RECOVERY
        _record_recovery(folder, reached, scale)
    for run in runs.values():
        if run.trainer is not None:
            run.trainer.rate_scale = scale
    log.info("resuming %s%s", reached.said, f", at {scale:g} times the learning rate" * (scale < 1))
    _say_versions(folder, versions)
    return reached, scale


def _record_recovery(folder: ResultsFolder, reached: Reached, scale: float) -> None:
    """Adds the recovery to config.json, and to the state, so that the next one halves again."""
    config = folder.read_config()
    entry = {"after_epoch": reached.epochs, "rate_scale": scale}
    write_json(folder.config, {**config, "recovered": [*config.get("recovered", []), entry]})
    write_json(folder.progress, folder.read_progress() | {"rate_scale": scale})


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
