"""What the photographs that calibrate a network have chosen of it before: where it is anything, no
coverage of its sets is guaranteed."""

from __future__ import annotations

from dr_ovo.decoding.heads import head_of
from dr_ovo.inference.trained_model import TrainedModel
from dr_ovo.predictions.conformal import SCALE_FITTED
from dr_ovo.predictions.predictions_file import Predictions


def chosen_on_val(model: TrainedModel, val: Predictions) -> list[str]:
    """In words, each with the photographs as its subject; nothing for a share that is kept out of
    model selection, as far as the folder tells."""
    found = ["they are LEAKY: the network has seen some of them"] * ("LEAKY" in val.marks)
    if val.calibration.any():
        return found
    if not model.folder.config.is_file() or not model.folder.progress.is_file():
        return [*found, "how the network was trained is not known"]
    config = model.folder.read_config()
    settings = config["settings"]
    ended = {branch["ended"] for branch in model.folder.read_progress()["branches"].values()}
    reasons = {
        f"its epoch was chosen on them (--keep_epoch {settings['keep_epoch']})": (
            settings["keep_epoch"] != "last"
        ),
        "its training was ended by them (--patience)": "patience" in ended,
        "its learning rate followed them (--scheduler plateau)": (
            settings["scheduler"] == "plateau"
        ),
        SCALE_FITTED: head_of(val.head).is_number,
        "the weights of its pairs are from them (--decoder weighted)": val.decoder == "weighted",
        "its training was stopped before its end": not model.folder.is_finished(),
        "pairs that were trained again were chosen on them": bool(config.get("retrained")),
    }
    return [*found, *(reason for reason, holds in reasons.items() if holds)]
