"""calibration.json: read as written; whatever no evaluation writes is refused by name."""

from __future__ import annotations

import copy
import json
import math

import pytest

from dr_ovo.errors import UserError
from dr_ovo.predictions.calibration_file import Calibration, load_calibration, save_calibration
from dr_ovo.predictions.operating_points import OperatingPoint, OperatingPoints

POINTS = OperatingPoints(OperatingPoint(0.25), OperatingPoint(None, "no image of that kind"))
CALIBRATION = Calibration(1.5, POINTS, POINTS, n=40, divided=True)
PLACE = ("referable", "high_sensitivity", "threshold")
REASON = ("vision_threatening", "high_specificity", "reason")
NO_NUMBER = [[1.0], None, True, "text", "1.0", {}, float("nan"), float("inf"), -float("inf")]


@pytest.fixture
def path(tmp_path):
    save_calibration(tmp_path / "calibration.json", CALIBRATION, ["LEAKY"])
    return tmp_path / "calibration.json"


def changed(path, place, value=None, *, remove=False):
    """Rewrites one value of the file, or removes it."""
    data = json.loads(path.read_text())
    table = data
    for key in place[:-1]:
        table = table[key]
    table[place[-1]] = copy.deepcopy(value)
    if remove:
        del table[place[-1]]
    path.write_text(json.dumps(data))


def refusal(path) -> str:
    with pytest.raises(UserError) as error:
        load_calibration(path)
    text = str(error.value)
    assert text.startswith(str(path))
    assert text.endswith("Evaluate the model again.")
    return text


def is_no_json(value, text: str) -> bool:
    """Whether a value is NaN or infinite, and said to be."""
    infinite = isinstance(value, float) and not math.isfinite(value)
    return infinite and "is no number in JSON" in text


def test_it_is_read_as_it_was_written(path):
    assert load_calibration(path) == CALIBRATION
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # saved by an editor of Windows
    assert load_calibration(path) == CALIBRATION


@pytest.mark.parametrize("value", [*NO_NUMBER, -1, 0, 0.04, 21, 10**400])
def test_a_temperature_that_none_can_be(path, value):
    changed(path, ("temperature",), value)
    text = refusal(path)
    assert is_no_json(value, text) or "its temperature is " in text
    assert is_no_json(value, text) or "expected a number" in text or "out of range" in text


@pytest.mark.parametrize("value", [one for one in NO_NUMBER if one is not None] + [7, -0.1, 1.01])
def test_a_threshold_that_none_can_be(path, value):
    changed(path, PLACE, value)
    text = refusal(path)
    assert is_no_json(value, text) or "its referable.high_sensitivity.threshold is " in text
    assert is_no_json(value, text) or "expected a number" in text or "out of range" in text


@pytest.mark.parametrize("value", [0, 0.0, 1, 1.0000000000000002])
def test_thresholds_at_the_ends(path, value):
    changed(path, PLACE, value)
    assert load_calibration(path).referable.high_sensitivity.threshold == value


@pytest.mark.parametrize("value", [None, "", 5, ["x"]])
def test_a_threshold_that_is_missing_needs_a_reason(path, value):
    changed(path, REASON, value)
    assert "its vision_threatening.high_specificity" in refusal(path)


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("schema",), 9, "has schema 9; this version reads 1"),
        (("schema",), None, "has schema None; this version reads 1"),
        (("n",), 0, "n is 0; expected a whole number >= 1"),
        (("n",), 1.5, "n is 1.5; expected a whole number"),
        (("n",), True, "n is true; expected a whole number"),
        (("divided",), 1, "divided is 1; expected true or false"),
        (("divided",), "no", 'divided is "no"; expected true or false'),
        (("referable",), [1.0], "referable is [1.0]; expected an object"),
        (("referable", "high_sensitivity"), 0.5, "referable.high_sensitivity is 0.5; expected an"),
    ],
)
def test_other_values_of_another_kind(path, place, value, said):
    changed(path, place, value)
    assert said in refusal(path)


@pytest.mark.parametrize("value", [[0.5, 10**400], [2.5, 0.5], [float("nan")], "0.5", [True]])
def test_thresholds_of_the_grade_that_are_none(path, value):
    changed(path, ("grade_thresholds",), value)
    text = refusal(path)
    assert "its grade_thresholds" in text or "is no number in JSON" in text


@pytest.mark.parametrize(
    "place",
    [("temperature",), ("n",), ("divided",), ("referable",), ("vision_threatening",),
     ("referable", "high_specificity"), PLACE],
)  # fmt: skip
def test_a_key_that_is_missing(path, place):
    changed(path, place, remove=True)
    assert f"has no {'.'.join(place)}." in refusal(path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe\x00", b"[1.0]", b'"text"', b"1", b"null", b"[" * 100_000]
)
def test_a_file_that_is_none(path, content):
    path.write_bytes(content)
    refusal(path)


def test_a_file_that_is_not_there(tmp_path):
    assert "No such file" in refusal(tmp_path / "missing.json")
