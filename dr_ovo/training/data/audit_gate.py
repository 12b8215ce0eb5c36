"""The audit before training: leaks stop it; with --allow_leaks its results are marked LEAKY."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dr_ovo.audit.audit import audit
from dr_ovo.audit.audited_photographs import photographs_of_index
from dr_ovo.audit.findings import AuditReport
from dr_ovo.audit.fingerprint import are_same, fingerprints, replaced_splits
from dr_ovo.audit.measurement_cache import cache_folder, temporary_copy
from dr_ovo.audit.text_report import leak_message
from dr_ovo.dataset.copy_names import families
from dr_ovo.dataset.index import DatasetIndex, scan_dataset
from dr_ovo.errors import LeakError, UserError
from dr_ovo.photographs.damage import Damage
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.train_config import TrainConfig

LEAKY = "LEAKY data: its splits share images or patients, or filters reveal the grade."
LEAKY_WEIGHTS = "LEAKY weights: --pretrained_path was trained on a dataset with leaks."
SPOILED = "LEAKY weights: --pretrained_path has seen photographs of this dataset: {}."
PATIENTS = "LEAKY weights: --pretrained_path has seen other photographs of the patients of {}."
NOT_KNOWN = "audit: which photographs the weights of --pretrained_path have seen is not known"
# Below this, judging the quality of all files takes seconds, as decoding them all does;
# `dr_ovo audit` judges sets of any size.
QUALITY_BELOW = 2000
ONE_PICTURE = ("exact_copy", "near_duplicate", "look_alikes")  # kinds of findings
LEARNED_FROM = ("train", "val")  # the splits that a resumed training must find unchanged


def audit_dataset(config: TrainConfig, index: DatasetIndex, output: Path) -> dict[str, Any]:
    """The audit as config.json stores it: counts by kind, and the files' fingerprints.

    The cache goes to `output` if the dataset is read-only. A dry run leaves no cache behind.
    Raises LeakError for leaks, unless `--allow_leaks`.
    """
    photographs = photographs_of_index(index)
    with _cache(config, index.root, output) as cache:
        report = audit(
            index.root,
            photographs,
            cache,
            synthetic=index.synthetic,
            quality=len(photographs) <= QUALITY_BELOW,
            max_megapixels=config.max_megapixels,
        )
        if report.leaks and not config.allow_leaks:
            raise LeakError(leak_message(report))
        files = fingerprints(photographs, cache)
    return {
        **files,
        "leaks": len(report.leaks),
        "findings": {f"{kind} ({severity})": n for severity, kind, n in report.counts()},
        "notes": list(report.notes),
        "alike": _alike(report, [p.file for p in photographs if p.split in LEARNED_FROM]),
        "statistics_model": report.statistics_model.to_dict() if report.statistics_model else None,
        "no_statistics_model": report.no_statistics_model,
        "undecodable": {
            damage.path.relative_to(index.root).as_posix(): damage.reason
            for damage in report.undecodable
        },
    }


def _alike(report: AuditReport, files: Sequence[str]) -> list[list[str]]:
    """The groups of files that show one picture, or whose names say so."""
    known = set(files)
    groups = [
        [p.file for p in finding.photographs if p.file in known]
        for finding in report.findings
        if finding.kind in ONE_PICTURE
    ]
    groups += [[files[i] for i in family.members] for family in families(files, [])]
    return sorted(sorted(group) for group in groups if len(group) > 1)


def stored_audit(
    folder: ResultsFolder, index: DatasetIndex, *, keep: bool = True
) -> dict[str, Any] | None:
    """The audit in the folder's config.json; None if there is none or the files have changed.

    `keep`: the sha256 of files that had to be read go to the audit's cache.
    """
    stored = _stored(folder)
    cache = cache_folder(index.root, folder.root)
    same = stored is not None and are_same(stored, photographs_of_index(index), cache, keep=keep)
    return stored if same else None


def pictures_replaced(folder: ResultsFolder, index: DatasetIndex, *, keep: bool = True) -> str:
    """Which of train and val hold other contents under the same names than when the folder's
    training audited them, such as "train and val"; "" for neither, and for a folder of an earlier
    version, which does not tell."""
    stored = _stored(folder)
    photographs = [p for p in photographs_of_index(index) if p.split in LEARNED_FROM]
    cache = cache_folder(index.root, folder.root)
    found = replaced_splits(stored, photographs, cache, keep=keep) if stored else []
    return " and ".join(name for name in LEARNED_FROM if name in found)


def replaced_since(
    folder: ResultsFolder, complete: DatasetIndex, index: DatasetIndex, *, keep: bool = True
) -> str:
    """As `pictures_replaced`, of the `complete` dataset, or of `index`, what is left of it without
    files that can't be used: an earlier version did not even audit formats that it could not
    read."""
    replaced = pictures_replaced(folder, complete, keep=keep)
    if replaced and index is not complete:
        return pictures_replaced(folder, index, keep=keep)
    return replaced


def was_audited(
    folder: ResultsFolder, root: Path, grades: tuple[str, ...], *, keep: bool = True
) -> bool | None:
    """Whether the dataset at `root` is, file by file, the one that the folder's training audited.

    None if the folder has no audit.
    """
    stored = _stored(folder)
    if stored is None:
        return None
    try:
        index = scan_dataset(root, grades, joined=True)
    except UserError:  # such as a set without train, which no training can have used
        return False
    return are_same(stored, photographs_of_index(index), cache_folder(root, folder.root), keep=keep)


def begun_with(folder: ResultsFolder) -> dict[str, Any]:
    """The audit with which the training in a folder began, whatever the files are now; empty where
    there is none."""
    return _stored(folder) or {}


def _stored(folder: ResultsFolder) -> dict[str, Any] | None:
    """The audit in the folder's config.json; None if there is none."""
    return folder.read_config().get("audit") if folder.config.is_file() else None


def undecodable(audit: dict[str, Any], root: Path) -> list[Damage]:
    """The files of the dataset at `root` of which the audit found no picture, whether or not they
    were known to be damaged; none in an audit of an earlier version."""
    found = audit.get("undecodable", {})
    return [Damage(root / name, reason) for name, reason in found.items()]


def audit_lines(audit: dict[str, Any], root: Path) -> list[str]:
    """The lines of the log about an audit."""
    lines = [f"audit: {note}" for note in audit["notes"]]
    if audit["findings"]:
        found = ", ".join(f"{count} {kind}" for kind, count in audit["findings"].items())
        lines.append(f"audit: {found}; with images: python -m dr_ovo audit {root}")
    if audit.get("weights_known") is False:
        lines.append(NOT_KNOWN)
    marks = {LEAKY: audit["leaks"], LEAKY_WEIGHTS: audit.get("leaky_weights")}
    for text, key in ((SPOILED, "weights_have_seen"), (PATIENTS, "weights_have_seen_patients")):
        seen = audit.get(key, {})
        marks[text.format(" and ".join(f"{count} of {name}" for name, count in seen.items()))] = (
            seen
        )
    return [*lines, *(text for text, applies in marks.items() if applies)]


@contextlib.contextmanager
def _cache(config: TrainConfig, root: Path, output: Path) -> Iterator[Path | None]:
    location = cache_folder(root, output)
    if config.dry_run:
        with temporary_copy(location) as copy:
            yield copy
    else:
        yield location
