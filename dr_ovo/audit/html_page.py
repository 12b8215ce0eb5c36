"""The HTML page of an audit: table of counts, and thumbnails of each finding."""

from __future__ import annotations

import base64
import html
from collections.abc import Container, Iterator
from pathlib import Path

from dr_ovo.audit.findings import KINDS, AuditReport, Finding, Photograph
from dr_ovo.photographs.thumbnail import thumbnail

PICTURES = 6  # thumbnails per finding; further files are only named
MAX_FINDINGS = 200  # shown with thumbnails, about 8 kB each
NOTICE = "Research use only; not a medical device."
STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; }
body { padding: 0 1rem; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .2rem 1rem .2rem 0; }
td.count { text-align: right; font-variant-numeric: tabular-nums; }
section { border-top: 1px solid #8888; padding: .6rem 0; }
.leak { color: #b3261e; font-weight: 600; } .warning { color: #8a6100; font-weight: 600; }
@media (prefers-color-scheme: dark) { .leak { color: #ff8a80; } .warning { color: #ffca5f; } }
.pictures { display: flex; flex-wrap: wrap; gap: .8rem; margin: .5rem 0; }
figure { margin: 0; width: 180px; } figcaption { font-size: 12px; overflow-wrap: anywhere; }
img { display: block; width: 180px; height: auto; background: #000; }
"""


def audit_page(report: AuditReport) -> str:
    """The self-contained page; file names are escaped and can't run scripts in it."""
    unreadable = {
        photograph.path
        for finding in report.findings
        if finding.kind == "unreadable"
        for photograph in finding.photographs
    }
    title = f"Audit of {report.root.resolve().name}"
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>",
            f"<h1>{html.escape(title)}</h1>",
            f"<p>{report.n} pictures; leaks: {len(report.leaks)}; warnings: "
            f"{len(report.findings) - len(report.leaks)}. {NOTICE}</p>",
            *_counts(report),
            *(f"<p>Note: {html.escape(note)}.</p>" for note in report.notes),
            *(_section(finding, unreadable) for finding in report.findings[:MAX_FINDINGS]),
            *_rest(report),
            "</body></html>\n",
        ]
    )


def _counts(report: AuditReport) -> Iterator[str]:
    yield "<table><tr><th>severity</th><th>kind</th><th>what it is</th><th>found</th></tr>"
    for severity, kind, count in report.counts():
        yield (
            f'<tr><td class="{severity}">{severity}</td><td>{kind}</td>'
            f'<td>{html.escape(KINDS[kind])}</td><td class="count">{count}</td></tr>'
        )
    yield "</table>"


def _section(finding: Finding, unreadable: Container[Path]) -> str:
    head = f'<span class="{finding.severity}">{finding.severity}</span> {finding.kind}'
    score = "" if finding.score is None else f", score {finding.score:.3f}"
    rest = finding.photographs[PICTURES:]
    named = ", ".join(p.file for p in rest[:50]) + (", ..." if len(rest) > 50 else "")
    return "\n".join(
        [
            f"<section><h2>{head}</h2>",
            f"<p>{html.escape(finding.detail)}{score}</p>",
            '<div class="pictures">',
            *(_figure(p, unreadable) for p in finding.photographs[:PICTURES]),
            "</div>",
            f"<p>and {len(rest)} more: {html.escape(named)}</p>" if rest else "",
            "</section>",
        ]
    )


def _figure(photograph: Photograph, unreadable: Container[Path]) -> str:
    facts = [
        photograph.file,
        f"{photograph.split} " * bool(photograph.split) + f"grade {photograph.grade}"
        if photograph.grade
        else photograph.split,
        f"patient {photograph.patient}" if photograph.patient else "",
        f"group {photograph.group}" if photograph.group else "",
    ]
    caption = html.escape("; ".join(filter(None, facts)))
    # A file that is too large must not be decoded here either.
    source = "" if photograph.path in unreadable else _thumbnail(photograph.path)
    picture = f'<img src="{source}" alt="{caption}">' if source else "<p>can't be shown</p>"
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _thumbnail(path: Path) -> str:
    """The picture as the data URL of a small JPEG; "" where it can't be decoded."""
    small = thumbnail(path)
    if small is None:
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(small.jpeg).decode()


def _rest(report: AuditReport) -> list[str]:
    more = len(report.findings) - MAX_FINDINGS
    return [f"<p>and {more} more findings: see audit.json.</p>"] if more > 0 else []
