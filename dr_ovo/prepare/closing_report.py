"""The text that prepare_dataset.py prints at its end: counts, drops, cases to review, next step."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dr_ovo.dataset.manifest import MANIFEST
from dr_ovo.dataset.photograph import DROP_KINDS
from dr_ovo.dataset.words import NUM_GRADES, SPLITS
from dr_ovo.tables import table, wrapped

SHOWN = 10  # of each kind; the manifest lists all


def report(
    manifest: Mapping[str, Any], output: Path, remarks: Sequence[str], *, dry_run: bool
) -> str:
    """Splits by grade, what was dropped and why, cases for manual review, and the next command."""
    parts = [
        _columns(manifest.get("columns") or {}),
        splits_table(manifest),
        wrapped(_how_split(manifest)),
        wrapped(_excluded(manifest)),
        _dropped(manifest["dropped"], dry_run=dry_run),
        _to_judge(manifest["to_judge"]),
        "\n".join(
            wrapped(line) for line in [*remarks, *_missing_grades(manifest), *_small(manifest)]
        ),
        _next(manifest, output, dry_run=dry_run),
    ]
    return "\n\n".join(part for part in parts if part)


def splits_table(manifest: Mapping[str, Any]) -> str:
    """Photographs by split and grade, and the number of patients and groups in each split."""
    counts = manifest["counts"]
    grades = list(counts[SPLITS[0]])
    kinds = [kind for kind in ("patient", "group") if any(e[kind] for e in manifest["files"])]
    rows = []
    for name in SPLITS:
        owners = [
            str(len({e[kind] for e in manifest["files"] if e["split"] == name} - {None}))
            for kind in kinds
        ]
        numbers = [str(counts[name][grade]) for grade in grades]
        rows.append([name, *numbers, str(sum(counts[name].values())), *owners])
    titles = [_folder(manifest, int(grade)) for grade in grades]
    return table(["split", *titles, "all", *(f"{kind}s" for kind in kinds)], rows)


def _columns(columns: Mapping[str, str]) -> str:
    """Which columns of the labels were used; "" for a source without columns."""
    if not columns:
        return ""
    return wrapped(f"Columns used: {'; '.join(f'{r} from {name}' for r, name in columns.items())}.")


def _folder(manifest: Mapping[str, Any], grade: int) -> str:
    names = manifest.get("class_names")
    return str(names[grade]) if names else str(grade)


def _how_split(manifest: Mapping[str, Any]) -> str:
    official = manifest["official_splits"]
    drawn = "SYNTHETIC: these photographs are drawn. " if manifest["synthetic"] else ""
    if not official:
        return f"{drawn}Split by seed {manifest['seed']}: {manifest['rule']}."
    kept = f"{drawn}Official splits are kept: {', '.join(official)}."
    cut = [name for name in SPLITS if name not in official]
    return f"{kept} Cut from train: {', '.join(cut)}." if cut else kept


def _excluded(manifest: Mapping[str, Any]) -> str:
    """How many photographs the sets of --exclude have as well; "" without such sets."""
    folders = manifest.get("excluded")
    if not folders:
        return ""
    count = sum(entry["kind"] == "in_excluded_set" for entry in manifest["dropped"])
    return f"Photographs that {' or '.join(folders)} has as well: {count}. They are left out."


def _dropped(dropped: Sequence[Mapping[str, Any]], *, dry_run: bool) -> str:
    if not dropped:
        return "Dropped: none."
    lines = [f"Dropped: {len(dropped)}" + ("" if dry_run else f" (all in {MANIFEST})")]
    kinds = Counter(entry["kind"] for entry in dropped)
    for kind, count in kinds.most_common():
        one, several = DROP_KINDS[kind]
        lines.append(f"  {count} {one if count == 1 else several}")
        same = [entry for entry in dropped if entry["kind"] == kind]
        lines += _reasons(same)
        lines += [f"    {entry['file']} {entry['reason']}" for entry in same[:SHOWN]]
        if count > SHOWN:
            lines.append(f"    ... and {count - SHOWN} more")
    return "\n".join(lines)


def _reasons(dropped: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many have each reason, where many have few of them (those of labels)."""
    reasons = Counter(entry["reason"] for entry in dropped)
    if len(dropped) <= SHOWN or len(reasons) > SHOWN:
        return []
    return [f"    {count} x {reason}" for reason, count in reasons.most_common()]


def _to_judge(cases: Sequence[Mapping[str, Any]]) -> str:
    if not cases:
        return ""
    lines = [
        f"For manual review: {len(cases)} picture{'s' * (len(cases) != 1)} with conflicting "
        "grades. The files that are kept are in one split."
    ]
    for case in cases[:SHOWN]:
        files = ", ".join(
            f"{entry['file']} grade {entry['grade']}{' (dropped)' if entry['dropped'] else ''}"
            for entry in case["files"][:SHOWN]
        )
        lines.append(f"    {files}: {case['how']}")
    if len(cases) > SHOWN:
        lines.append(f"    ... and {len(cases) - SHOWN} more")
    return "\n".join(lines)


def _missing_grades(manifest: Mapping[str, Any]) -> list[str]:
    counts = manifest["counts"]
    missing = [
        f"{name}/{_folder(manifest, int(grade))}"
        for name in ("train", "val")
        for grade, number in counts[name].items()
        if not number
    ]
    if not missing:
        return []
    return [
        f"No photographs in {', '.join(missing)}: training needs every grade in train and val. "
        "Add photographs of that grade, or change --val_fraction"
        + (", or split again with --split_column none." if manifest["official_splits"] else ".")
    ]


def _small(manifest: Mapping[str, Any]) -> list[str]:
    count = manifest["compared_for_identity_only"]
    if not count:
        return []
    return [
        f"{count} {'photograph is' if count == 1 else 'photographs are'} too small to be compared "
        "with others: only identical files were searched among them."
    ]


def _next(manifest: Mapping[str, Any], output: Path, *, dry_run: bool) -> str:
    if dry_run:
        return "Nothing was written. To write it, run the same command without --dry_run."
    balanced = any("weight" in entry for entry in manifest["files"])
    sampler = " --sampler balanced" if balanced else ""
    flags = f"{_classes(manifest)}{sampler}"
    return f"Next: ./train_coatnet.sh --dataset_path {shlex.quote(str(output))}{flags} --dry_run"


def _classes(manifest: Mapping[str, Any]) -> str:
    """The flags by which training finds other classes than the five grades."""
    grades = [int(grade) for grade in manifest["counts"][SPLITS[0]]]
    # Without the worst classes, where these have no photographs.
    if names := (manifest.get("class_names") or [])[: max(grades, default=0) + 1]:
        quoted = " ".join(map(shlex.quote, names))
        return f" --num_classes {len(names)} --class_names {quoted}"
    if len(grades) in (1, NUM_GRADES) or grades != list(range(len(grades))):
        return ""
    return f" --num_classes {len(grades)}"
