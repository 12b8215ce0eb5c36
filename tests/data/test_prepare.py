"""Shrinking a dataset folder: the same tree, smaller pictures, nothing done twice."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from dr_ovo.data.damage import Damage
from dr_ovo.data.prepare import shrink_tree
from dr_ovo.data.preprocess import Preprocessing
from dr_ovo.errors import UserError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    rows, columns = np.mgrid[:300, :400]
    disc = ((rows - 150) ** 2 + (columns - 200) ** 2 < 130**2)[..., None]
    picture = (disc * np.array([30, 80, 160])).astype(np.uint8)
    for name in ("train/0/a.jpeg", "train/4/b.PNG", "test/0/c.tif"):
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True)
        cv2.imwrite(str(path), picture)
    return tmp_path / "raw"


def test_same_places_square_and_cropped(tree: Path, tmp_path: Path) -> None:
    assert shrink_tree(tree, tmp_path / "small", 128) == (3, 0, [])
    found = sorted(
        p.relative_to(tmp_path / "small").as_posix() for p in tmp_path.glob("small/*/*/*")
    )
    assert found == ["test/0/c.jpg", "train/0/a.jpg", "train/4/b.jpg"]
    small = cv2.imread(str(tmp_path / "small/train/4/b.jpg"))
    assert small.shape == (128, 128, 3)
    assert small[64, 4].sum() > 200  # the disc reaches the border
    straight = Preprocessing(64, clahe=False).load(tree / "train/4/b.PNG")
    through = Preprocessing(64, clahe=False).load(tmp_path / "small/train/4/b.jpg")
    assert np.abs(straight.astype(int) - through).mean() < 4


def test_second_run_writes_nothing(tree: Path, tmp_path: Path) -> None:
    shrink_tree(tree, tmp_path / "small", 128)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "small").rglob("*.jpg")}
    assert shrink_tree(tree, tmp_path / "small", 128) == (0, 3, [])
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "small").rglob("*.jpg")}


def test_damaged_are_named_and_left_out(tree: Path, tmp_path: Path) -> None:
    (tree / "train/0/empty.jpg").touch()
    written, _, damaged = shrink_tree(tree, tmp_path / "small", 128)
    assert written == 3
    assert damaged == [Damage(tree / "train/0/empty.jpg", "is empty (zero bytes)")]


@pytest.mark.parametrize("size", [0, 63, 5000])
def test_sizes_out_of_range(tree: Path, tmp_path: Path, size: int) -> None:
    with pytest.raises(UserError, match="64 to 4096"):
        shrink_tree(tree, tmp_path / "small", size)


def test_user_mistakes(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        shrink_tree(tmp_path / "absent", tmp_path / "small", 128)
    with pytest.raises(UserError, match="inside"):
        shrink_tree(tree, tree / "small", 128)
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="no images"):
        shrink_tree(tmp_path / "none", tmp_path / "small", 128)
    (tree / "train/0/a.jpg").write_bytes((tree / "train/0/a.jpeg").read_bytes())
    with pytest.raises(UserError, match="rename one"):
        shrink_tree(tree, tmp_path / "small", 128)
