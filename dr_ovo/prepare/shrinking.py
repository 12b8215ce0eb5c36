"""Shrinks the pictures of a dataset folder (`--from_tree DIR --preprocess SIZE`), splits kept.

Each photograph is cropped to the disc, padded to a square and resized once, by the same code as in
training, so that every epoch decodes small pictures. The manifest is carried over.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dr_ovo import __version__
from dr_ovo.choices import MAX_MEGAPIXELS
from dr_ovo.copies.descriptor_cache import Described, describe_files
from dr_ovo.dataset.image_files import SUFFIXES_SHOWN, folder_content, image_files, not_read
from dr_ovo.dataset.manifest import DESCRIPTORS, MANIFEST, read_manifest, write_manifest
from dr_ovo.dataset.synthetic_mark import SYNTHETIC_MARK
from dr_ovo.errors import UserError
from dr_ovo.photographs.damage import Damage, describe
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.prepare.file_names import SHRUNKEN_SUFFIX
from dr_ovo.prepare.file_writing import place_files
from dr_ovo.prepare.manifest_entries import add_weights, count, digest
from dr_ovo.prepare.options import PrepareOptions, limit_of_size
from dr_ovo.prepare.resuming import MADE_WITH, begin, end, file_stamp, is_finished, record


def shrink(options: PrepareOptions) -> str:
    """Runs `--from_tree DIR --preprocess SIZE`; returns the text that says what was done."""
    assert options.from_tree is not None
    assert options.preprocess is not None
    source, output = options.from_tree, options.folder
    if options.dry_run:
        jobs = _jobs(source, output)
        settings = _settings(source, jobs, options.preprocess) | limit_of_size(options)
        is_finished(output, settings)
        todo = sum(not target.exists() for _, target in jobs)
        return f"{todo} photographs would be written to {output}. Nothing was written."
    limit = limit_of_size(options)
    written, existing, damaged = shrink_tree(source, output, options.preprocess, limit)
    lines = [f"{written} photographs written, {existing} already present: {output}"]
    if damaged:
        lines.append(f"Unreadable and left out: {len(damaged)}\n{describe(damaged)}")
    if left_out := not_read(folder_content(source).others):
        lines.append(left_out)
    audit = shlex.join(["python", "-m", "dr_ovo", "audit", str(output)])
    lines.append(f"Leaks were not checked. To check: {audit}")
    return "\n".join(lines)


def shrink_tree(
    source: Path, output: Path, size: int, limit: Mapping[str, float] | None = None
) -> tuple[int, int, list[Damage]]:
    """Writes every image below `source` to the same place below `output`, `size` px square.

    Returns the number written, the number already present, and the damaged files, which are left
    out. CLAHE is not applied: training does that, at its own size. A manifest.json is carried over
    with the names and hashes of the new files. Raises UserError for a source without images, and
    for an `output` that is not empty unless it is the result, complete or unfinished, of the same
    settings. `limit` is that of `limit_of_size`.
    """
    jobs = _jobs(source, output)
    manifest = read_manifest(source / MANIFEST)
    limit = limit or {}
    settings = _settings(source, jobs, size) | dict(limit)
    is_finished(output, settings)
    begin(output, settings, placing=True)
    existing = sum(target.exists() for _, target in jobs)
    preprocessing = Preprocessing(size, clahe=False)
    damaged = place_files(jobs, preprocessing, limit.get("max_megapixels", MAX_MEGAPIXELS))
    if (source / SYNTHETIC_MARK).is_file():
        shutil.copy2(source / SYNTHETIC_MARK, output / SYNTHETIC_MARK)
    if manifest is None:
        record(output, settings)
    else:
        carried = _carry(manifest, source, output, damaged)
        carried["preprocessing"] = preprocessing.to_dict() | {"hash": preprocessing.hash}
        write_manifest(output / MANIFEST, carried | {MADE_WITH: settings})
    end(output)
    return len(jobs) - existing - len(damaged), existing, damaged


def _settings(source: Path, jobs: Iterable[tuple[Path, Path]], size: int) -> dict[str, Any]:
    """Everything that determines the content of the output."""
    stamps = [f"{path.relative_to(source).as_posix()} {file_stamp(path)}" for path, _ in jobs]
    manifest = source / MANIFEST
    stamps.append(file_stamp(manifest) if manifest.is_file() else "no manifest")
    fingerprint = hashlib.sha256("\n".join(stamps).encode()).hexdigest()
    return {"version": __version__, "source_fingerprint": fingerprint, "shrunk_to": size}


def _jobs(source: Path, output: Path) -> list[tuple[Path, Path]]:
    if not source.is_dir():
        raise UserError(f"--from_tree {source}: there is no such folder.")
    paths = image_files(source)
    if not paths:
        raise UserError(f"--from_tree {source}: no images ({SUFFIXES_SHOWN}) below it.")
    jobs: dict[Path, Path] = {}
    for path in paths:
        target = (output / path.relative_to(source)).with_suffix(SHRUNKEN_SUFFIX)
        if target in jobs:
            raise UserError(f"{path} and {jobs[target]} would both become {target}: rename one.")
        jobs[target] = path
    return [(path, target) for target, path in jobs.items()]


def _carry(
    manifest: dict[str, Any], source: Path, output: Path, damaged: Iterable[Damage]
) -> dict[str, Any]:
    """The manifest of the shrunken pictures; patients, grades and splits stay the same."""
    lost = {damage.path.relative_to(source).as_posix(): damage.reason for damage in damaged}
    kept = [entry for entry in manifest["files"] if entry["id"] not in lost]
    targets = {e["id"]: (output / e["id"]).with_suffix(SHRUNKEN_SUFFIX) for e in kept}
    described = describe_files(list(targets.values()), output / DESCRIPTORS)
    files = []
    for entry in kept:
        target = targets[entry["id"]]
        description = described[target]
        if not isinstance(description, Described):
            raise UserError(
                f"{target} can't be read: {description.reason}. Remove it and run again."
            )
        new = {
            "id": target.relative_to(output).as_posix(),
            "sha256": description.sha256,
            "descriptor": digest(description.descriptor),
        }
        files.append(entry | new)
    if any("weight" in entry for entry in files):
        add_weights(files)
    dropped = [
        {"file": e["source"], "kind": "unreadable", "reason": lost[e["id"]], "grade": e["grade"],
         "split": "", "other": ""}
        for e in manifest["files"] if e["id"] in lost
    ]  # fmt: skip
    return manifest | {
        "counts": count(files),
        "dropped": manifest["dropped"] + dropped,
        "files": files,
    }
