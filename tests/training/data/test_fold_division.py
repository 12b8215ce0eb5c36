"""The division of train and val into folds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dr_ovo.dataset.index import DatasetIndex, Split
from dr_ovo.errors import UserError
from dr_ovo.training.data.fold_division import (
    FoldDivision,
    divide,
    held_out_split,
    joined,
    load_division,
    member_index,
    require_division,
)


def split_of(name: str, rows: list[tuple[int, str, str]]) -> Split:
    """A split of pictures with (grade, patient, group); "" for an unknown patient."""
    samples = tuple(f"{grade}/{name}{number}.jpg" for number, (grade, _, _) in enumerate(rows))
    return Split(
        name=name,
        paths=tuple(Path("data", name, sample) for sample in samples),
        sample_ids=samples,
        targets=np.array([grade for grade, _, _ in rows], dtype=np.int64),
        patient_ids=tuple(
            patient or group or sample
            for sample, (_, patient, group) in zip(samples, rows, strict=True)
        ),
        eyes=("",) * len(rows),
        groups=tuple(group for _, _, group in rows),
        quality=np.full(len(rows), np.nan),
        weights=None,
    )


def dataset(train: list[tuple[int, str, str]], val: list[tuple[int, str, str]]) -> DatasetIndex:
    splits = {"train": split_of("train", train), "val": split_of("val", val)}
    return DatasetIndex(Path("data"), ("0", "1", "2"), splits, None, False)


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=40, max_size=90),
    folds=st.integers(2, 6),
)
@settings(max_examples=60)
def test_a_patient_is_in_one_fold_and_every_picture_in_one(rows, folds):
    pictures = [(grade, f"p{patient}", "") for grade, patient in rows]
    index = dataset(pictures[::2], pictures[1::2])
    try:
        division = divide(index, [], folds)
    except UserError as error:
        refusals = ("single patient", "in one fold", "fill only")
        assert any(refusal in str(error) for refusal in refusals)  # noqa: PT017
        return
    whole = joined(index)
    assert set(division.places) == set(whole.sample_ids)
    held = [division.held_out(whole, fold) for fold in range(1, folds + 1)]
    assert (np.sum(held, axis=0) == 1).all()
    of_patient: dict[str, set[int]] = {}
    for sample, patient in zip(whole.sample_ids, whole.patient_ids, strict=True):
        of_patient.setdefault(patient, set()).add(division.places[sample][0])
    assert all(len(found) == 1 for found in of_patient.values())


def test_grades_are_spread_evenly():
    rows = [(grade, "", "") for grade, count in enumerate((50, 13, 7)) for _ in range(count)]
    index = dataset(rows[::2], rows[1::2])
    division = divide(index, [], 5)
    counts = np.array(
        [
            np.bincount(held_out_split(index, division, fold).targets, minlength=3)
            for fold in range(1, 6)
        ]
    )
    assert np.ptp(counts, axis=0).max() <= 1
    assert counts.sum(axis=0).tolist() == [50, 13, 7]


def test_groups_and_copies_stay_together_across_train_and_val():
    train = [(0, "", "visit"), (1, "", ""), *[(grade, "", "") for grade in (0, 1, 2, 2, 0)]]
    val = [(2, "", "visit"), (1, "", ""), *[(grade, "", "") for grade in (0, 1, 2)]]
    index = dataset(train, val)
    alike = [["train/1/train1.jpg", "val/1/val1.jpg", "test/1/elsewhere.jpg"]]
    for folds in (2, 3, 4):
        places = divide(index, alike, folds).places
        assert places["train/0/train0.jpg"] == places["val/2/val0.jpg"]
        assert places["train/1/train1.jpg"] == places["val/1/val1.jpg"]


def test_it_does_not_follow_the_order_or_the_split_of_pictures():
    """A picture that moves from train to val stays in its fold: names are the same, and so are
    patients."""
    rows = [(grade, f"p{number}", "") for number in range(20) for grade in (0, 1, 2)]
    index = dataset(rows, [(0, "q", ""), (1, "r", "")])
    division = divide(index, [], 5)
    assert divide(index, [], 5).places == division.places


def test_a_grade_of_one_patient_is_refused():
    rows = [(grade, "", "") for grade in (0, 0, 1, 1)]
    index = dataset([*rows, (2, "one", "")], [*rows, (2, "one", "")])
    with pytest.raises(UserError, match="grade 2 has a single patient"):
        divide(index, [], 2)


def test_members_of_their_own_choice_see_nothing_of_the_fold_held_out():
    rows = [(grade, f"{grade}p{number}", "") for grade in (0, 1, 2) for number in range(16)]
    index = dataset(rows[::2], rows[1::2])
    division = divide(index, [], 4)
    for fold in range(1, 5):
        own = member_index(index, division, fold, own_val=True)
        plain = member_index(index, division, fold, own_val=False)
        unseen = set(held_out_split(index, division, fold).paths)
        assert set(plain.splits["val"].paths) == unseen
        seen = [*own.splits["train"].paths, *own.splits["val"].paths]
        assert len(set(seen)) == len(seen)
        assert set(seen) == set(plain.splits["train"].paths)
        assert not unseen & set(seen)
        assert np.bincount(own.splits["val"].targets, minlength=3).min() >= 1


def test_too_few_patients_to_choose_an_epoch_by():
    rows = [(grade, "", "") for grade in (0, 1, 2) for _ in range(4)]
    index = dataset([*rows, (2, "", "visit"), (2, "", "visit")], rows[:2])
    lonely = dataset([(0, "", ""), (1, "", ""), (2, "", "")] * 2, [(0, "", "")])
    division = divide(lonely, [], 2)
    for fold in (1, 2):  # each member has one picture of grade 2, in one of eight parts
        member_index(lonely, division, fold, own_val=False)
    assert divide(index, [], 2).folds == 2


def test_written_and_read(tmp_path):
    index = dataset([(grade, "", "") for grade in (0, 1, 2) for _ in range(3)], [(0, "", "")])
    division = divide(index, [], 3)
    division.save(tmp_path / "new")
    assert load_division(tmp_path / "new") == division
    assert load_division(tmp_path) is None
    require_division(division, index, 3, tmp_path)
    with pytest.raises(UserError, match="divided into 3 folds"):
        require_division(division, index, 4, tmp_path)
    with pytest.raises(UserError, match="divides other pictures"):
        require_division(FoldDivision(3, {"train/0/a.jpg": (1, 0)}), index, 3, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[",
        '{"schema": 2, "folds": 3, "files": {"a": [1, 0]}}',
        '{"schema": 1, "folds": 3, "files": {"a": [4, 0]}}',
        '{"schema": 1, "folds": 3, "files": {"a": 1}}',
        '{"schema": 1, "folds": 3, "files": {"a": [true, 0]}}',
        '{"schema": 1, "folds": 3, "files": {}}',
        '{"schema": 1, "folds": 1, "files": {"a": [1, 0]}}',
    ],
)
def test_a_damaged_file_is_refused(content, tmp_path):
    (tmp_path / "folds.json").write_text(content)
    with pytest.raises(UserError, match=r"folds\.json"):
        load_division(tmp_path)


def test_a_grade_that_would_be_in_one_fold_alone_is_refused():
    """Its patients are divided by their worst grade, and two of them can fall together."""
    worse = [(grade, f"p{patient}", "") for patient in range(12) for grade in (0, 2)]
    refused = 0
    for one in range(1, 12):
        rows = list(worse)
        for patient in (0, one):  # the only ones with grade 1
            rows[2 * patient] = (1, f"p{patient}", "")
        index = dataset(rows, [(0, "q1", ""), (0, "q2", "")])
        try:
            division = divide(index, [], 2)
        except UserError as error:
            assert "all pictures of grade 1 are in one fold" in str(error)  # noqa: PT017
            refused += 1
            continue
        whole = joined(index)
        for fold in (1, 2):
            assert 1 in whole.targets[~division.held_out(whole, fold)]
    assert 0 < refused < 11


def test_more_folds_than_patients_are_refused():
    rows = [(grade, f"p{grade}{patient}", "") for grade in range(3) for patient in range(2)]
    index = dataset(rows[::2], rows[1::2])
    assert divide(index, [], 6).folds == 6
    with pytest.raises(UserError, match="the 6 patients in train and val fill only 6 folds"):
        divide(index, [], 7)


def test_an_empty_val_leaves_train_its_weights():
    index = dataset([(0, "a", ""), (1, "b", "")], [])
    splits = {**index.splits}
    splits["train"] = replace(splits["train"], weights=np.array([1.0, 2.0]))
    whole = joined(replace(index, splits=splits))
    assert whole.weights is not None
    assert whole.weights.tolist() == [1.0, 2.0]
