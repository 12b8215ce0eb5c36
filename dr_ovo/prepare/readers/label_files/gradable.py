"""The columns of a label file that say whether a photograph can be graded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from dr_ovo.dataset.words import comparable, has_no_grade, is_unknown, number_of
from dr_ovo.errors import UserError

# As `simple_name` writes them; each that is there counts.
GRADABLE_NAMES = (
    "adjudicated_gradable", "gradable", "gradeable", "is_gradable", "is_gradeable",
    "image_gradable", "gradability",
)  # fmt: skip
# Columns of quality: what their numbers mean differs from set to set (EyeQ: 2 is the worst).
_QUALITY_WORDS = {"quality", "ungradable", "ungradeable", "unreadable", "usable", "usability"}
# Compared like grades, by `comparable`.
_NO = {
    "no", "n", "not", "false", "f", "bad", "poor", "insufficient", "inadequate", "reject",
}  # fmt: skip
_YES = {
    "yes", "y", "true", "t", "good", "ok", "sufficient", "adequate", "gradable", "gradeable",
    "usable", "accept", "accepted", "excellent", "fair", "acceptable",
}  # fmt: skip
SHOWN = 10


def says_ungradable(text: str) -> bool | None:
    """Whether a cell of a gradable column says no; None for one that is neither yes nor no.

    An empty cell says nothing, so not no.
    """
    number = number_of(text)
    if number is not None:
        return number == 0 if number in (0, 1) else None
    word = comparable(text)
    # Not by `has_no_grade` alone: an empty cell and "nan" are unknown, not no.
    if word in _NO or (has_no_grade(text) and not is_unknown(text)):
        return True
    return False if word in _YES or is_unknown(text) else None


def check_gradable(title: str, wheres: Sequence[str], texts: Sequence[str]) -> None:
    """Raises UserError, once for all N cells of a gradable column, where some are neither yes nor
    no."""
    unclear = [at for at, text in enumerate(texts) if says_ungradable(text) is None]
    if not unclear:
        return
    counts = Counter(texts[at] for at in unclear)
    words = ", ".join(f"'{text}' {count}" for text, count in counts.most_common(SHOWN))
    raise UserError(
        f"{wheres[unclear[0]]}: '{texts[unclear[0]]}' in the column {title} does not say whether "
        f"the picture can be graded (such cells by what they say: {words}"
        f"{', ...' if len(counts) > SHOWN else ''}). Expected 1 or 0, yes or no. Replace them, or "
        "ignore the column with --gradable_column none."
    )


def quality_hint(names: Mapping[str, str]) -> str:
    """A remark where unused columns, name -> simple name, seem to be of quality; else ""."""
    found = [name for name, simple in names.items() if set(simple.split("_")) & _QUALITY_WORDS]
    if not found:
        return ""
    return (
        f"Not used: {', '.join(found)}. Where it says which pictures can't be graded, write a "
        "column gradable of 1 and 0, or name one in which 0 or no says so with --gradable_column."
    )
