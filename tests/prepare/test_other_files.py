"""Files among the photographs of a source that are not read, damaged, or too large."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from dr_ovo.commands.prepare import main
from dr_ovo.errors import UserError

EYES = 20


def picture(number: int) -> np.ndarray:
    """A drawn disc with its own texture, large enough to damage."""
    rng = np.random.default_rng(number)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (150, 150, 3), np.uint8), (0, 0), 3)
    mask = np.zeros((150, 150, 1), np.uint8)
    cv2.circle(mask, (75, 75), 70, 1, -1)
    return texture * mask


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Photographs, a list of labels beside them, and files of other formats among them."""
    folder = tmp_path / "raw"
    (folder / "more").mkdir(parents=True)
    suffixes = (".jpg", ".webp", ".bmp", ".jfif")
    names = [f"p{number}{suffixes[number % 4]}" for number in range(EYES)]
    for number, name in enumerate(names):
        kind = ".jpg" if name.endswith(".jfif") else Path(name).suffix
        (folder / name).write_bytes(cv2.imencode(kind, picture(number))[1].tobytes())
    rows = "\n".join(f"{name},{number % 5}" for number, name in enumerate(names))
    (folder / "labels.csv").write_text(f"image,level\n{rows}\n")
    for name in ("x.heic", "more/y.dcm", "more/z.dcm", "Thumbs.db", "._p0.jpg", "README"):
        (folder / name).write_bytes(b"something")
    return folder


def prepared(raw: Path, capsys, *words: object) -> str:
    flags = ("--images", raw, "--labels", raw / "labels.csv", "--output", raw.parent / "set")
    assert main([str(word) for word in (*flags, *words)], "prepare") == 0
    return capsys.readouterr().out


def test_other_formats_are_counted_in_the_last_lines(raw, capsys):
    said = prepared(raw, capsys)
    *_, counted, _, _ = said.strip().split("\n")
    last = " ".join(said.split()).rpartition("4 other files were not read:")[2]
    assert last.startswith(" 2 .dcm, 1 .heic, 1 without suffix. Photographs are read from .bmp")
    assert "labels.csv" not in last
    assert "csv" not in counted
    assert len(list((raw.parent / "set").glob("*/*/p*"))) == EYES


def test_a_row_that_names_another_format_says_so(raw):
    with (raw / "labels.csv").open("a") as file:
        file.write("x.heic,1\ny,2\nabsent,3\n")
    with pytest.raises(UserError) as error:
        main(
            ["--images", str(raw), "--labels", str(raw / "labels.csv"), "--output", "set"],
            "prepare",
        )
    said = str(error.value)
    assert "names 3 images that are not in" in said
    assert "2 of them are there, but in a format that is not read (x.heic: there is x.heic)" in said
    assert "--skip_missing" in said


def test_damaged_and_oversized_photographs_are_dropped_by_name(raw, capsys):
    data = bytearray((raw / "p0.jpg").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 500] = bytes(500)
    (raw / "p0.jpg").write_bytes(data)
    large = np.zeros((300, 300, 3), np.uint8)
    cv2.circle(large, (150, 150), 140, (40, 90, 180), -1)
    (raw / "p2.bmp").write_bytes(cv2.imencode(".bmp", large)[1].tobytes())
    said = " ".join(prepared(raw, capsys, "--max_megapixels", 0.05).split())
    assert "2 can't be read as photographs" in said
    assert "p0.jpg is damaged inside" in said
    assert "p2.bmp has 0.1 megapixels: more than the 0.05" in said


def test_one_that_is_dropped_is_one_photograph(raw, capsys):
    (raw / "p0.jpg").write_bytes(b"no picture")
    said = " ".join(prepared(raw, capsys).split())
    assert "1 can't be read as a photograph " in said


def test_shrinking_leaves_out_the_same_files(tmp_path, capsys):
    tree = tmp_path / "tree"
    for grade in range(2):
        folder = tree / "train" / str(grade)
        folder.mkdir(parents=True)
        for number in range(2):
            name = folder / f"{grade}{number}.png"
            name.write_bytes(cv2.imencode(".png", picture(number))[1].tobytes())
    (tree / "train" / "0" / "large.png").write_bytes(
        cv2.imencode(".png", np.full((300, 300, 3), 99, np.uint8))[1].tobytes()
    )
    (tree / "train" / "0" / "a.gif").write_bytes(b"GIF89a")
    words = (
        f"--from_tree {tree} --preprocess 64 --max_megapixels 0.05 --output {tmp_path / 'small'}"
    )
    assert main(words.split(), "prepare") == 0
    said = capsys.readouterr().out
    assert "4 photographs written" in said
    assert "large.png: has 0.1 megapixels" in said
    assert "1 other file was not read: 1 .gif." in said
