"""What is said of maps wherever they are shown."""

from __future__ import annotations

STRIP_TITLE = "photograph; map for the grade; against the other"
HOW_TO_READ = (
    "Side by side: the photograph, the map for its grade, and the map for that grade against the "
    "most probable other one. Orange places speak for, blue ones against; a place without colour "
    "contributes nothing. Of an ordinal or regression head the first map is of how severe the "
    "grade is: there orange places speak for a more severe one. The range of the colours is fixed "
    "in logits, the same for all photographs: a pale map says that no place weighs much."
)
CAUTION = (
    "A map shows what this network used, not where lesions are: how often they are the same was "
    "measured, and stands in docs/explanations.md. The grade can be right for a wrong reason."
)
GRADIENT = (
    "What these places contribute does not add up to the logits: it is gradient times features, "
    "and what follows in the network is not linear."
)


def strip_text(name: str, grade: str, rival: str) -> str:
    """The alternative text of a strip."""
    return f"{name}: the photograph, the map for {grade}, and the map for it against {rival}"


def how_to_read(adds_up: bool) -> list[str]:
    """Paragraphs on maps which are, or are not, what `adds_up` to the logits."""
    return [HOW_TO_READ, CAUTION, *([] if adds_up else [GRADIENT])]
