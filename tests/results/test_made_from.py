"""What an evaluation of several networks says that it was made from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dr_ovo.errors import UserError
from dr_ovo.results.folder import ResultsFolder
from dr_ovo.results.made_from import (
    MADE_FROM,
    check_digests,
    checkpoint_digests,
    joint_seals,
    made_from,
    seals_of,
)

NAME = "best_coatnet_0_rw_224_ovo.pth"


def names(*paths: str) -> list[str]:
    folders = [ResultsFolder(Path(path)) for path in paths]
    return [*joint_seals([(folder, {"x.pth": {"checkpoints": "1"}}) for folder in folders])]


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["/a/x"], ["x.pth"]),
        (["/a/x", "/a/y"], ["x/x.pth", "y/x.pth"]),
        (["/seed1/x", "/seed2/x"], ["seed1/x/x.pth", "seed2/x/x.pth"]),
        (["/a/s/x", "/b/s/x", "/b/y"], ["a/s/x/x.pth", "b/s/x/x.pth", "y/x.pth"]),
        (["/x", "/b/x"], ["x/x.pth", "b/x/x.pth"]),
        (["/a/x", "/a/b/../x", "/a/y"], ["x/x.pth", "y/x.pth"]),  # one folder, given twice
    ],
)
def test_each_member_has_a_name_of_its_own(paths, said):
    assert names(*paths) == said


@pytest.fixture
def joint(tmp_path) -> tuple[ResultsFolder, list[ResultsFolder]]:
    """A folder with an evaluation of two trainings, whose folders of one name lie beside it."""
    members = [ResultsFolder(tmp_path / seed / "coatnet_5class_results") for seed in "12"]
    for number, member in enumerate(members):
        member.models.mkdir(parents=True)
        save(member, number)
    folder = ResultsFolder(tmp_path / "joint")
    folder.root.mkdir()
    folder.calibration.write_text("{}")
    folder.predictions("test").write_bytes(b"")
    seals = joint_seals([(member, seals_of(member)) for member in members])
    source = made_from(folder, seals, ["test"])["test"]
    folder.evaluation("test").write_text(json.dumps({MADE_FROM: source}))
    return folder, members


def save(member: ResultsFolder, number: int) -> None:
    torch.save({"weights": torch.full((3,), number)}, member.models / NAME)


def test_checkpoints_of_folders_of_one_name_are_told_apart(joint):
    folder, members = joint
    found = folder.read_evaluation("test")[MADE_FROM]
    expected = [f"{seed}/coatnet_5class_results/{NAME}" for seed in "12"]
    assert [*found["checkpoints"]] == [*found["directories"]] == expected
    assert len({*found["checkpoints"].values()}) == 2
    assert found["checkpoints"] == checkpoint_digests(members)
    assert check_digests(folder, ["test"])


@pytest.mark.parametrize("place", [0, 1])
def test_a_checkpoint_that_was_replaced_is_found_by_that_name(place, joint):
    folder, members = joint
    save(members[place], 7)
    with pytest.raises(UserError, match=f"another {place + 1}/coatnet_5class_results/{NAME}"):
        check_digests(folder, ["test"])


def test_an_evaluation_under_one_name_is_read(joint):
    """As an earlier version wrote it: the last of the two has the name."""
    folder, _ = joint
    report = folder.read_evaluation("test")
    for key in ("checkpoints", "directories"):
        *_, last = report[MADE_FROM][key].values()
        report[MADE_FROM][key] = {f"coatnet_5class_results/{NAME}": last}
    folder.evaluation("test").write_text(json.dumps(report))
    assert check_digests(folder, ["test"])
