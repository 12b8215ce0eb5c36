"""Flags of `python -m dr_ovo card`, which writes the model card of a results folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dr_ovo.document.page import write_page
from dr_ovo.errors import DONE, UserError
from dr_ovo.reports.card.card import make_card
from dr_ovo.reports.card.facts import read_card_facts
from dr_ovo.reports.card.form.questions import read_answers, write_questions
from dr_ovo.tables import say
from dr_ovo.writable import check_writable_file

TITLE = "Model card: "  # stands in both files
SUFFIXES = (".md", ".html")


def main(argv: Sequence[str], prog: str) -> int:
    """Parse, read, write; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Writes the model card of a results folder, as Markdown with Hugging Face's "
        "metadata and as a page, and asks what only a person knows. Research use only; not a "
        "medical device.",
    )
    parser.add_argument("results_dir", type=Path, metavar="RESULTS_DIR",
                        help="results folder of a trained model")  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="DIR_OR_FILE",
                        help="folder for card.md, card.html and card_answers.toml, or the name of "
                        "the .md or .html [RESULTS_DIR]")  # fmt: skip
    args = parser.parse_args(argv)
    markdown = _file(args.output or args.results_dir)
    page = markdown.with_suffix(".html")
    answers = markdown.with_name(f"{markdown.stem}_answers.toml")
    if args.output is not None:  # else reading says what is wrong with the folder
        check_writable_file(markdown, "--output")
    facts = read_card_facts(args.results_dir)
    for path in (markdown, page, answers):
        check_writable_file(path, "--output")
    for path in (markdown, page):
        _check_is_card(path)
    if not answers.exists():
        answers.parent.mkdir(parents=True, exist_ok=True)
        write_questions(answers, facts.name)
    card = make_card(facts, read_answers(answers))
    write_page(card.markdown, markdown)
    write_page(card.html, page)
    say(f"Written: {markdown}, {page}")
    if card.open_questions:
        say(
            f"{card.open_questions} questions only a person can answer: answer them in {answers}, "
            "and give the command again."
        )
    return DONE


def _check_is_card(path: Path) -> None:
    """Raises UserError for a file that is there and no card, such as a README of one's own."""
    if path.is_file() and TITLE.encode() not in path.read_bytes():
        raise UserError(
            f"{path} is there, and is no model card: it stays as it is. Give another --output, or "
            "move it away."
        )


def _file(output: Path) -> Path:
    """The Markdown file: of a folder its card.md."""
    if output.suffix in SUFFIXES and not output.is_dir():
        return output.with_suffix(".md")
    return output / "card.md"
