from __future__ import annotations

import math
from pathlib import Path

import pytest

from dr_ovo.errors import UserError
from dr_ovo.results.history import read_history, read_rows

HEADER = (
    "epoch,branch,lr,train_loss,val_loss,train_accuracy,val_accuracy,val_auc,val_kappa,"
    "seconds,images_per_second,peak_memory_mb,skipped_steps\n"
)


def write(folder: Path, text: str) -> Path:
    path = folder / "history.csv"
    path.write_text(text)
    return path


def test_curves_by_branch_with_unknown_values_as_nan(tmp_path: Path) -> None:
    rows = "1,0_2,1e-4,.6,.7,,.5,.6,,9,9,,0\n1,0_1,1e-4,.6,.7,.5,.5,.6,,9,9,,0\n2,0_2,1e-4,.5,"
    history = read_history(write(tmp_path, HEADER + rows))
    assert list(history) == ["0_1", "0_2"]
    assert history["0_2"]["epoch"] == [1, 2]
    assert history["0_2"]["train_loss"] == [0.6, 0.5]
    assert math.isnan(history["0_2"]["train_accuracy"][0])
    assert math.isnan(history["0_2"]["val_loss"][1])


def test_a_branch_that_was_trained_again_shows_its_last_training(tmp_path: Path) -> None:
    rows = "".join(f"{epoch},0_1,1e-4,{loss}\n" for epoch, loss in [(1, 9), (2, 8), (1, 3), (2, 2)])
    history = read_history(write(tmp_path, HEADER + rows + "3,0_2,1e-4,7\n"))
    assert history["0_1"]["train_loss"] == [3, 2]
    assert history["0_2"]["epoch"] == [3]


@pytest.mark.parametrize("text", ["", HEADER, HEADER + "\n\n", HEADER + "x,"])
def test_nothing_to_draw_says_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"history\.csv has no finished epoch"):
        read_history(write(tmp_path, text))


def test_missing_and_damaged_files_say_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no history\.csv"):
        read_history(tmp_path / "history.csv")
    path = tmp_path / "history.csv"
    path.write_bytes(HEADER.encode() + b"\xff\xfe\x00")
    with pytest.raises(UserError, match="can't be read"):
        read_history(path)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("x,0_1,1e-4,.5\n", 'its epoch is "x"; expected a whole number'),
        ("0,0_1,1e-4,.5\n", "its epoch is 0; expected a whole number >= 1"),
        ("1,,1e-4,.5\n", "it has no branch"),
        ("1,0_1,1e-4,inf\n", "its train_loss is Infinity; expected a number"),
        ("1,0_1,1e-4,high\n", 'its train_loss is "high"; expected a number'),
        ("1,0_1" + ",1" * 20 + "\n", "more fields than columns"),
    ],
)
def test_a_row_that_no_training_wrote_is_named(tmp_path: Path, row: str, said: str) -> None:
    good = "1,0_1,1e-4,.6\n"
    with pytest.raises(UserError) as error:
        read_rows(write(tmp_path, HEADER + good + row + good))
    assert f"history.csv, line 3: {said}" in str(error.value)


def test_columns_of_another_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 2: it has no epoch"):
        read_rows(write(tmp_path, "some,thing\n1,2\n"))
