"""An ensemble's manifest."""

import dataclasses
import json
from pathlib import Path

import pytest

from dr_ovo.decoding.decoders import Fitted
from dr_ovo.decoding.grade_scale import GradeScale
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
        ({"schema": True}, "schema True"),
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


FITTED = Fitted(GradeScale((0.5,), 0.4), (0.6,))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decoding": {}}, "decoding"),
        ({"decoding": {"cutpoints": [0.5], "thresholds": None}}, "sigma"),
        ({"decoding": {"cutpoints": [0.5], "sigma": None, "thresholds": None}}, "sigma None"),
        ({"decoding": {"cutpoints": ["0.5"], "sigma": 1, "thresholds": None}}, "cutpoints"),
        ({"decoding": {"cutpoints": [True], "sigma": 1, "thresholds": None}}, "cutpoints"),
        ({"decoding": {"cutpoints": [0, 1], "sigma": 1, "thresholds": None}}, "a has 2 cutpoints"),
        ({"decoding": {"cutpoints": None, "sigma": None, "thresholds": []}}, "a has 0 thresholds"),
        ({"decoder": "nonsense"}, "nonsense"),
    ],
)
def test_what_decodes_a_member_is_checked(change, said, tmp_path):
    path = tmp_path / "ensemble.json"
    one = dataclasses.replace(
        member(tmp_path, 1.0), head="regression", decoder="expected", fitted=FITTED
    )
    manifest = Manifest("mean", ("none", "some"), (one,), Fitted(thresholds=(0.5,)), CALIBRATION)
    write_manifest(path, manifest, CALIBRATION, [])
    assert read_manifest(path) == manifest
    data = json.loads(path.read_text())
    data["members"][0].update(change)
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=said):
        read_manifest(path)


def test_each_of_members_of_one_name_is_checked(tmp_path):
    path = tmp_path / "ensemble.json"
    wrong = dataclasses.replace(member(tmp_path), fitted=Fitted(thresholds=(0.5, 1.5)))
    manifest = Manifest("mean", ("none", "some"), (wrong, member(tmp_path)))
    write_manifest(path, manifest, CALIBRATION, [])
    with pytest.raises(UserError, match="a has 2 thresholds"):
        read_manifest(path)


@pytest.mark.parametrize(
    "key", ["decoder", "grade_thresholds", "temperature", "prior_corrected", "decoding"]
)
def test_what_schema_1_did_not_have(key, tmp_path, manifest):
    """Schema 1 means what its versions did; in schema 2 the key was lost, and with it a grade."""
    path = tmp_path / "ensemble.json"
    write_manifest(path, manifest, CALIBRATION, [])
    data = json.loads(path.read_text())
    del data["digest"]
    for row in [data] if key in data and key != "temperature" else data["members"]:
        del row[key]
    path.write_text(json.dumps(data))
    with pytest.raises(UserError, match=key):
        read_manifest(path)
    path.write_text(json.dumps(data | {"schema": 1}))
    assert read_manifest(path) == manifest


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
