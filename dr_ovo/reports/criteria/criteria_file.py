"""The TOML file of --criteria: its keys, checks and error messages."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.models.architectures import ARCHITECTURES, architecture_of
from dr_ovo.reports.criteria.criteria import DIRECTIONS, Criterion

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA = 1
DEFAULT = Path(__file__).with_name("default_criteria.toml")
EACH_NEW, EACH, ENSEMBLE, EXTERNAL = "each new model", "each model", "ensemble", "external"
SUBJECTS = (EACH_NEW, EACH, ENSEMBLE, EXTERNAL)
SETS = ("new_models", "ensemble", "baseline")
TEXTS = ("id", "text", "model", "metric")


@dataclass(frozen=True)
class Checklist:
    """The criteria, and the architectures that their group names stand for."""

    criteria: tuple[Criterion, ...]
    new_models: tuple[str, ...]
    ensemble: tuple[str, ...]  # empty: all models given
    baseline: tuple[str, ...]


def read_checklist(path: Path) -> Checklist:
    """The criteria in a file. Raises UserError that says where the mistake is."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows' editors write a mark
    except OSError as error:
        raise UserError(f"--criteria {path}: can't be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:  # its message names line and column
        raise UserError(f"--criteria {path}: not valid TOML: {error}.") from None
    _check_keys(path, "the top of the file", data, ("schema", "criterion", *SETS))
    if data.get("schema") != SCHEMA:
        raise UserError(f"--criteria {path}: expected schema = {SCHEMA}, not {data.get('schema')}.")
    rows = data.get("criterion")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"--criteria {path}: no criteria; expected [[criterion]] tables.")
    criteria = tuple(_criterion(path, number, row) for number, row in enumerate(rows, 1))
    ids = [one.id for one in criteria]
    if duplicates := {name for name in ids if ids.count(name) > 1}:
        raise UserError(f"--criteria {path}: the id '{duplicates.pop()}' occurs twice.")
    sets = {name: _models(path, name, data.get(name, [])) for name in SETS}
    return Checklist(criteria, **sets)


def _criterion(path: Path, number: int, row: Mapping[str, Any]) -> Criterion:
    place = f"criterion {number} ('{row.get('id', 'without id')}')"
    _check_keys(path, place, row, (*TEXTS, *DIRECTIONS))
    for key in TEXTS:
        if not isinstance(row.get(key), str) or not row[key]:
            raise UserError(f"--criteria {path}: {place}: {key} = {row.get(key)!r}; expected text.")
    limits = [key for key in DIRECTIONS if key in row]
    if len(limits) != 1:
        raise UserError(
            f"--criteria {path}: {place}: expected one limit, {' or '.join(DIRECTIONS)}; found "
            f"{' and '.join(limits) or 'none'}."
        )
    limit = row[limits[0]]
    if isinstance(limit, bool) or not isinstance(limit, int | float) or limit != limit:
        raise UserError(
            f"--criteria {path}: {place}: {limits[0]} = {limit!r}; expected a number (a fraction, "
            "such as 0.98)."
        )
    if row["model"] not in SUBJECTS:
        _models(path, place, [row["model"]])
    texts = {key: row[key] for key in TEXTS}
    return Criterion(**texts, direction=limits[0], limit=float(limit))


def _models(path: Path, place: str, names: Any) -> tuple[str, ...]:
    """The models' aliases; raises UserError for an unknown architecture."""
    if not isinstance(names, list):
        raise UserError(f"--criteria {path}: {place} = {names!r}; expected a list of models.")
    for name in names:
        if not isinstance(name, str) or architecture_of(name) is None:
            choices = [*SUBJECTS, *ARCHITECTURES]
            raise UserError(
                f"--criteria {path}: {place}: '{name}' is not a model.{nearest(str(name), choices)}"
            )
    return tuple(known.alias for name in names if (known := architecture_of(name)))


def _check_keys(path: Path, place: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            raise UserError(
                f"--criteria {path}: {place}: unknown key '{key}'.{nearest(key, known)}"
            )


def nearest(name: str, known: Sequence[str]) -> str:
    """A sentence with the closest known names."""
    near = difflib.get_close_matches(name, known, n=4, cutoff=0.4)
    return f" Nearest: {', '.join(near)}." if near else f" Known: {', '.join(known)}."
