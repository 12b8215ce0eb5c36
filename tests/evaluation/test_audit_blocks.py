"""What an evaluation says of the training's audit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dr_ovo.audit.audit import audit
from dr_ovo.audit.audited_photographs import photographs_of_index
from dr_ovo.audit.fingerprint import fingerprints
from dr_ovo.audit.measurement_cache import FOLDER
from dr_ovo.dataset.index import scan_dataset
from dr_ovo.evaluation.audit_blocks import audit_blocks, joint_audit_blocks
from dr_ovo.evaluation.statistics_only import METRICS, unknown
from dr_ovo.results.folder import ResultsFolder

GRADES = ("0", "1", "2", "3", "4")


@pytest.fixture
def data(tiny_dataset, tmp_path) -> Path:
    """The drawn dataset, without a cache."""
    return shutil.copytree(tiny_dataset, tmp_path / "data", ignore=lambda *_: [FOLDER])


@pytest.fixture
def folder(data, tmp_path) -> ResultsFolder:
    """A results folder whose training audited the dataset and fitted a model of statistics."""
    photographs = photographs_of_index(scan_dataset(data, GRADES))
    report = audit(data, photographs, tmp_path / "cache", quality=False)
    assert report.statistics_model is not None
    assert report.no_statistics_model == ""
    held = fingerprints(photographs, None) | {"statistics_model": report.statistics_model.to_dict()}
    place = tmp_path / "results"
    place.mkdir()
    (place / "config.json").write_text(json.dumps({"settings": {}, "audit": held}))
    return ResultsFolder(place)


def blocks(folder: ResultsFolder, data: Path) -> dict:
    return audit_blocks(folder, data, scan_dataset(data, GRADES).splits["test"], GRADES)


def test_the_audited_files_and_others(folder, data, caplog):
    found = blocks(folder, data)
    assert found["audited"] is True
    assert set(found["statistics_only"]) == set(METRICS)
    assert found["statistics_only"]["accuracy"]["value"] is not None
    assert caplog.text == ""
    min((data / "train" / "1").iterdir()).unlink()
    assert blocks(folder, data)["audited"] is False
    assert f"python -m dr_ovo audit {data}" in caplog.text


@pytest.mark.parametrize(
    ("members", "joint"),
    [
        ((True, True), True),
        ((True, False), False),
        ((True, None), None),
        ((None, False), False),
    ],
)
def test_of_an_ensemble(members, joint):
    reports = [{"audited": one, "statistics_only": unknown("reason")} for one in members]
    assert joint_audit_blocks(reports) == {"audited": joint, "statistics_only": unknown("reason")}
    reports[0]["statistics_only"] = unknown("another")
    reason = joint_audit_blocks(reports)["statistics_only"]["accuracy"]["reason"]
    assert "different models" in reason
