"""MedMNIST files: pictures are written as lossless PNG, with their official splits."""

from collections import Counter

import cv2
import numpy as np
import pytest

from dr_ovo.errors import UserError
from dr_ovo.prepare.readers.grade_map import scale_of
from dr_ovo.prepare.readers.grade_scale import GradeScale
from dr_ovo.prepare.readers.medmnist import read_medmnist, write_pictures

SPLITS = ("train", "val", "test")


def read(file, pictures, scale=None):
    """The photographs that have a grade."""
    return read_medmnist(file, pictures, scale or GradeScale())[0]


def arrays(**changes):
    rng = np.random.default_rng(0)
    content = {f"{s}_images": rng.integers(0, 256, (3, 28, 28, 3), np.uint8) for s in SPLITS}
    content |= {f"{s}_labels": np.array([[0], [4], [2]], np.uint8) for s in SPLITS}
    return {name: value for name, value in (content | changes).items() if value is not None}


def test_pictures_come_out_as_they_went_in(tmp_path):
    content = arrays(val_images=np.zeros((3, 28, 28), np.uint8))
    np.savez(tmp_path / "set.npz", **content)
    found = read(tmp_path / "set.npz", tmp_path / "png")
    assert [(p.name, p.grade, p.split) for p in found[:4]] == [
        ("train_00000.png", 0, "train"),
        ("train_00001.png", 4, "train"),
        ("train_00002.png", 2, "train"),
        ("val_00000.png", 0, "val"),
    ]
    assert found[1].source == "set.npz:train_images[1]"
    write_pictures(tmp_path / "set.npz", tmp_path / "png")
    assert sorted(p.path for p in found) == sorted((tmp_path / "png").iterdir())
    picture = cv2.imread(str(found[1].path))[..., ::-1]
    assert np.array_equal(picture, content["train_images"][1])
    found[0].path.write_bytes(b"existing")
    write_pictures(tmp_path / "set.npz", tmp_path / "png")
    assert found[0].path.read_bytes() == b"existing"


def test_retinamnist(tmp_path, idrid_small):
    file = idrid_small.parent / "retinamnist28" / "retinamnist.npz"
    found = read(file, tmp_path)
    counts = Counter((p.split, p.grade) for p in found)
    assert [counts["train", grade] for grade in range(5)] == [486, 128, 206, 194, 66]
    assert [counts["val", grade] for grade in range(5)] == [54, 12, 28, 20, 6]
    assert [counts["test", grade] for grade in range(5)] == [174, 46, 92, 68, 20]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"val_labels": None}, r"contains .*Expected .*val_labels"),
        ({"train_labels": np.array([[0], [5], [1]])}, r"train_labels .* not one grade from 0 to 4"),
        ({"train_labels": np.array([[0], [1]])}, r"for each of 3 pictures"),
        ({"test_labels": np.zeros((3, 14), np.uint8)}, r"test_labels of shape \(3, 14\)"),
        ({"test_labels": np.full(3, 0.5)}, r"kind float64"),
        ({"test_images": np.zeros((3, 28, 28, 3))}, r"test_images are float64"),
        ({"test_images": np.zeros((3, 28, 28, 28), np.uint8)}, r"shape \(3, 28, 28, 28\)"),
    ],
)
def test_user_mistakes(tmp_path, changes, said):
    np.savez(tmp_path / "set.npz", **arrays(**changes))
    with pytest.raises(UserError, match=said):
        read(tmp_path / "set.npz", tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_files_that_are_no_npz(tmp_path, content):
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(UserError, match="can't be read as a MedMNIST"):
        read(tmp_path / "set.npz", tmp_path)


def test_a_single_array(tmp_path):
    with (tmp_path / "set.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(UserError, match="a single array"):
        read(tmp_path / "set.npz", tmp_path)


def test_arrays_that_are_damaged_or_hold_objects(tmp_path):
    file = tmp_path / "set.npz"
    np.savez(file, **arrays(val_labels=np.array([[0], [1], [2]], object)))
    with pytest.raises(UserError, match=r"set\.npz: val_labels can't be read .* Python objects"):
        read(file, tmp_path)
    np.savez_compressed(file, **arrays())
    content = bytearray(file.read_bytes())
    content[200:1200] = bytes(1000)
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"set\.npz: train_images can't be read as a MedMNIST"):
        read(file, tmp_path)


def scored(kind, first):
    """Labels from `first` to `first` + 4 over the three splits, as numbers of a `kind`."""
    labels = np.array([[0, 1, 2], [3, 4, 0], [1, 2, 3]], kind) + first
    return {f"{s}_labels": labels[at][:, None] for at, s in enumerate(SPLITS)}


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.uint8])
def test_a_scale_from_1_to_5(tmp_path, kind):
    file = tmp_path / "set.npz"
    np.savez(file, **arrays(**scored(kind, 1)))
    with pytest.raises(UserError, match=r"val_labels\[1\]: '5' is not.*--grade_map 1=0 2=1 3=2"):
        read(file, tmp_path)
    scale = scale_of((), ("1=0", "2=1", "3=2", "4=3", "5=4"))
    assert [p.grade for p in read(file, tmp_path, scale)] == [0, 1, 2, 3, 4, 0, 1, 2, 3]


def test_whole_numbers_may_be_floats(tmp_path):
    np.savez(tmp_path / "set.npz", **arrays(**scored(np.float64, 0)))
    assert [p.grade for p in read(tmp_path / "set.npz", tmp_path)][:4] == [0, 1, 2, 3]


def test_a_label_without_a_grade_is_left_out(tmp_path):
    np.savez(tmp_path / "set.npz", **arrays(**scored(np.int64, 1)))
    scale = scale_of((), ("5=-",))
    found, dropped = read_medmnist(tmp_path / "set.npz", tmp_path, scale)
    assert [p.name for p in found][3:5] == ["val_00000.png", "val_00002.png"]
    assert [(drop.file, drop.split) for drop in dropped] == [("set.npz:val_images[1]", "val")]
