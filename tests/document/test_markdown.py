"""Markdown in which no name means anything."""

from __future__ import annotations

import re

import pytest

from dr_ovo.document.document import Column, Table
from dr_ovo.document.markdown import escaped, inline, table_markdown

COLUMNS = [Column("name", "Name"), Column("share", "Share", "percent")]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tf_efficientnet_lite0", "tf_efficientnet_lite0"),
        ("_emphasis_", r"\_emphasis\_"),
        ("a|b", r"a\|b"),
        ("`code`", r"\`code\`"),
        ("<script>&amp;", "&lt;script&gt;&amp;amp;"),
        ("[a](http://b)", r"\[a\](http://b)"),
        ("---", r"\---"),
        ("# heading", r"\# heading"),
        ("1. item", r"1\. item"),
        ("0.755 (0.709 to 0.800)", "0.755 (0.709 to 0.800)"),
        ("a\nb", r"a\\nb"),
        ("\x1b\u202e", r"\\x1b\\u202e"),
    ],
)
def test_what_is_escaped(text, shown):
    assert escaped(text) == shown


def test_a_cell_is_never_the_start_of_a_line():
    assert inline("- a") == "- a"


def test_a_table():
    metric = {"value": 0.9, "low": 0.85, "high": 0.95}
    missing = {"value": None, "reason": "no | image"}
    table = Table("t", "Title", COLUMNS, [["a|b\n", metric], ["c", missing]], "Note")
    assert table_markdown(table) == (
        "**Title**\n\n"
        "| Name | Share |\n| :--- | ---: |\n"
        "| a\\|b\\\\n | 90.0 (85.0 to 95.0) |\n| c | - |\n\n"
        "Note\n\n"
        r"c, Share: no \| image"
    )
    folded = table_markdown(Table("t", "Title", COLUMNS, [["a", None]], shown=0))
    assert re.match(r"<details>\n<summary>Title</summary>\n\n\| Name", folded)
    assert folded.endswith("\n\n</details>")
