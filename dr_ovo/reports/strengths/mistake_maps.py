"""Maps of the shared mistakes, where `python -m dr_ovo explain` has made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dr_ovo.document.document import Cell, Column, Picture, Table
from dr_ovo.errors import UserError
from dr_ovo.explanations.words import STRIP_TITLE, how_to_read, strip_text
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.maps_file import read_strips
from dr_ovo.results.model_results import ModelResults

SHOWN = 20  # images, of each model


def mistake_maps(
    models: Sequence[ModelResults], mistakes: Sequence[Mapping[str, Any]]
) -> tuple[list[str], Table | None]:
    """What is said of the maps of mistakes, those first that are listed first, and a table of them;
    without maps None, and how to make them. Raises UserError for a damaged maps.json."""
    if not mistakes:
        return [], None
    strips = {}
    for model in models:
        grades = {str(one["sample_id"]): int(one["predicted"][model.name]) for one in mistakes}
        strips[model.name] = read_strips(ResultsFolder(model.folder), grades)
    if not any(strips.values()):
        return _advice(models), None
    class_names = [str(name) for name in models[0].test.class_names]
    columns = [
        Column("sample_id", "sample"), Column("target", "true grade", "count"),
        Column("model", "model"), Column("grade", "its grade", "count"),
        Column("maps", STRIP_TITLE),
    ]  # fmt: skip
    rows: list[list[Cell]] = []
    with_maps = [one for one in mistakes if any(one["sample_id"] in own for own in strips.values())]
    for mistake in with_maps[:SHOWN]:
        sample = str(mistake["sample_id"])
        for name, own in strips.items():
            if (strip := own.get(sample)) is None:
                continue
            graded, rival = (_named(class_names, grade) for grade in (strip.grade, strip.rival))
            words = strip_text(sample, graded, rival)
            picture = Picture(strip.jpeg, strip.width, strip.height, words)
            rows.append([sample, mistake["target"], name, strip.grade, picture])
    title = f"Maps of {min(SHOWN, len(with_maps))} of {len(mistakes)} of these images"
    adds_up = all(strip.adds_up for own in strips.values() for strip in own.values())
    return how_to_read(adds_up), Table("mistake_maps", title, columns, rows, shown=SHOWN)


def _named(class_names: Sequence[str], grade: int) -> str:
    return class_names[grade] if grade < len(class_names) else str(grade)


def _advice(models: Sequence[ModelResults]) -> list[str]:
    """How to make the maps; nothing for models without checkpoints."""
    files = ("models/best_*.pth", "fold_*/models/best_*.pth")
    with_checkpoints = (m.folder for m in models if any(any(m.folder.glob(f)) for f in files))
    folder = next(with_checkpoints, None)
    if folder is None:
        return []
    return [
        "To see what a model looked at in them, make its maps, then this report again: "
        f"python -m dr_ovo explain {folder} --input {_test_split(folder)}"
    ]


def _test_split(folder: Path) -> str:
    try:
        return str(Path(ResultsFolder(folder).read_config()["settings"]["dataset_path"]) / "test")
    except (UserError, KeyError):
        return "DATASET/test"
