"""Puts the outcome of a pair's retraining in place as one transaction.

What is to be done is written first, into the folder of the retraining. Every step can be done
again, so a process that was stopped meanwhile is followed by one that does them all.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.files import flush, write_json
from dr_ovo.json_files import check_schema, read_json
from dr_ovo.pairs import Pair, pair_name
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.schemas import Outcome
from dr_ovo.results.training_files import FILES, config_digest, files_of_training
from dr_ovo.sealed_json import check_digest, write_sealed

SCHEMA = 1
REMOVED = "retrain.removed"
ADVICE = "Restore it from a copy of the folder."


def decide(
    folder: ResultsFolder,
    work: ResultsFolder,
    file: str,
    replaced: str | None,
    entry: Mapping[str, Any],
) -> None:
    """Writes what became of a pair's classifier, and does it. `file`: the name of its checkpoint;
    `replaced`: that of the one that is not kept, if any; `entry`: for config.json."""
    pair: Pair = (entry["pair"][0], entry["pair"][1])
    rows = folder.read_history(sys.maxsize)
    if entry["kept"] == "new":
        own = [row for row in work.read_history(sys.maxsize) if row["branch"] == pair_name(pair)]
        rows = [row for row in rows if row["branch"] != pair_name(pair)] + own
    content = {
        "schema": SCHEMA,
        "file": file,
        "replaced": replaced,
        "keeps_new": entry["kept"] == "new",
        "history": rows,
        "config": config_digest(folder),
        "retrained": [*folder.read_config()["retrained"], entry],
    }
    write_sealed(folder.outcome, content)
    put_in_place(folder)


def put_in_place(folder: ResultsFolder) -> None:
    """Does what an outcome says that was not done to the end, if there is one.

    Raises UserError where it, or config.json since then, is not as it was written, and MachineError
    if the disk refuses.
    """
    shutil.rmtree(folder.root / REMOVED, ignore_errors=True)
    if not folder.outcome.is_file():
        return
    content = check_schema(read_json(folder.outcome, ADVICE), Outcome, folder.outcome, ADVICE)
    check_digest(content, folder.outcome, ADVICE)
    if config_digest(folder) != content["config"]:
        raise UserError(
            f"{folder.config} was changed while a pair that was trained again was put in place. "
            f"{ADVICE}"
        )
    current = folder.models / content["file"]
    candidate = ResultsFolder(folder.outcome.parent).models / content["file"]
    if content["replaced"]:
        loser = folder.models / "replaced" / content["replaced"]
        if not loser.is_file():
            _move(current if content["keeps_new"] else candidate, loser)
    if content["keeps_new"]:
        _move(candidate, current)
    folder.write_history(content["history"])
    config = read_json(folder.config, ADVICE)
    write_json(folder.config, {**config, "retrained": content["retrained"]})
    write_sealed(
        folder.progress, {**folder.read_progress(), FILES: files_of_training(folder, None)}
    )
    folder.outcome.unlink()
    flush(folder.outcome.parent)


def remove_work(folder: ResultsFolder) -> None:
    """Removes the folder of a retraining whose pairs are all in place; not half of it, also where
    the process is killed."""
    folder.outcome.parent.replace(folder.root / REMOVED)
    shutil.rmtree(folder.root / REMOVED)


def _move(source: Path, target: Path) -> None:
    """Moves a checkpoint and the JSON beside it, as far as that is not done."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for one in (source.with_suffix(".json"), source):
        if one.is_file():
            one.replace(target.with_suffix(one.suffix))
    flush(target.parent)
    if source.parent.is_dir():
        flush(source.parent)
