"""Runs prepare_dataset.py: photographs and grades -> train/ val/ test/ and manifest.json.

A stopped run is resumed by the same command: the descriptor cache has what was read, files already
placed are kept, and a folder is only resumed with the settings it was started with.
"""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from dr_ovo import __version__
from dr_ovo.copies.descriptor_cache import describe_files
from dr_ovo.dataset.image_files import not_read
from dr_ovo.dataset.manifest import DESCRIPTORS, MANIFEST, read_manifest, write_manifest
from dr_ovo.decoded.processes.file_workers import each_file, shared_workers
from dr_ovo.errors import DONE
from dr_ovo.locks.folders import PREPARATION, only_writer
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.photographs.quality_scores import quality_score
from dr_ovo.prepare.closing_report import report
from dr_ovo.prepare.file_names import placed_ids
from dr_ovo.prepare.file_writing import place_files
from dr_ovo.prepare.manifest_entries import build_manifest
from dr_ovo.prepare.options import PrepareOptions, limit_of_size
from dr_ovo.prepare.planning.excluded import excluded_fingerprint
from dr_ovo.prepare.planning.plan import Prepared, plan_dataset, readable, without
from dr_ovo.prepare.resuming import MADE_WITH, PICTURES, begin, end, is_finished
from dr_ovo.prepare.shrinking import shrink
from dr_ovo.prepare.sources import Source, read_source
from dr_ovo.tables import say


@shared_workers()
def prepare(options: PrepareOptions) -> int:
    """Runs the command with these options, prints the report, and returns the exit code.

    Raises UserError, before any file is placed, for input that can't be prepared; MachineError
    where writing fails.
    """
    with nullcontext() if options.dry_run else only_writer(options.folder, PREPARATION):
        return _prepare(options)


def _prepare(options: PrepareOptions) -> int:
    """As `prepare`, where no other process fills the folder."""
    if options.shrinks:
        say(shrink(options))
        return DONE
    output = options.folder
    with tempfile.TemporaryDirectory() as scratch:
        pictures = Path(scratch) if options.dry_run else output / PICTURES
        source = read_source(options, pictures)
        settings = _settings(options, source)
        if is_finished(output, settings):
            say(f"{output} is already complete: nothing was changed.")
            manifest = read_manifest(output / MANIFEST)
        elif options.dry_run:
            manifest = _manifest(options, source, plan_dataset(options, source, cache=None))
        else:
            manifest = _make(options, source, settings)
    assert manifest is not None
    remarks = (*source.remarks, *filter(None, [not_read(source.others)]))
    say(report(manifest, output, remarks, dry_run=options.dry_run))
    return DONE


def _make(options: PrepareOptions, source: Source, settings: dict[str, Any]) -> dict[str, Any]:
    """Fills the output folder and returns its manifest."""
    output = options.folder
    begin(output, settings, placing=False)
    prepared = plan_dataset(options, source, output / DESCRIPTORS)
    ids = _ids(options, source, prepared)
    begin(output, settings, placing=True)
    jobs = {prepared.photographs[position].path: output / ids[position] for position in ids}
    damaged = place_files(list(jobs.items()), _shrinking(options))
    lost = {damage.path for damage in damaged}
    prepared = without(prepared, damaged)
    # Links too: they are then in the cache under their new names, and training need not read them.
    written = describe_files(
        [target for path, target in jobs.items() if path not in lost],
        output / DESCRIPTORS,
        max_megapixels=options.max_megapixels,
    )
    placed = [path for path in jobs if path not in lost]
    prepared = replace(
        prepared,
        described={path: readable(written[jobs[path]]) for path in placed},
        quality=dict(
            zip(placed, each_file(quality_score, placed, "measuring quality"), strict=True)
        ),
    )
    manifest = _manifest(options, source, prepared) | {MADE_WITH: settings}
    write_manifest(output / MANIFEST, manifest)
    end(output)
    return manifest


def _ids(options: PrepareOptions, source: Source, prepared: Prepared) -> dict[int, str]:
    return placed_ids(
        prepared.photographs,
        prepared.plan.split,
        source.class_names,
        shrunken=bool(options.preprocess),
    )


def _shrinking(options: PrepareOptions) -> Preprocessing | None:
    return Preprocessing(options.preprocess, clahe=False) if options.preprocess else None


def _settings(options: PrepareOptions, source: Source) -> dict[str, Any]:
    """Everything that determines the content of the folder."""
    return {
        "version": __version__,
        "source_fingerprint": source.fingerprint,
        "excluded": excluded_fingerprint(options.exclude),
        "val_fraction": options.val_fraction,
        "test_fraction": options.test_fraction,
        "seed": options.seed,
        "preprocess": options.preprocess,
        "balance": options.balance,
        **limit_of_size(options),
    }


def _manifest(options: PrepareOptions, source: Source, prepared: Prepared) -> dict[str, Any]:
    shrinking = _shrinking(options)
    ids = _ids(options, source, prepared)
    return build_manifest(
        prepared.photographs,
        prepared.plan,
        prepared.relations,
        ids,
        {
            path: (description.sha256, description.descriptor)
            for path, description in prepared.described.items()
        },
        prepared.quality,
        (*source.left_out, *prepared.left_out),
        {
            "seed": options.seed,
            "synthetic": source.synthetic,
            "source": source.title,
            "columns": source.columns,
            "class_names": list(source.class_names),
            "excluded": [str(folder) for folder in options.exclude],
            "preprocessing": shrinking.to_dict() | {"hash": shrinking.hash} if shrinking else None,
            "compared_for_identity_only": prepared.identity_only,
        },
        balance=options.balance,
    )
