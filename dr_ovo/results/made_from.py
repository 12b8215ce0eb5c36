"""What an evaluation was made from: sha256 of the checkpoints, and of calibration.json."""

from __future__ import annotations

from collections.abc import Sequence

from dr_ovo.files import known_sha256
from dr_ovo.results.folder import ResultsFolder

MADE_FROM = "made_from"  # key of evaluation.json


def checkpoint_digests(folders: Sequence[ResultsFolder]) -> dict[str, str]:
    """The sha256 of the checkpoints by the names of their files; of several folders, by theirs,
    too."""
    several = len(folders) > 1
    return {
        f"{folder.root.resolve().name}/{path.name}" if several else path.name: known_sha256(path)
        for folder in folders
        for path in sorted(folder.models.glob("best_*.pth"))
    }
