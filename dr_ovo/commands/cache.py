"""`python -m dr_ovo cache DIR`: lists decoded photographs, and deletes them."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dr_ovo.decoded.stored import Stored, cache_at, delete, stored
from dr_ovo.errors import DONE, UserError
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.tables import magnitude, say, table


def main(argv: Sequence[str], prog: str) -> int:
    """Prints the stores in the folder, or deletes them."""
    arguments = _parser(prog).parse_args(argv)
    cache = cache_at(arguments.folder)
    stores = stored(cache)
    total = magnitude(sum(store.size_on_disk for store in stores), "B")
    say(_listed(stores))
    if arguments.clear:
        delete(stores)
        left = ", where other files are left" if cache.exists() else ""
        say(f"\nDeleted from {cache}{left}: {total}")
    else:
        say(f"\n{total} in {cache}. --clear deletes it; the next run decodes anew.")
    return DONE


def _listed(stores: Sequence[Stored]) -> str:
    """A table of stores."""
    rows = [
        [
            store.folder.name,
            _content(store.about),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(store.last_used)),
            str(store.about.get("photographs", "-")),
            magnitude(store.size_on_disk, "B"),
        ]
        for store in stores
    ]
    return table(["store", "content", "last used", "rows", "size"], rows, left=3)


def _content(about: dict[str, Any]) -> str:
    """What the rows are: photographs as the preprocessing leaves them, or features of these."""
    features, steps = about.get("features"), _steps(about.get("preprocessing"))
    if not isinstance(features, dict):
        return steps
    size = about.get("size")
    return f"features of {features.get('architecture')} at {size} px, {steps}"


def _steps(preprocessing: Any) -> str:
    """The steps that are on, as in `disc_crop, clahe 3.0`."""
    try:
        found = Preprocessing.from_dict(dict(preprocessing))
    except (UserError, TypeError, ValueError):  # of another version
        return "-"
    clip = {"clahe": f"clahe {found.clahe_clip_limit}"}
    return ", ".join(clip.get(step, step) for step in found.steps) or "none"


def _folder(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a folder, not an empty name")
    return Path(text).expanduser()


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="lists the decoded photographs, and the features of frozen backbones, that "
        "trainings and evaluations keep, and deletes them; photographs themselves are never "
        "touched",
    )
    parser.add_argument(
        "folder", metavar="DIR", type=_folder, help="the folder of --cache_dir, or a dataset"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="list them (the default)")
    what.add_argument("--clear", action="store_true", help="delete them")
    return parser
