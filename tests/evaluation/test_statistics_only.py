"""What image statistics alone score on test, in evaluation.json."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest

from dr_ovo.audit.audit import audit
from dr_ovo.audit.audited_photographs import photographs_of_folder
from dr_ovo.audit.grade_signal.statistics_model import StatisticsModel
from dr_ovo.dataset.index import scan_dataset
from dr_ovo.evaluation.statistics_only import NOT_FITTED, OLDER, statistics_only
from dr_ovo.results.folder import ResultsFolder

DAMAGED = "config.json is damaged"
GRADES = ("0", "1", "2", "3", "4")


def folder_with(audit_block: dict | None, place: Path) -> ResultsFolder:
    place.mkdir()
    held = {"settings": {}} | ({} if audit_block is None else {"audit": audit_block})
    (place / "config.json").write_text(json.dumps(held))
    return ResultsFolder(place)


@pytest.fixture(scope="module")
def filtered(idrid_small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """idrid_small with every picture of grade 3 filtered."""
    root = tmp_path_factory.mktemp("filtered") / "set"
    for source in sorted(idrid_small.glob("*/*/*.jpg")):
        target = root / source.relative_to(idrid_small)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.parent.name != "3":
            shutil.copyfile(source, target)
            continue
        lab = cv2.cvtColor(cv2.imread(str(source)), cv2.COLOR_BGR2LAB)
        lab[..., 0] = cv2.createCLAHE(3.0, (8, 8)).apply(lab[..., 0].copy())
        cv2.imwrite(str(target), cv2.cvtColor(lab, cv2.COLOR_LAB2BGR))
    return root


@pytest.fixture(scope="module")
def model(filtered: Path, tmp_path_factory: pytest.TempPathFactory) -> StatisticsModel:
    """What the audit of `filtered` fits to its statistics."""
    photographs, _ = photographs_of_folder(filtered)
    cache = tmp_path_factory.mktemp("cache")
    fitted = audit(filtered, photographs, cache, quality=False).statistics_model
    assert fitted is not None
    return fitted


def test_a_filtered_grade_is_graded_without_its_disease(filtered, model, tmp_path):
    folder = folder_with({"statistics_model": model.to_dict()}, tmp_path / "results")
    test = scan_dataset(filtered, GRADES).splits["test"]
    block = statistics_only(folder, filtered, test, GRADES)
    assert set(block) == {"accuracy", "quadratic_kappa", "macro_auc"}
    for metric in block.values():
        assert metric["low"] <= metric["value"] <= metric["high"]
    assert block["macro_auc"]["value"] > 0.6
    # Another order of the same grades gives the same figures, less the kappa of that order.
    other = scan_dataset(filtered, GRADES[::-1]).splits["test"]
    again = statistics_only(folder, filtered, other, GRADES[::-1])
    assert again["accuracy"]["value"] == block["accuracy"]["value"]


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (None, OLDER),
        ({"files": "0", "notes": []}, OLDER),
        ({"statistics_model": None}, NOT_FITTED),
        ({"statistics_model": None, "no_statistics_model": "why"}, f"{NOT_FITTED}: why"),
        ({"statistics_model": 7}, DAMAGED),
        ({"statistics_model": {"names": "a"}}, DAMAGED),
    ],
)
def test_a_folder_without_a_model_says_why(block, reason, tmp_path, tiny_dataset):
    folder = folder_with(block, tmp_path / "results")
    test = scan_dataset(tiny_dataset, GRADES).splits["test"]
    found = statistics_only(folder, tiny_dataset, test, GRADES)
    assert found["accuracy"]["value"] is None
    assert reason in found["accuracy"]["reason"]
    assert len({metric["reason"] for metric in found.values()}) == 1


def test_a_model_of_other_statistics_or_grades_is_not_used(tmp_path, tiny_dataset, model):
    test = scan_dataset(tiny_dataset, GRADES).splits["test"]
    changes = ({"names": " ".join(f"x{name}" for name in model.names)}, {"classes": list("abcde")})
    for number, change in enumerate(changes):
        stored = model.to_dict() | change
        folder = folder_with({"statistics_model": stored}, tmp_path / f"results{number}")
        found = statistics_only(folder, tiny_dataset, test, GRADES)
        assert "other statistics or grades" in found["accuracy"]["reason"]
