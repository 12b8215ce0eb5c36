from __future__ import annotations

from pathlib import Path

import pytest

from dr_ovo.errors import UserError
from dr_ovo.reports.checkpoints.search import find_checkpoints


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two results folders, one with every kind of file found beside checkpoints."""
    for name in (
        "a_results/models/best_x_0_1.pth",
        "a_results/models/best_x_0_1.json",
        "a_results/models/best_x_0_2.pth",
        "a_results/models/replaced/best_x_0_1.pth",
        "a_results/resume/state.pth",
        "a_results/history.csv",
        "b_results/models/best_[y].pth",
        "empty/notes.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


A = ["best_x_0_1.pth", "best_x_0_2.pth"]
B = ["best_[y].pth"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a_results"], A),
        (["a_results/models"], A),
        (["a_results/models/*"], A),
        (["a_results/models/*.pth"], A),
        (["a_results/*"], A),
        (["a_results/**/*.pth"], A),
        ([""], [*A, *B]),
        (["*_results"], [*A, *B]),
        (["b_results/models/best_[y].pth"], B),
        (["a_results/models/best_x_0_2.pth", "a_results", "a_results/models/"], [A[1], A[0]]),
    ],
)
def test_paths_of_every_kind(root: Path, paths: list[str], names: list[str]) -> None:
    files, empty = find_checkpoints([str(root / path) for path in paths])
    assert [file.name for file in files] == names
    assert empty == []


def test_relative_and_absolute_names_of_a_file_count_once(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root / "a_results")
    (root / "link.pth").symlink_to(root / "a_results/models/best_x_0_1.pth")
    names = ["models/best_x_0_1.pth", "./models/../models/best_x_0_1.pth", "../link.pth"]
    files, _ = find_checkpoints([*names, str(root / "a_results/models/best_x_0_1.pth")])
    assert len(files) == 1


def test_folders_without_checkpoints_are_named(root: Path) -> None:
    files, empty = find_checkpoints([str(root / "empty"), str(root / "a_results/*")])
    assert [file.name for file in files] == A
    assert empty == [root / "empty"]


def test_every_absent_path_is_named_at_once(root: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_checkpoints([str(root / "a_results"), "nowhere", "*.nothing"])
    assert "nowhere, *.nothing" in str(caught.value)
    assert "a_results" not in str(caught.value)
