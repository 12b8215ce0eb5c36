"""The model of statistics that is fitted on the measured sample of train, or why there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dr_ovo.audit.audit import audit
from dr_ovo.audit.audited_photographs import photographs_of_folder
from dr_ovo.audit.checks import measured_sample
from dr_ovo.audit.findings import AuditReport
from dr_ovo.audit.measurement_cache import FOLDER


@pytest.fixture
def data(tiny_dataset, tmp_path) -> Path:
    """The drawn dataset, which a test may change."""
    return shutil.copytree(tiny_dataset, tmp_path / "data", ignore=lambda *_: [FOLDER])


def audited(root: Path, *, synthetic: bool = False) -> AuditReport:
    photographs, _ = photographs_of_folder(root)
    return audit(root, photographs, None, synthetic=synthetic, quality=False)


def test_with_all_grades_in_train_there_is_a_model(data):
    report = audited(data)
    assert report.statistics_model is not None
    assert report.statistics_model.classes == ("0", "1", "2", "3", "4")
    assert report.no_statistics_model == ""


def reason_of(report: AuditReport) -> str:
    assert report.statistics_model is None
    return report.no_statistics_model


def test_grades_that_train_lacks(data):
    for grade in ("1", "4"):
        shutil.rmtree(data / "train" / grade)
    assert reason_of(audited(data)) == "train has no picture of grade 1, 4"


def test_a_grade_that_the_sample_of_train_lacks(data, monkeypatch):
    """Few are measured of each grade, from all splits, and train has few of this one."""
    for path in sorted((data / "train" / "2").iterdir())[1:]:
        path.unlink()
    monkeypatch.setattr(measured_sample, "SAMPLE", 20)  # four of each grade
    reason = "none of train's pictures of grade 2 was among those that the audit measured"
    # "" where it was drawn.
    assert {reason_with(data, seed, monkeypatch) for seed in range(5)} == {reason, ""}


def reason_with(data: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(measured_sample, "SAMPLE_SEED", seed)
    return audited(data).no_statistics_model


def test_drawn_pictures_and_pictures_without_grades(data, tmp_path):
    assert reason_of(audited(data, synthetic=True)) == "the pictures are drawn"
    shutil.copytree(data / "train" / "1", tmp_path / "flat")
    assert reason_of(audited(tmp_path / "flat")) == "there are no folders of grades"
