from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dr_ovo.copies import judged_files
from dr_ovo.dataset.index import DatasetIndex, scan_dataset
from dr_ovo.decoded.processes import pool
from dr_ovo.errors import UserError
from dr_ovo.integrity.damaged_files import examine, remaining, without
from dr_ovo.photographs.damage import Damage, describe
from tests.fixtures import decoders

GRADES = ("0", "1")
LIMIT = 100.0
# Damaged file -> its content, and part of the reason that is reported.
HARMS = {
    "train/0/empty.jpg": (b"", "zero bytes"),
    "train/1/text.jpg": (b"patient,grade\n1,0\n", "decoded as an image"),
}


def noise(side: int, suffix: str) -> bytes:
    """A synthetic picture without any order, which compresses badly."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def with_zeros(data: bytes, count: int = 500) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(count) + data[middle + count :]


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
        data = noise(300, suffix)
        (root / f"test/1/cut{number}{suffix}").write_bytes(data[: len(data) // 2])
    (root / "val/0/zeros.jpg").write_bytes(with_zeros(noise(300, ".jpg")))
    (root / "val/0/large.png").write_bytes(noise(300, ".png"))
    return root


def damage_in(index: DatasetIndex, cache: Path | None = None, limit: float = LIMIT) -> list[Damage]:
    return examine(index, cache, limit).damaged


def reasons(found: list[Damage], root: Path) -> dict[str, str]:
    return {damage.path.relative_to(root).as_posix(): damage.reason for damage in found}


def test_sound_photographs_have_no_damage(idrid_small):
    found = examine(scan_dataset(idrid_small, ("0", "1", "2", "3", "4")), None, LIMIT)
    assert (found.damaged, found.odd) == ([], [])


def test_all_damaged_files_of_all_splits_are_found_at_once(harmed):
    found = damage_in(scan_dataset(harmed, GRADES), limit=0.08)
    reported = reasons(found, harmed)
    cut = {"test/1/cut0.jpg", "test/1/cut1.png"}
    assert set(reported) == {*HARMS, *cut, "val/0/zeros.jpg", "val/0/large.png"}
    for name, (_, reason) in HARMS.items():
        assert reason in reported[name]
    assert all("truncated" in reported[name] for name in cut)
    # 300 x 300 pixels: above this limit, nothing but the size is judged.
    assert all("0.1 megapixels" in reported[f"val/0/{name}"] for name in ("zeros.jpg", "large.png"))


def test_damage_inside_a_file_is_told_from_damage_that_no_decoder_survives(harmed):
    found = damage_in(scan_dataset(harmed, GRADES))
    inside = [damage.path.name for damage in found if damage.decodes]
    assert inside == ["zeros.jpg"]
    assert "damaged inside" in reasons(found, harmed)["val/0/zeros.jpg"]
    assert len(found) == 5


def test_what_is_odd_is_told_apart_from_damage(root):
    data = noise(300, ".jpg")
    (root / "train/0/stray.jpg").write_bytes(data[:-2] + bytes(30) + data[-2:])
    found = examine(scan_dataset(root, GRADES), None, LIMIT)
    assert found.damaged == []
    assert [damage.path.name for damage in found.odd] == ["stray.jpg"]
    assert "stray bytes" in found.odd[0].reason


def test_each_content_is_judged_once(harmed, tmp_path, monkeypatch):
    cache = tmp_path / "cache" / "descriptors.sqlite"
    index = scan_dataset(harmed, GRADES)
    first = damage_in(index, cache)
    assert len(first) == 5

    def refuse(*_args: object) -> None:
        pytest.fail("judged again")

    monkeypatch.setattr(judged_files, "judge", refuse)
    assert damage_in(index, cache) == first
    # The limit needs no second look either.
    small = damage_in(index, cache, limit=0.08)
    assert "val/0/large.png" in reasons(small, harmed)


def test_a_replaced_file_is_judged_anew(root, tmp_path):
    cache = tmp_path / "descriptors.sqlite"
    path = root / "train/0/new.jpg"
    path.write_bytes(noise(300, ".jpg"))
    index = scan_dataset(root, GRADES)
    assert damage_in(index, cache) == []
    path.write_bytes(with_zeros(path.read_bytes()))
    assert reasons(damage_in(index, cache), root).keys() == {"train/0/new.jpg"}
    path.write_bytes(noise(300, ".jpg"))
    assert damage_in(index, cache) == []


def test_without_keeping_nothing_is_written(harmed, tmp_path):
    cache = tmp_path / "none" / "descriptors.sqlite"
    assert len(examine(scan_dataset(harmed, GRADES), cache, LIMIT, keep=False).damaged) == 5
    assert not cache.parent.exists()


@pytest.mark.parametrize("start", [decoders.crashing_decoders, decoders.greedy_decoders])
def test_a_file_that_ends_the_decoder_is_damaged(root, tmp_path, in_processes, start):
    bad = decoders.mark(root / "train/1/train-1-1.jpeg")
    in_processes(start)
    (damage,) = damage_in(scan_dataset(root, GRADES), tmp_path / "descriptors.sqlite")
    reason = {
        decoders.crashing_decoders: "crashes the decoder",
        decoders.greedy_decoders: "needs more memory to be decoded than may be taken",
    }
    assert damage == Damage(bad, reason[start])


def test_what_is_known_starts_no_process(root, harmed, tmp_path, in_processes, monkeypatch):
    cache = tmp_path / "descriptors.sqlite"
    (root / "test/0/test-0-0.jpeg").touch()
    first = damage_in(scan_dataset(root, GRADES), cache)
    monkeypatch.setattr(pool, "Processes", decoders.no_start)
    assert damage_in(scan_dataset(root, GRADES), cache) == first
    copy = root / "test/0/copy.jpeg"  # the same content
    copy.write_bytes((root / "test/0/test-0-0.jpeg").read_bytes())
    assert damage_in(scan_dataset(root, GRADES), cache) == first


def test_a_file_that_vanished_is_damaged(root):
    index = scan_dataset(root, GRADES)
    (root / "val/0/val-0-1.jpeg").unlink()
    assert reasons(damage_in(index), root) == {
        "val/0/val-0-1.jpeg": "can't be read: No such file or directory"
    }


def test_going_on_without_them_leaves_the_sound_ones_alone(harmed, draw_dataset, tmp_path):
    index = scan_dataset(harmed, GRADES)
    clean = without(index, damage_in(index, limit=0.08))
    sound = scan_dataset(draw_dataset(tmp_path / "sound", grades=2), GRADES)
    assert clean.counts == sound.counts
    for name, split in clean.splits.items():
        assert split.sample_ids == sound.splits[name].sample_ids
        assert split.targets.tolist() == sound.splits[name].targets.tolist()
    assert clean.content_hash() == sound.content_hash()
    assert damage_in(clean) == []


@pytest.mark.parametrize(("split", "grade"), [("train", "1"), ("val", "0")])
def test_a_grade_of_which_nothing_is_left_is_an_error(root, split, grade):
    for path in (root / split / grade).iterdir():
        path.write_bytes(b"")
    index = scan_dataset(root, GRADES)
    damaged = damage_in(index)
    with pytest.raises(UserError, match=f"All images in {split}/{grade} are damaged"):
        without(index, damaged)
    assert remaining(index, damaged).counts[split][grade] == 0


def test_test_may_lose_a_grade_but_not_everything(root):
    for path in (root / "test/0").iterdir():
        path.write_bytes(b"")
    index = scan_dataset(root, GRADES)
    assert without(index, damage_in(index)).counts["test"] == {"0": 0, "1": 3}
    for path in (root / "test/1").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"test/0, test/1 are damaged"):
        without(index, damage_in(index))


def test_the_description_names_each_file_and_counts_the_rest():
    found = [Damage(Path(f"{number}.jpg"), "is empty") for number in range(43)]
    lines = describe(found).splitlines()
    assert lines[0] == "  0.jpg: is empty"
    assert lines[39] == "  39.jpg: is empty"
    assert lines[40:] == ["  ... and 3 more"]
    assert "more" not in describe(found[:40])


def test_a_grade_that_was_absent_before_is_not_damaged(root):
    index = scan_dataset(root, GRADES)
    whole = index.splits["val"]
    without_one = whole.take(np.flatnonzero(whole.targets == 0))
    index = replace(index, splits={**index.splits, "val": without_one})
    damaged = [Damage(without_one.paths[0], "cut")]
    assert without(index, damaged).counts["val"] == {"0": 2, "1": 0}
    everything = [Damage(path, "cut") for path in without_one.paths]
    with pytest.raises(UserError, match="All images in val/0 are damaged"):
        without(index, everything)


def test_splits_that_are_used_as_one_keep_a_grade_together(root):
    index = scan_dataset(root, GRADES)
    cut = {
        name: [
            Damage(path, "cut")
            for path, grade in zip(split.paths, split.targets.tolist(), strict=True)
            if grade == 1
        ]
        for name, split in index.splits.items()
    }
    joined = (("train", "val"),)
    assert without(index, cut["val"], joined).counts["val"] == {"0": 3, "1": 0}
    with pytest.raises(UserError, match="All images in train/1 and val/1 are damaged"):
        without(index, [*cut["train"], *cut["val"]], joined)
    with pytest.raises(UserError, match="All images in val/1 are damaged"):
        without(index, cut["val"])
