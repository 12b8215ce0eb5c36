"""Shrinking a dataset folder: the same tree with smaller pictures, and nothing done twice."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from dr_ovo.dataset.index import scan_dataset
from dr_ovo.errors import UserError
from dr_ovo.photographs.damage import Damage
from dr_ovo.photographs.image_decoding import decode_image, read_bytes
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.prepare.command_line import parse_options
from dr_ovo.prepare.pipeline import prepare
from dr_ovo.prepare.shrinking import shrink_tree
from tests.fixtures import decoders
from tests.fixtures.slow import slow

GRADES = ("0", "1", "2", "3", "4")


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
    straight = Preprocessing(64, clahe=False).apply(decode_image(tree / "train/4/b.PNG", 64))
    through = Preprocessing(64, clahe=False).apply(
        decode_image(tmp_path / "small/train/4/b.jpg", 64)
    )
    assert np.abs(straight.astype(int) - through).mean() < 4
    assert not (tmp_path / "small/manifest.json").exists()


def test_second_run_writes_nothing(tree: Path, tmp_path: Path) -> None:
    shrink_tree(tree, tmp_path / "small", 128)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "small").rglob("*.jpg")}
    assert shrink_tree(tree, tmp_path / "small", 128) == (0, 3, [])
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "small").rglob("*.jpg")}


def test_pictures_of_another_size_are_not_taken_for_finished(tree: Path, tmp_path: Path) -> None:
    shrink_tree(tree, tmp_path / "small", 128)
    with pytest.raises(UserError, match=r"was made with shrunk_to 128 \(now 64\): choose a new"):
        shrink_tree(tree, tmp_path / "small", 64)


def test_damaged_are_named_and_left_out(tree: Path, tmp_path: Path) -> None:
    (tree / "train/0/empty.jpg").touch()
    written, _, damaged = shrink_tree(tree, tmp_path / "small", 128)
    assert written == 3
    assert damaged == [Damage(tree / "train/0/empty.jpg", "is empty (zero bytes)")]


@pytest.mark.parametrize("start", [decoders.crashing_opencv, *slow(decoders.greedy_decoders)])
def test_one_that_ends_the_decoder_is_named_and_left_out(
    tree: Path, tmp_path: Path, in_processes, start
) -> None:
    bad = decoders.mark(tree / "train/0/a.jpeg")
    in_processes(start)
    written, _, damaged = shrink_tree(tree, tmp_path / "small", 128)
    assert (written, [damage.path for damage in damaged]) == (2, [bad])
    assert ("crashes" in damaged[0].reason) == (start is decoders.crashing_opencv)


@pytest.mark.slow
def test_the_manifest_is_carried_over(idrid_small: Path, tmp_path: Path) -> None:
    labels = str(idrid_small / "labels.csv")
    words = ["--images", str(idrid_small), "--labels", labels, "--group_column", "visit"]
    prepare(parse_options([*words, "--balance", "--output", str(tmp_path / "large")]))
    damaged = min((tmp_path / "large/train/2").iterdir())
    damaged.unlink()  # a link: the source keeps its file
    damaged.touch()
    for _ in range(2):  # the second time nothing changes
        assert len(shrink_tree(tmp_path / "large", tmp_path / "small", 100)[2]) == 1
        large, small = (
            json.loads((tmp_path / name / "manifest.json").read_text())
            for name in ("large", "small")
        )
        assert small["hash"] != large["hash"]
    assert small["preprocessing"]["size"] == 100
    assert small["counts"]["train"] == {"0": 12, "1": 10, "2": 11, "3": 12, "4": 12}
    assert [one["kind"] for one in small["dropped"]] == ["unreadable"]
    known = {Path(entry["id"]).with_suffix("").as_posix(): entry for entry in large["files"]}
    for entry in small["files"]:
        before = known[Path(entry["id"]).with_suffix("").as_posix()]
        for key in ("patient", "group", "grade", "split", "source"):
            assert entry[key] == before[key]
        assert entry["sha256"] != before["sha256"]
    train = scan_dataset(tmp_path / "small", GRADES).splits["train"]
    assert np.bincount(train.targets, train.weights) == pytest.approx(np.full(5, 57 / 5), rel=1e-4)


def test_another_set_is_not_mixed_in(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "train/0").mkdir(parents=True)
    (other / "train/0/z.jpg").write_bytes((tree / "train/0/a.jpeg").read_bytes())
    shrink_tree(other, tmp_path / "small", 128)
    with pytest.raises(UserError, match="a different state of the source: choose a new folder"):
        shrink_tree(tree, tmp_path / "small", 128)
    words = ["--from_tree", str(tree), "--output", str(other), "--preprocess", "64"]
    for more in ([], ["--dry_run"]):
        with pytest.raises(UserError, match="is not an empty folder: choose a new one"):
            prepare(parse_options([*words, *more]))
    assert [p.name for p in (tmp_path / "small").rglob("*.jpg")] == ["z.jpg"]


def test_what_was_begun_is_gone_on_with(tree: Path, tmp_path: Path, monkeypatch) -> None:
    read = []

    def stop_at_second(path: Path) -> bytes:
        read.append(path)
        if len(read) == 2:
            raise KeyboardInterrupt
        return read_bytes(path)

    monkeypatch.setattr("os.cpu_count", lambda: 1)
    with monkeypatch.context() as patch:
        patch.setattr("dr_ovo.prepare.file_writing.read_bytes", stop_at_second)
        with pytest.raises(KeyboardInterrupt):
            shrink_tree(tree, tmp_path / "small", 128)
    with pytest.raises(UserError, match="was started with shrunk_to 128"):
        shrink_tree(tree, tmp_path / "small", 64)
    written, existing, _ = shrink_tree(tree, tmp_path / "small", 128)
    assert written + existing == 3
    assert existing in (1, 2)  # a second may have been finished when the run stopped
    assert not list((tmp_path / "small").glob(".unfinished*"))


def test_it_says_that_leaks_were_not_looked_for(tree: Path, tmp_path: Path, capsys) -> None:
    (tree / "train/0/gone.jpg").symlink_to("nowhere.jpg")
    words = ["--from_tree", str(tree), "--output", str(tmp_path / "small"), "--preprocess", "64"]
    assert prepare(parse_options(words)) == 0
    said = capsys.readouterr().out
    assert f"Leaks were not checked. To check: python -m dr_ovo audit {tmp_path}/small" in said
    assert "Unreadable and left out: 1" in said
    assert "gone.jpg" in said


def test_a_dry_run_writes_nothing(tree: Path, tmp_path: Path, capsys) -> None:
    words = ["--from_tree", str(tree), "--output", str(tmp_path / "small"), "--preprocess", "64"]
    assert prepare(parse_options([*words, "--dry_run"])) == 0
    assert "3 photographs would be written" in capsys.readouterr().out
    assert not (tmp_path / "small").exists()


def test_user_mistakes(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        shrink_tree(tmp_path / "absent", tmp_path / "small", 128)
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="no images"):
        shrink_tree(tmp_path / "none", tmp_path / "small", 128)
    (tree / "train/0/a.jpg").write_bytes((tree / "train/0/a.jpeg").read_bytes())
    with pytest.raises(UserError, match="rename one"):
        shrink_tree(tree, tmp_path / "small", 128)
    for size in ("63", "5000"):
        with pytest.raises(UserError, match="64 to 4096"):
            parse_options(["--from_tree", str(tree), "--output", "x", "--preprocess", size])
    with pytest.raises(UserError, match="inside"):
        parse_options(["--from_tree", str(tree), "--output", str(tree / "x"), "--preprocess", "64"])
