"""Reads and writes manifest.json of a prepared dataset: schema, hash, and the fields hashed.

The hash covers everything that training depends on (the files, their grades and splits, the rule).
It leaves out the location of the source, and figures whose last bits may differ between machines.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from dr_ovo.errors import UserError
from dr_ovo.files import write_json
from dr_ovo.json_files import read_json

SCHEMA = 1
LARGEST = 1 << 30  # bytes: some 3 million files
MANIFEST = "manifest.json"
DESCRIPTORS = ".audit/descriptors.sqlite"  # cache of the files' descriptors, where audits expect it
# The keys of the manifest, and of each of its files, that the hash covers.
HASHED = ("schema", "seed", "rule", "synthetic", "official_splits", "preprocessing")
HASHED_PER_FILE = ("id", "patient", "eye", "group", "grade", "split", "sha256", "source", "weight")


def content_hash(manifest: dict[str, Any]) -> str:
    """SHA-256 (64 hex digits) over HASHED and, ordered by id, HASHED_PER_FILE."""
    files = sorted(manifest["files"], key=lambda entry: entry["id"])
    covered = {key: manifest.get(key) for key in HASHED} | {
        "files": [{key: entry.get(key) for key in HASHED_PER_FILE} for entry in files]
    }
    return hashlib.sha256(json.dumps(covered, sort_keys=True).encode()).hexdigest()


def write_manifest(path: Path, manifest: dict[str, Any]) -> None:
    """Writes `manifest` with its hash; raises MachineError where writing fails."""
    content = {key: value for key, value in manifest.items() if key not in ("schema", "hash")}
    content = {"schema": SCHEMA} | content
    write_json(path, {"schema": SCHEMA, "hash": content_hash(content)} | content)


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest at `path`, None where there is none.

    Raises UserError for a manifest that can't be read, has another schema, or was edited by hand.
    """
    if not path.is_file():
        return None
    advice = "Create it again with prepare_dataset.py, or remove it."
    manifest = read_json(path, advice, LARGEST)
    try:
        schema, stored, computed = manifest["schema"], manifest["hash"], content_hash(manifest)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} can't be read as a manifest ({type(error).__name__}: {error}). {advice}"
        ) from None
    if schema != SCHEMA:
        raise UserError(f"{path} has schema {schema}; this toolkit reads {SCHEMA}. {advice}")
    if stored != computed:
        raise UserError(
            f"{path} was changed by hand: its hash no longer matches its content. {advice}"
        )
    return manifest
