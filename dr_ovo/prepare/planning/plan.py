"""Makes the plan of a dataset: reads all photographs, finds what links them, assigns splits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from dr_ovo.copies.descriptor_cache import Described, describe_files
from dr_ovo.copies.near_duplicates import find_pairs, too_small
from dr_ovo.dataset.photograph import Dropped, Photograph
from dr_ovo.dataset.words import SPLITS
from dr_ovo.errors import UserError
from dr_ovo.photographs.damage import Damage
from dr_ovo.prepare.file_names import placed_names
from dr_ovo.prepare.options import Fractions, PrepareOptions
from dr_ovo.prepare.planning.copies_by_name import bind_copies_by_name
from dr_ovo.prepare.planning.excluded import in_excluded_sets
from dr_ovo.prepare.planning.grouping import Relations, relate
from dr_ovo.prepare.planning.splits import Plan, make_plan
from dr_ovo.prepare.sources import Source


@dataclass(frozen=True)
class Prepared:
    """The readable photographs, their descriptions, what links them, and their plan; `left_out` are
    those that were dropped before there was a plan."""

    photographs: tuple[Photograph, ...]
    described: dict[Path, Described]
    relations: Relations
    plan: Plan
    left_out: tuple[Dropped, ...]
    identity_only: int
    quality: dict[Path, float | None]


def plan_dataset(options: PrepareOptions, source: Source, cache: Path | None) -> Prepared:
    """Reads every photograph and assigns its split; writes nothing but the cache."""
    source.unpack()
    limit = options.max_megapixels
    every = [photograph.path for photograph in source.photographs]
    found = describe_files(every, cache, max_megapixels=limit)
    damaged = [entry for entry in found.values() if isinstance(entry, Damage)]
    unreadable = _unreadable(source.photographs, damaged)
    kept = tuple(
        photograph
        for photograph in source.photographs
        if isinstance(found[photograph.path], Described)
    )
    described = {photograph.path: readable(found[photograph.path]) for photograph in kept}
    excluded = in_excluded_sets(kept, described, options.exclude, cache, limit)
    kept = tuple(photograph for photograph in kept if photograph.path not in excluded)
    described = {photograph.path: described[photograph.path] for photograph in kept}
    paths = [photograph.path for photograph in kept]
    pairs = find_pairs(paths, described, cache)
    relations = relate(kept, [described[path].sha256 for path in paths], pairs)
    names = placed_names(kept, shrunken=bool(options.preprocess))
    relations = bind_copies_by_name(kept, relations, names)
    fractions = Fractions(options.val_fraction, options.test_fraction)
    plan = make_plan(kept, relations, fractions, options.seed)
    _require_splits(plan)
    left_out = (*unreadable, *excluded.values())
    return Prepared(
        kept, described, relations, plan, left_out, len(too_small(paths, described)), {}
    )


def readable(found: Described | Damage) -> Described:
    """A file's description. Raises UserError if the file has become unreadable."""
    if isinstance(found, Damage):
        raise UserError(f"{found.path} can't be read: {found.reason}. Run the command again.")
    return found


def _unreadable(photographs: tuple[Photograph, ...], damaged: list[Damage]) -> tuple[Dropped, ...]:
    reasons = {damage.path: damage.reason for damage in damaged}
    return tuple(
        Dropped(
            photograph.name,
            "unreadable",
            reasons[photograph.path],
            photograph.grade,
            photograph.split,
        )
        for photograph in photographs
        if photograph.path in reasons
    )


def without(prepared: Prepared, damaged: list[Damage]) -> Prepared:
    """The same without photographs that turned out to be damaged when they were shrunk."""
    lost = {damage.path for damage in damaged}
    split = {
        position: name
        for position, name in prepared.plan.split.items()
        if prepared.photographs[position].path not in lost
    }
    return replace(
        prepared,
        plan=Plan(split, prepared.plan.dropped),
        left_out=(*prepared.left_out, *_unreadable(prepared.photographs, damaged)),
    )


def _require_splits(plan: Plan) -> None:
    counts = Counter(plan.split.values())
    empty = [name for name in SPLITS if not counts[name]]
    if empty:
        kinds = Counter(dropped.kind for dropped in plan.dropped.values())
        words = ", ".join(f"{count} ({kind})" for kind, count in kinds.items()) or "none"
        raise UserError(
            f"No photographs are left for {' and '.join(empty)}: too few patients, groups or "
            f"different pictures to divide; dropped: {words}. Add photographs, change the "
            "fractions, use a finer --group_column, or split again with --split_column none."
        )
