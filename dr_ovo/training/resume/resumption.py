"""Going on with a training: its state, what has changed since it began, and `--recover`."""

from __future__ import annotations

from collections.abc import Mapping

from dr_ovo.errors import log
from dr_ovo.files import write_json
from dr_ovo.models.network import OvoNetwork
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.training.resume.branch_run import BranchRun
from dr_ovo.training.resume.kept_states import go_back_if_stuck, state_files
from dr_ovo.training.resume.state import Reached, load_state, load_stem

RECOVERY = 0.5  # of the learning rate


def go_on(
    folder: ResultsFolder, runs: dict[str, BranchRun], versions: Mapping[str, str], *, recover: bool
) -> tuple[Reached, float]:
    """Loads the state of a training into `runs`; how far it is, and by what its learning rates are
    scaled: to `recover`, by half of what they were. Warns of other `versions` than at its start."""
    scale = float(folder.read_progress().get("rate_scale", 1.0))
    if recover:
        scale *= RECOVERY
        _recover(folder, scale)
    reached = load_state(folder, runs)
    for run in runs.values():
        if run.trainer is not None:
            run.trainer.rate_scale = scale
    log.info("resuming %s%s", reached.said, f", at {scale:g} times the learning rate" * (scale < 1))
    _say_versions(folder, versions)
    return reached, scale


def _recover(folder: ResultsFolder, scale: float) -> None:
    """Chooses the last good state, and writes the recovery into config.json and into that state, so
    that the next one halves the rate again."""
    config = folder.read_config()
    before = config.get("recovered", [])
    go_back_if_stuck(folder, before[-1]["state"] if before else [])
    state = folder.read_progress()
    entry = {
        "after_epoch": state["epoch"],
        "inside_an_epoch": "within" in state,
        "rate_scale": scale,
        "state": state_files(state),
    }
    write_json(folder.config, {**config, "recovered": [*before, entry]})
    write_json(folder.progress, state | {"rate_scale": scale})


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
