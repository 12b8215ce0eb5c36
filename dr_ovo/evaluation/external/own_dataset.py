"""The data set on which a model was trained, to compare another one with; or why there is none."""

from __future__ import annotations

from pathlib import Path

from dr_ovo.dataset.index import DatasetIndex, scan_dataset
from dr_ovo.errors import UserError, log
from dr_ovo.inference.trained_model import TrainedModel
from dr_ovo.settings.command_line import Settings
from dr_ovo.training.data.audit_gate import was_audited


def own_dataset(settings: Settings, model: TrainedModel, external: Path) -> DatasetIndex | str:
    """The data set of `--dataset_path`, else the one that the model's config.json names; the reason
    in words where that is not there.

    Raises UserError for a `--dataset_path` that can't be used, and where one of the two data sets
    is, or lies inside, the other.
    """
    grades = tuple(model.meta["class_names"])
    if "dataset_path" in settings.given():
        root = Path(settings.config.dataset_path)
        index = scan_dataset(root, grades, joined=True)
    elif not model.folder.config.is_file():
        return f"{model.folder.root} has no config.json, which names its data set: --dataset_path"
    else:
        root = Path(model.folder.read_config()["settings"]["dataset_path"])
        try:
            index = scan_dataset(root, grades, joined=True)
        except UserError as error:
            return f"the data set of the training can't be used (give --dataset_path): {error}"
    _require_apart(external, root)
    if was_audited(model.folder, root, grades) is False:
        log.warning(
            "%s: these are not the files that the training of %s audited. What it shares with "
            "--external may not be all that the network has seen.",
            root,
            model.folder.root,
        )
    return index


def _require_apart(external: Path, root: Path) -> None:
    here, there = external.resolve(), root.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        raise UserError(
            f"--external {external} and the data set of the training, {root}, have the same "
            "photographs, as one folder is inside the other. Its test is evaluated by --mode "
            "evaluate without --external; name a data set that lies elsewhere."
        )
