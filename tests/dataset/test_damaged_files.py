from pathlib import Path

import cv2
import numpy as np
import pytest

from dr_ovo.dataset import damaged_files
from dr_ovo.dataset.damaged_files import find_damage, without
from dr_ovo.dataset.index import scan_dataset
from dr_ovo.errors import UserError
from dr_ovo.photographs.damage import Damage, describe

GRADES = ("0", "1")
# Damaged file -> its content, and part of the reason that is reported.
HARMS = {
    "train/0/empty.jpg": (b"", "zero bytes"),
    "train/1/text.jpg": (b"patient,grade\n1,0\n", "decoded as an image"),
    "val/0/notes.txt": (b"see the other folder", "is not an image"),
}


@pytest.fixture
def root(tmp_path, draw_dataset) -> Path:
    """Two grades, three pictures each in each split, and none of them damaged."""
    return draw_dataset(tmp_path / "data", grades=2)


@pytest.fixture
def harmed(root) -> Path:
    """The same, with one file of each kind of damage added."""
    for name, (content, _) in HARMS.items():
        (root / name).write_bytes(content)
    for number, suffix in enumerate((".jpg", ".png")):
        noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
        data = cv2.imencode(suffix, noise)[1].tobytes()
        (root / f"test/1/cut{number}{suffix}").write_bytes(data[: len(data) // 2])
    return root


def reasons(found: list[Damage], root: Path) -> dict[str, str]:
    return {damage.path.relative_to(root).as_posix(): damage.reason for damage in found}


def expect_all(found: list[Damage], root: Path) -> None:
    reported = reasons(found, root)
    assert set(reported) == {*HARMS, "test/1/cut0.jpg", "test/1/cut1.png"}
    for name, (_, reason) in HARMS.items():
        assert reason in reported[name]
    assert "truncated" in reported["test/1/cut0.jpg"]
    assert "truncated" in reported["test/1/cut1.png"]


@pytest.mark.parametrize("decode", [True, False])
def test_sound_photographs_have_no_damage(idrid_small, decode):
    assert find_damage(scan_dataset(idrid_small, ("0", "1", "2", "3", "4")), decode=decode) == []


def test_all_damaged_files_of_all_splits_are_found_at_once(harmed):
    expect_all(find_damage(scan_dataset(harmed, GRADES), decode=False), harmed)


def test_in_a_large_set_the_ends_of_files_show_the_same(harmed, monkeypatch):
    monkeypatch.setattr(damaged_files, "DECODE_ALL_BELOW", 0)
    expect_all(find_damage(scan_dataset(harmed, GRADES), decode=False), harmed)


def test_only_decoding_finds_a_picture_that_is_too_small(root, monkeypatch):
    tiny = cv2.imencode(".png", np.full((10, 10, 3), 99, np.uint8))[1].tobytes()
    (root / "val/1/tiny.png").write_bytes(tiny)
    index = scan_dataset(root, GRADES)
    expected = {"val/1/tiny.png": "only 10x10 pixels (at least 16 per side)"}
    assert reasons(find_damage(index, decode=False), root) == expected
    monkeypatch.setattr(damaged_files, "DECODE_ALL_BELOW", 0)
    assert find_damage(index, decode=False) == []
    assert reasons(find_damage(index, decode=True), root) == expected


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp"])
@pytest.mark.parametrize("side", [64, 700])
def test_the_ends_of_a_whole_file_show_no_damage(root, monkeypatch, suffix, side):
    # 700 px of noise: more bytes than the two ends hold.
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    data = cv2.imencode(suffix, noise)[1].tobytes() + b"\0" * 50
    (root / "train/0/noise.jpg").write_bytes(data)
    monkeypatch.setattr(damaged_files, "DECODE_ALL_BELOW", 0)
    assert find_damage(scan_dataset(root, GRADES), decode=False) == []


def test_a_file_that_vanished_is_damaged(root, monkeypatch):
    index = scan_dataset(root, GRADES)
    (root / "val/0/val-0-1.jpeg").unlink()
    expected = {"val/0/val-0-1.jpeg": "can't be read: No such file or directory"}
    assert reasons(find_damage(index, decode=True), root) == expected
    monkeypatch.setattr(damaged_files, "DECODE_ALL_BELOW", 0)
    assert reasons(find_damage(index, decode=False), root) == expected


def test_going_on_without_them_leaves_the_sound_ones_alone(harmed, draw_dataset, tmp_path):
    index = scan_dataset(harmed, GRADES)
    clean = without(index, find_damage(index, decode=True))
    sound = scan_dataset(draw_dataset(tmp_path / "sound", grades=2), GRADES)
    assert clean.counts == sound.counts
    for name, split in clean.splits.items():
        assert split.sample_ids == sound.splits[name].sample_ids
        assert split.targets.tolist() == sound.splits[name].targets.tolist()
        assert split.non_images == ()
    assert clean.content_hash() == sound.content_hash()
    assert find_damage(clean, decode=True) == []


@pytest.mark.parametrize(("split", "grade"), [("train", "1"), ("val", "0")])
def test_a_grade_of_which_nothing_is_left_is_an_error(root, split, grade):
    for path in (root / split / grade).iterdir():
        path.write_bytes(b"")
    index = scan_dataset(root, GRADES)
    with pytest.raises(UserError, match=f"All images in {split}/{grade} are damaged"):
        without(index, find_damage(index, decode=True))


def test_test_may_lose_a_grade_but_not_everything(root):
    for path in (root / "test/0").iterdir():
        path.write_bytes(b"")
    index = scan_dataset(root, GRADES)
    assert without(index, find_damage(index, decode=True)).counts["test"] == {"0": 0, "1": 3}
    for path in (root / "test/1").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"test/0, test/1 are damaged"):
        without(index, find_damage(index, decode=True))


def test_the_description_names_each_file_and_counts_the_rest():
    found = [Damage(Path(f"{number}.jpg"), "is empty") for number in range(43)]
    lines = describe(found).splitlines()
    assert lines[0] == "  0.jpg: is empty"
    assert lines[39] == "  39.jpg: is empty"
    assert lines[40:] == ["  ... and 3 more"]
    assert "more" not in describe(found[:40])
