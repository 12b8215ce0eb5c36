"""Whether a results folder may take a new training, or resume its own with these settings."""

from __future__ import annotations

from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.results.folder import ResultsFolder


def check_folder(folder: ResultsFolder, *, resume: bool) -> None:
    """Raises UserError if a new training would collide with another one in the folder."""
    root = folder.root
    if root.exists() and not root.is_dir():
        raise UserError(f"{root} is a file; --output_dir expects a folder.")
    if not folder.progress.is_file() and any(folder.models.glob("*.pth")):
        raise UserError(
            f"{folder.models} holds checkpoints, but {folder.resume} lacks the training that made "
            "them. Choose another --output_dir."
        )
    if folder.finished_epochs() and not resume:
        state = "a finished training" if folder.is_finished() else "a training that was stopped"
        raise UserError(
            f"{root} holds {state} ({folder.finished_epochs()} epochs). To resume it, use the "
            "same command with --resume; to start from scratch, another --output_dir."
        )


def check_same_settings(
    folder: ResultsFolder,
    settings: dict[str, Any],
    data_hash: str,
    alternative: str = "start from scratch in another --output_dir",
) -> None:
    """Raises UserError, naming them, if settings that matter differ from the folder's.

    `alternative` is what the user can do instead of resuming.
    """
    stored = folder.read_config()
    differing = [
        f"--{name}: {_shown(stored['settings'].get(name))} there, {_shown(value)} now"
        for name, value in settings.items()
        if stored["settings"].get(name) != value
    ]
    if differing:
        raise UserError(
            f"{folder.root} was made with other settings:\n  " + "\n  ".join(differing) + "\n"
            f"Resume with the settings there, or {alternative}."
        )
    if stored["data_hash"] != data_hash:
        raise UserError(
            f"{folder.root} was trained on other images (or other grades) than --dataset_path now "
            f"has in train and val. Restore them, or {alternative}."
        )


def check_same_pictures(
    folder: ResultsFolder,
    replaced: str,
    alternative: str = "start from scratch in another --output_dir",
) -> None:
    """Raises UserError if pictures were `replaced`, which names their splits ("" for none)."""
    if replaced:
        raise UserError(
            f"{folder.root} was trained on other pictures than --dataset_path now has in "
            f"{replaced}: some were replaced under their names. Restore them, or {alternative}."
        )


def _shown(value: Any) -> str:
    return (
        (" ".join(map(str, value)) or "nothing") if isinstance(value, list | tuple) else str(value)
    )
