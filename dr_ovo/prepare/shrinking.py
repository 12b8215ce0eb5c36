"""Shrinking a dataset folder: the same places, smaller pictures, the manifest carried over.

Each photograph is cropped to the disc, padded to a square and resized once, by the code that
training uses, so that every epoch decodes small pictures.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dr_ovo import __version__
from dr_ovo.copies.descriptor_cache import Described, describe_files
from dr_ovo.dataset.image_files import image_files
from dr_ovo.dataset.manifest import DESCRIPTORS, MANIFEST, read_manifest, write_manifest
from dr_ovo.dataset.synthetic_mark import SYNTHETIC_MARK
from dr_ovo.errors import UserError
from dr_ovo.photographs.damage import Damage, describe
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.prepare.file_names import SHRUNKEN_SUFFIX
from dr_ovo.prepare.file_writing import place_files
from dr_ovo.prepare.manifest_entries import add_weights, count, digest
from dr_ovo.prepare.options import PrepareOptions
from dr_ovo.prepare.resuming import MADE_WITH, begin, end, file_stamp, is_finished, record


def shrink(options: PrepareOptions) -> str:
    """Does what `--from_tree DIR --preprocess SIZE` asks for; what was done, in words."""
    assert options.from_tree is not None
    assert options.preprocess is not None
    source, output = options.from_tree, options.folder
    if options.dry_run:
        jobs = _jobs(source, output)
        is_finished(output, _settings(source, jobs, options.preprocess))
        todo = sum(not target.exists() for _, target in jobs)
        return f"{todo} would be written to {output}. Nothing was."
    written, standing, damaged = shrink_tree(source, output, options.preprocess)
    lines = [f"{written} written, {standing} stood already: {output}"]
    if damaged:
        lines.append(f"{len(damaged)} can't be read and are left out:\n{describe(damaged)}")
    audit = shlex.join(["python", "-m", "dr_ovo", "audit", str(output)])
    lines.append(f"Leaks were not looked for. To look: {audit}")
    return "\n".join(lines)


def shrink_tree(source: Path, output: Path, size: int) -> tuple[int, int, list[Damage]]:
    """Writes every image below `source` to the same place below `output`, `size` px square.

    Returns how many were written, how many already stood, and the damaged ones, which are left
    out. CLAHE is not applied: training does that, at its own size. A manifest.json is carried over
    with the new files' names and contents. Raises UserError for a source without images and for an
    output that holds anything but the same work, done or begun.
    """
    jobs = _jobs(source, output)
    manifest = read_manifest(source / MANIFEST)
    settings = _settings(source, jobs, size)
    is_finished(output, settings)
    begin(output, settings, placing=True)
    standing = sum(target.exists() for _, target in jobs)
    preprocessing = Preprocessing(size, clahe=False)
    damaged = place_files(jobs, preprocessing)
    if (source / SYNTHETIC_MARK).is_file():
        shutil.copy2(source / SYNTHETIC_MARK, output / SYNTHETIC_MARK)
    if manifest is None:
        record(output, settings)
    else:
        carried = _carry(manifest, source, output, damaged)
        carried["preprocessing"] = preprocessing.to_dict() | {"hash": preprocessing.hash}
        write_manifest(output / MANIFEST, carried | {MADE_WITH: settings})
    end(output)
    return len(jobs) - standing - len(damaged), standing, damaged


def _settings(source: Path, jobs: Iterable[tuple[Path, Path]], size: int) -> dict[str, Any]:
    """What the output's content follows from; another value would make another folder."""
    words = [f"{path.relative_to(source).as_posix()} {file_stamp(path)}" for path, _ in jobs]
    manifest = source / MANIFEST
    words.append(file_stamp(manifest) if manifest.is_file() else "no manifest")
    fingerprint = hashlib.sha256("\n".join(words).encode()).hexdigest()
    return {"version": __version__, "source_fingerprint": fingerprint, "shrunk_to": size}


def _jobs(source: Path, output: Path) -> list[tuple[Path, Path]]:
    if not source.is_dir():
        raise UserError(f"--from_tree {source}: there is no such folder.")
    paths = image_files(source)
    if not paths:
        raise UserError(f"--from_tree {source}: no images (.jpg .jpeg .png .tif .tiff) below it.")
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
    """The manifest of the shrunken pictures: who they are of, and where they go, stays."""
    lost = {damage.path.relative_to(source).as_posix(): damage.reason for damage in damaged}
    kept = [entry for entry in manifest["files"] if entry["id"] not in lost]
    targets = {e["id"]: (output / e["id"]).with_suffix(SHRUNKEN_SUFFIX) for e in kept}
    described = describe_files(list(targets.values()), output / DESCRIPTORS)
    files = []
    for entry in kept:
        target = targets[entry["id"]]
        look = described[target]
        if not isinstance(look, Described):
            raise UserError(f"{target} can't be read: {look.reason}. Remove it and run again.")
        new = {
            "id": target.relative_to(output).as_posix(),
            "sha256": look.sha256,
            "descriptor": digest(look.descriptor),
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
