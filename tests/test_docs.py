"""What the documents say of the code is so: paths, names, links, the table of packages."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dr_ovo.__main__ import COMMANDS
from tests.test_layers import LAYERS

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
README, ARCHITECTURE = ROOT / "README.md", ROOT / "docs" / "architecture.md"
MAX_README = 12_000  # bytes
# It ends with a letter: the full stop of a sentence is no part of it.
PATH = re.compile(r"(?<![\w./-])(?:dr_ovo|tests|benchmarks|scripts|docs)/[\w./-]*\w")
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")

by_name = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix()
)


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def section(document: Path, title: str) -> str:
    """The part of a document under a heading of the second level."""
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", text_of(document), re.M | re.S)
    return found


def rows(text: str) -> Iterator[list[str]]:
    """The cells of each row of the tables, less headings."""
    lines = text.splitlines()
    for before, line in itertools.pairwise(lines):
        if line.startswith("|") and before.startswith("|") and set(line) - set("|-"):
            yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def anchors(document: Path) -> set[str]:
    """The headings of a document as links name them."""
    titles = re.findall(r"^#+ (.*)$", text_of(document), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_is_short():
    assert len(README.read_bytes()) <= MAX_README


def test_the_readme_says_once_that_this_is_research():
    assert text_of(README).count("Research use only; not a medical device.") == 1


@by_name
def test_the_paths_in_a_document_exist(document):
    written = re.sub(r"<[^>]*>", "", text_of(document))  # such as <name>
    missing = {path for path in PATH.findall(written) if not (ROOT / path).exists()}
    assert not missing


@by_name
def test_the_links_of_a_document_lead_somewhere(document):
    for match in LINK.finditer(text_of(document)):
        target, _, anchor = match["target"].partition("#")
        if target.startswith(("http:", "https:")):
            continue
        file = (document.parent / target).resolve() if target else document
        assert file.is_file(), match["target"]
        assert not anchor or anchor in anchors(file), match["target"]


@by_name
def test_pictures_say_that_they_are_simulated(document):
    text = text_of(document)
    for match in re.finditer(r"!\[(?P<alt>[^\]]*)\]\([^)]*\)\n\n(?P<caption>[^\n]*)", text):
        assert match["alt"].startswith(("Simulated", "Synthetic"))
        assert match["caption"].startswith(("*Simulated", "*Synthetic"))
    assert text.count("![") == len(re.findall(r"\)\n\n\*(Simulated|Synthetic)", text))


def test_the_readme_lists_every_command():
    listed = {name for cells in rows(section(README, "Commands")) for name in names_in(cells[0])}
    assert listed - {"dr_ovo"} == set(COMMANDS)


def test_the_table_of_packages_is_the_order_of_the_layers():
    listed: dict[int, list[str]] = {}
    for number, path, *_ in rows(section(ARCHITECTURE, "Packages and their order")):
        (name,) = names_in(path)
        top = name.removeprefix("dr_ovo/").removesuffix(".py").split("/")[0]
        if top not in listed.setdefault(int(number), []):
            listed[int(number)].append(top)
    assert listed == {number: list(row) for number, row in enumerate(LAYERS, 1)}


def test_the_table_of_packages_has_every_module():
    listed = set()
    for _, path, _, modules in rows(section(ARCHITECTURE, "Packages and their order")):
        (name,) = names_in(path)
        listed |= {f"{name}/{module}.py" for module in names_in(modules)}
        if name.endswith(".py"):
            listed.add(name)
    there = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "dr_ovo").rglob("*.py")
        if path.name != "__init__.py"
    }
    assert sorted(listed) == sorted(there)


CHANGES = list(rows(section(ARCHITECTURE, "To change something")))


@pytest.mark.parametrize(("what", "files", "names"), CHANGES, ids=[row[0] for row in CHANGES])
def test_what_to_change_is_where_the_table_says(what, files, names):
    text = "".join(text_of(ROOT / file) for file in names_in(files))
    missing = [
        name for name in names_in(names) if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)
    ]
    assert names_in(names)
    assert not missing, f"{', '.join(missing)} not in {files}"
