"""`python -m dr_ovo audit DIR`: can scores on this dataset be trusted? Arguments and output."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dr_ovo.audit.audit import audit
from dr_ovo.audit.audited_photographs import photographs_of_folder
from dr_ovo.audit.between_sets import require_apart, with_shared
from dr_ovo.audit.findings import KINDS
from dr_ovo.audit.html_page import audit_page
from dr_ovo.audit.measurement_cache import cache_folder
from dr_ovo.audit.text_report import report_text
from dr_ovo.choices import MAX_MEGAPIXELS
from dr_ovo.dataset.image_files import folder_content, not_read
from dr_ovo.decoded.processes.file_workers import shared_workers
from dr_ovo.errors import DONE, LEAK
from dr_ovo.files import atomic_write_text, write_json
from dr_ovo.logs import start_log
from dr_ovo.settings.option import positive
from dr_ovo.tables import say
from dr_ovo.writable import check_writable_folder


def main(argv: Sequence[str], prog: str) -> int:
    """Audits the folder, writes audit.json and audit.html, prints the summary."""
    arguments = _parser(prog).parse_args(argv)
    start_log()  # for warnings, such as that a cache can't be used
    root: Path = arguments.folder
    other: Path | None = arguments.against
    if other is not None:
        require_apart(root, other)
    photographs, synthetic = photographs_of_folder(root)
    others = photographs_of_folder(other)[0] if other is not None else []
    output: Path = arguments.output or Path(f"{root.resolve().name}_audit")
    check_writable_folder(output, "--output")
    output.mkdir(parents=True, exist_ok=True)
    cache = cache_folder(root, output)
    limit: float = arguments.max_megapixels
    with shared_workers():
        report = audit(root, photographs, cache, synthetic=synthetic, max_megapixels=limit)
        if other is not None:
            # Where `other` is read-only, its pictures share the output folder's cache.
            other_cache = cache_folder(other, output)
            report = with_shared(report, photographs, cache, other, others, other_cache, limit)
    if left_out := not_read(folder_content(root).others):
        report = replace(report, notes=(*report.notes, left_out.removesuffix(".")))
    write_json(output / "audit.json", report.to_dict())
    atomic_write_text(output / "audit.html", audit_page(report))
    say(report_text(report))
    say(f"\nWritten to {output}: audit.json, audit.html")
    return LEAK if report.leaks else DONE


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="finds what inflates the scores on a dataset: copies, shared patients, filters",
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    kinds = "\n".join(f"  {kind:26}{description}" for kind, description in KINDS.items())
    parser.epilog = (
        f"kinds of findings:\n{kinds}\n\nexit code: 0 no leaks, 2 wrong input, 3 leaks. "
        "Measurements are cached in DIR/.audit\n(in the output folder if DIR is read-only), so "
        "that the next audit takes seconds."
    )
    parser.add_argument(
        "folder", metavar="DIR", type=Path, help="<split>/<grade>/ or <grade>/ or flat"
    )
    parser.add_argument(
        "--against",
        metavar="OTHER",
        type=Path,
        help="another folder of photographs: what both have is a leak, too, for a model that is "
        "trained on one and tested on the other",
    )
    parser.add_argument(
        "--max_megapixels",
        type=positive,
        default=MAX_MEGAPIXELS,
        metavar="N",
        help=f"a larger picture counts as unreadable [{MAX_MEGAPIXELS:g}]",
    )
    parser.add_argument(
        "--output", type=Path, help="folder for audit.json and audit.html [./<name of DIR>_audit]"
    )
    return parser
