"""An output that can't be written is found before the audit and the first epoch."""

from __future__ import annotations

from pathlib import Path

import pytest

from dr_ovo.training.data import members


@pytest.fixture
def never_audited(monkeypatch) -> None:
    def audited(*_: object) -> None:
        raise AssertionError("the audit has begun")

    monkeypatch.setattr(members, "audit_dataset", audited)


@pytest.mark.usefixtures("never_audited")
@pytest.mark.parametrize(
    ("below", "said"),
    [
        ("results", "is a file; give the name of a folder."),
        ("deep/results", "is a file; give the name of a folder."),
    ],
)
@pytest.mark.parametrize("folds", [0, 3])
def test_a_file_where_a_folder_is_wanted(
    below, said, folds, small, tiny_dataset, trainer, tmp_path
):
    (tmp_path / "file").write_text("x")
    output = tmp_path / "file" / below
    flags = ("--dataset_path", tiny_dataset, "--output_dir", output, "--folds", folds)
    outcome = trainer(*small, *flags)
    assert outcome.code == 2
    assert f"error: --output_dir {output}: " in outcome.stderr
    assert said in outcome.stderr
    assert "--resume" not in outcome.stderr


@pytest.mark.usefixtures("never_audited")
@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="this system has no /proc")
def test_a_place_that_takes_no_files(small, tiny_dataset, trainer):
    outcome = trainer(*small, "--dataset_path", tiny_dataset, "--output_dir", "/proc/results")
    assert outcome.code == 2
    assert "--output_dir /proc/results can't be written" in outcome.stderr
