"""`--pretrained_head`: which heads a training can begin with."""

from __future__ import annotations

import pytest
import torch

from dr_ovo.errors import UserError
from dr_ovo.models.network import branch_specs
from dr_ovo.models.parts.starting_head import read_head
from tests.fixtures.weights import state_of

SMALL = "test_efficientnet"
SOFTMAX = {"head": "softmax", "branch": "softmax", "class_names": list("01234"), "pairs": []}


@pytest.fixture
def folder(tmp_path, build_small, save_network):
    """A results folder with a softmax network of five grades, and its head's weights."""
    specs = branch_specs("softmax", "shared", 5, [])
    network = build_small(SMALL, specs=specs).network
    save_network(tmp_path / "models", network, specs, head="softmax")
    return tmp_path, network.branch("softmax").head.state_dict()


def test_the_head_of_a_results_folder(folder):
    path, expected = folder
    found = read_head(SMALL, str(path), SOFTMAX)
    assert found.keys() == expected.keys() == {"weight", "bias"}
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"head": "ordinal"}, "head: softmax there, ordinal now"),
        ({"class_names": list("0123")}, "class_names: ['0', '1', '2', '3', '4'] there, ['0', '1'"),
        ({"class_names": list("43210")}, "now"),
        ({"branch": "ovo", "pairs": [[0, 1]]}, "pairs: [] there, [[0, 1]] now"),
    ],
)
def test_a_head_that_answers_something_else(change, said, folder):
    with pytest.raises(UserError, match="answers something else") as refused:
        read_head(SMALL, str(folder[0]), SOFTMAX | change)
    assert said in str(refused.value)


def test_a_file_of_others_has_no_head_of_ours(tmp_path):
    torch.save(state_of(SMALL), tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"a\.pth is no checkpoint of this toolkit"):
        read_head(SMALL, str(tmp_path / "a.pth"), SOFTMAX)
