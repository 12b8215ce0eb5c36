"""An ensemble's manifest."""

import json
from pathlib import Path

import pytest

from dr_ovo.ensembles.manifest import Manifest, Member, read_manifest, write_manifest
from dr_ovo.errors import UserError
from dr_ovo.predictions.calibration_file import Calibration
from dr_ovo.predictions.operating_points import OperatingPoint, OperatingPoints

POINTS = OperatingPoints(OperatingPoint(0.25), OperatingPoint(None, "every image is referable"))
CALIBRATION = Calibration(1.5, POINTS, POINTS, n=10, divided=False)


def member(folder: Path, weight: float = 0.5, name: str = "a") -> Member:
    files = {"models/best_x_ovo.pth": "0" * 64}
    return Member(name, folder, "x", "ovo", "coupling", weight, files)


@pytest.fixture
def manifest(tmp_path):
    members = member(tmp_path / "a_results"), member(tmp_path / "deep" / "b", name="b")
    return Manifest("vote", ("none", "some"), members, calibration=CALIBRATION)


def test_what_is_written_is_read(tmp_path, manifest):
    path = tmp_path / "deep" / "ensemble.json"
    path.parent.mkdir()
    write_manifest(path, manifest, CALIBRATION, ["SIMULATED"])
    assert read_manifest(path) == manifest
    data = json.loads(path.read_text())
    assert [row["folder"] for row in data["members"]] == ["../a_results", "b"]
    assert data["temperature"] == 1.5
    assert data["thresholds"]["referable"] == {
        "high_sensitivity": 0.25,
        "high_specificity": None,
    }
    assert data["marks"] == ["SIMULATED"]


def test_folders_move_with_the_manifest(tmp_path, manifest):
    (tmp_path / "deep").mkdir()
    write_manifest(tmp_path / "ensemble.json", manifest, CALIBRATION, [])
    moved = tmp_path.with_name(tmp_path.name + "_moved")
    tmp_path.rename(moved)
    try:
        assert read_manifest(moved / "ensemble.json").members[0].folder == moved / "a_results"
    finally:
        moved.rename(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 3}, "schema 3"),
        ({"decoder": "magic"}, "damaged"),
        ({"decoder": "expected", "grade_thresholds": [2.5, 0.5]}, "damaged"),
        ({"kind": "shopping list"}, "not an ensemble manifest"),
        ({"method": "magic"}, 'its method is "magic"'),
        ({"members": []}, "its members is"),
        ({"members": [{"name": "a"}]}, "damaged"),
        ({"class_names": None}, "damaged"),
    ],
)
def test_what_is_no_manifest_is_refused(change, said, tmp_path, manifest):
    path = tmp_path / "ensemble.json"
    write_manifest(path, manifest, CALIBRATION, [])
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=said) as refused:
        read_manifest(path)
    assert "evaluate_super_ensemble.py" in str(refused.value)


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(UserError, match="can't be read"):
        read_manifest(tmp_path / "none.json")
    (tmp_path / "cut.json").write_text('{"schema": 1')
    with pytest.raises(UserError, match="can't be read"):
        read_manifest(tmp_path / "cut.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(UserError, match="no JSON object"):
        read_manifest(tmp_path / "list.json")
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(UserError, match="not an ensemble manifest"):
        read_manifest(tmp_path / "other.json")


def test_nested_without_end(tmp_path):
    path = tmp_path / "ensemble.json"
    path.write_text('{"kind": ' + "[" * 100_000)
    with pytest.raises(UserError, match="can't be read"):
        read_manifest(path)


def test_a_weight_beyond_all_numbers(tmp_path, manifest):
    path = tmp_path / "ensemble.json"
    write_manifest(path, manifest, CALIBRATION, [])
    path.write_text(path.read_text().replace('"weight": 0.5', f'"weight": {10**400}'))
    with pytest.raises(UserError, match="damaged"):
        read_manifest(path)
