"""The file of `--pretrained_path`: whether it is still the one that a training began with."""

from __future__ import annotations

from pathlib import Path

from dr_ovo.errors import UserError, log
from dr_ovo.files import file_sha256
from dr_ovo.models.weights.sources import weights_file
from dr_ovo.results.folder import ResultsFolder

KEY = "pretrained_sha256"  # in config.json


def pretrained_sha256(timm_name: str, path: str) -> str | None:
    """The sha256 of the file of weights that `path` names; None for none, and for one that can't
    be read, or no more."""
    try:
        return file_sha256(weights_file(timm_name, path)) if path else None
    except (OSError, UserError):
        return None


def say_other_file(folder: ResultsFolder, timm_name: str, path: str) -> None:
    """Warns if the file at `path` is not the one that the training in a folder began with. One that
    is gone is none, and earlier versions did not record which it was."""
    before = folder.read_config().get(KEY)
    now = pretrained_sha256(timm_name, path) if before else None
    if now is not None and now != before:
        log.warning(
            "%s has changed since this training began (sha256 %s then, %s now). The training goes "
            "on from its own states, which need it no more; a new one would begin otherwise.",
            Path(path), str(before)[:12], now[:12],
        )  # fmt: skip
