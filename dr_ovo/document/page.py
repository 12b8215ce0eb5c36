"""The self-contained HTML page of report.py: template, content security policy, output file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template

from dr_ovo.document.document import Report
from dr_ovo.document.page_sections import article, contents, escaped
from dr_ovo.document.screen_and_files import MARKS
from dr_ovo.files import atomic_write_text
from dr_ovo.tables import RESEARCH_USE


def page(title: str, summary: str, reports: Sequence[Report], lead: Report | None = None) -> str:
    """The reports as one HTML page; the `lead` stands above the list of contents.

    All text from outside is escaped, and the content security policy forbids every request, so
    that no name of a file or class can run a script or contact a server.
    """
    marks = [mark for mark in MARKS if any(mark in report.marks for report in reports)]
    style, script = _resource("page.css"), _resource("page.js")
    return Template(_resource("page.html")).substitute(
        title=escaped(title),
        summary=escaped(summary),
        notice=escaped(RESEARCH_USE),
        policy=policy(style, script),
        style=style,
        script=script,
        marks="\n".join(f'<p class="mark" role="note">{escaped(MARKS[m])}</p>' for m in marks),
        lead="" if lead is None else article(lead),
        contents=contents(reports),
        reports="\n".join(article(report) for report in reports),
    )


def policy(style: str, script: str) -> str:
    """The content security policy: only the page's own style and script, and embedded images."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )


def write_page(text: str, output: Path) -> None:
    """Writes the page, whole or not at all; a missing folder is created."""
    output.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(output, text)


def _resource(name: str) -> str:
    return resources.files("dr_ovo.document").joinpath("html", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
