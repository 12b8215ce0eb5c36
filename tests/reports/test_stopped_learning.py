"""What reports say of models that give every image the same answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dr_ovo.predictions.same_answer import ADVICE, stopped_words
from dr_ovo.reports.card.facts import read_card_facts
from dr_ovo.reports.card.limits import limits
from dr_ovo.reports.comparison.comparison import compare
from dr_ovo.reports.criteria.criteria import NOT_MET
from dr_ovo.reports.first_screen import _next
from dr_ovo.results.folder import STOPPED, ResultsFolder
from dr_ovo.results.result_sets import open_results
from tests.fixtures.sealed import edit

MEMBERS = ["fold_1", "fold_3"]


@pytest.fixture
def folders(results: Callable[..., list[Path]]) -> list[Path]:
    """Two models, of the second of which members have stopped learning."""
    made = results("coatnet", "convnext")
    edit(made[1] / "evaluation.json", lambda content: content.update({STOPPED: MEMBERS}))
    return made


@pytest.mark.usefixtures("blank_figures")
def test_they_warn_of_it(folders, caplog):
    results = open_results(folders, [], intersect=False)
    assert f"{folders[1]}: {stopped_words(MEMBERS)}" in caplog.text
    assert f"{folders[0]}: " not in caplog.text
    warnings = compare(results).data["warnings"]
    assert f"convnext: {stopped_words(MEMBERS)}" in warnings
    assert not any("coatnet: " in said for said in warnings)


def test_the_card_has_it_among_the_limits(folders):
    said = [limits(read_card_facts(folder)) for folder in folders]
    assert [stopped_words(MEMBERS) in one for one in said] == [False, True]


def test_the_first_screen_advises_to_train_again(folders):
    best = {"calibration": {"tempered": {"ece": {"value": 0.01}}}}
    data = {"validation": {"counts": {NOT_MET: 0}}}
    first = []
    for model in open_results(folders, [], intersect=False).models:
        evaluation = ResultsFolder(model.folder).read_evaluation("test")
        first.append(_next(model, best, data, evaluation, [], exportable=True))
    assert first[1] == [stopped_words(MEMBERS), ADVICE]
    assert ADVICE not in first[0]
