"""The model card, put together: as Markdown with metadata, and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dr_ovo.document.document import Report
from dr_ovo.document.markdown import escaped, inline, table_markdown
from dr_ovo.document.page import page
from dr_ovo.document.screen_and_files import MARKS
from dr_ovo.reports.card.data import data_sections, opening_sections
from dr_ovo.reports.card.external import external_section
from dr_ovo.reports.card.facts import CardFacts
from dr_ovo.reports.card.form.parts import CardSection
from dr_ovo.reports.card.form.questions import OPEN, QUESTIONS, Answers, asked
from dr_ovo.reports.card.front_matter import front_matter
from dr_ovo.reports.card.gates import gates_section
from dr_ovo.reports.card.limits import limits_section
from dr_ovo.reports.card.model import model_sections
from dr_ovo.reports.card.performance import performance_sections
from dr_ovo.reports.card.probabilities import probability_sections
from dr_ovo.reports.card.settings import settings_sections
from dr_ovo.tables import RESEARCH_USE

HEADINGS = (
    "Headings after TRIPOD+AI and CLAIM; this says nothing of how completely their items are "
    "reported."
)


@dataclass(frozen=True)
class Card:
    """A model card as the text of its two files."""

    markdown: str
    html: str
    open_questions: int


def make_card(facts: CardFacts, answers: Answers) -> Card:
    """The card of what a results folder says, with the answers to what only a person knows."""
    sections = card_sections(facts, answers)
    unanswered = sum(question.name not in answers for question in QUESTIONS)
    summary = _summary(unanswered)
    return Card(
        _markdown(facts, answers, sections, summary), _html(facts, sections, summary), unanswered
    )


def card_sections(facts: CardFacts, answers: Answers) -> list[CardSection]:
    """All sections, in the order of the card."""
    return [
        *opening_sections(facts, answers),
        *data_sections(facts, answers),
        *model_sections(facts, answers),
        *performance_sections(facts),
        *probability_sections(facts),
        external_section(facts.external),
        gates_section(facts.gates, facts.external),
        limits_section(facts, answers),
        *settings_sections(facts),
        CardSection("Other information", questions=asked("other", answers)),
    ]


def _summary(unanswered: int) -> str:
    if not unanswered:
        return f"{HEADINGS} All {len(QUESTIONS)} questions that only a person can answer are."
    return (
        f"{HEADINGS} {unanswered} of {len(QUESTIONS)} questions that only a person can answer are "
        "open."
    )


def _markdown(
    facts: CardFacts, answers: Answers, sections: Sequence[CardSection], summary: str
) -> str:
    parts = [
        f"---\n{front_matter(facts, answers)}\n---",
        f"# Model card: {escaped(facts.name)}",
        f"**{RESEARCH_USE}**",
        *(f"**{escaped(MARKS[mark])}**" for mark in facts.marks),
        escaped(summary),
        *map(_section, sections),
    ]
    return "\n\n".join(parts) + "\n"


def _section(section: CardSection) -> str:
    """A section under a heading of the second level."""
    parts = [f"## {escaped(section.title)}", *map(escaped, section.paragraphs)]
    parts += [table_markdown(table) for table in section.filled]
    if section.questions:
        parts.append("\n".join(_question(one.words, answer) for one, answer in section.questions))
    return "\n\n".join(parts)


def _question(words: str, answer: str | None) -> str:
    if answer is None:
        return f"- **{OPEN}** {inline(words)}"
    lines = [inline(line.strip()) for line in answer.splitlines()]
    return f"- {inline(words)} **{'<br>'.join(line for line in lines if line)}**"


def _html(facts: CardFacts, sections: Sequence[CardSection], summary: str) -> str:
    pages = [section.for_page() for section in sections]
    report = Report("card", "Model card", {}, pages, facts.marks)
    return page(f"Model card: {facts.name}", summary, [report])
