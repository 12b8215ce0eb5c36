"""Labels end to end: other classes than ICDR's from every source, what is printed and kept."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dr_ovo.dataset.index import scan_dataset
from dr_ovo.errors import UserError
from dr_ovo.prepare.command_line import parse_options
from dr_ovo.prepare.pipeline import prepare
from dr_ovo.synthetic.folder import write_dataset

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("No_DR", "DR")


def run(*words: object) -> None:
    assert prepare(parse_options([str(word) for word in words])) == 0


def manifest_of(output: Path) -> dict:
    return json.loads((output / "manifest.json").read_text())


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> dict[Path, int]:
    """Drawn photographs of 20 patients, with their grades."""
    folder = tmp_path_factory.mktemp("drawn") / "set"
    write_dataset(folder, {"train": 20}, size=112, seed=7)
    return {path: int(path.parent.name) for path in sorted(folder.rglob("*.jpeg"))}


@pytest.fixture
def flat(pictures, tmp_path) -> tuple[Path, dict[str, int]]:
    """The photographs in one folder, and their grades by name."""
    (tmp_path / "flat").mkdir()
    for path in pictures:
        shutil.copy(path, tmp_path / "flat")
    return tmp_path / "flat", {path.stem: grade for path, grade in pictures.items()}


def write(path: Path, header: str, rows: dict[str, object]) -> Path:
    path.write_text("\n".join([header, *(f"{name},{label}" for name, label in rows.items())]))
    return path


def check_two_classes(output: Path, said: str, expected: dict[str, int]) -> None:
    """The folder holds two classes, training finds them with the flags that were printed."""
    index = scan_dataset(output, NAMES)
    counts = {name: sum(split[name] for split in index.counts.values()) for name in NAMES}
    assert counts == expected
    assert f"--dataset_path {output} --num_classes 2 --class_names No_DR DR --dry_run" in said
    assert manifest_of(output)["class_names"] == list(NAMES)


def test_two_classes_from_a_label_file(flat, tmp_path, capsys):
    images, grades = flat
    labels = write(tmp_path / "l.csv", "ID,DR", {n: int(g > 0) for n, g in grades.items()})
    words = ("--images", images, "--labels", labels, "--output", tmp_path / "set")
    with pytest.raises(UserError, match="DR has only 0 and 1"):
        run(*words, "--dry_run")
    run(*words, "--class_names", *NAMES)
    sick = sum(grade > 0 for grade in grades.values())
    expected = {"No_DR": len(grades) - sick, "DR": sick}
    check_two_classes(tmp_path / "set", capsys.readouterr().out, expected)
    assert manifest_of(tmp_path / "set")["columns"] == {"image": "ID", "grade": "DR"}


def test_a_named_column_of_yes_and_no_and_the_flags_of_training(flat, tmp_path, capsys):
    images, grades = flat
    labels = write(tmp_path / "l.csv", "ID,DR", {n: int(g > 0) for n, g in grades.items()})
    words = ("--images", images, "--labels", labels, "--output", tmp_path / "set")
    run(*words, "--grade_column", "DR")
    said = capsys.readouterr().out
    assert f"--dataset_path {tmp_path / 'set'} --num_classes 2 --dry_run" in said
    assert len(scan_dataset(tmp_path / "set", ("0", "1")).splits) == 3


def test_grades_joined_to_a_class(flat, tmp_path, capsys):
    images, grades = flat
    labels = write(tmp_path / "l.csv", "image,level", grades)
    words = ("--images", images, "--labels", labels, "--output", tmp_path / "set")
    run(*words, "--grade_map", "1,2,3=NPDR", "4=PDR")
    said = " ".join(capsys.readouterr().out.split())
    assert "--num_classes 3 --class_names 0 NPDR PDR" in said
    counts = scan_dataset(tmp_path / "set", ("0", "NPDR", "PDR")).counts.values()
    npdr = sum(grade in (1, 2, 3) for grade in grades.values())
    assert sum(split["NPDR"] for split in counts) == npdr


@pytest.mark.slow
def test_two_classes_from_folders(pictures, tmp_path, capsys):
    for path, grade in pictures.items():
        folder = tmp_path / "tree" / NAMES[grade > 0]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    words = ("--from_tree", tmp_path / "tree", "--output", tmp_path / "set")
    with pytest.raises(UserError, match=r"DR is neither a split nor a grade.*--class_names"):
        run(*words)
    run(*words, "--class_names", *NAMES)
    sick = sum(grade > 0 for grade in pictures.values())
    expected = {"No_DR": len(pictures) - sick, "DR": sick}
    check_two_classes(tmp_path / "set", capsys.readouterr().out, expected)
    run(*words, "--class_names", *NAMES)
    assert "already complete" in capsys.readouterr().out
    with pytest.raises(UserError, match="a different state of the source"):
        run(*words, "--class_names", "healthy", "DR", "--grade_map", "No_DR=healthy")
    again = ("--from_tree", tmp_path / "set", "--output", tmp_path / "small")
    run(*again, "--preprocess", 64)
    assert (
        scan_dataset(tmp_path / "small", NAMES).counts
        == scan_dataset(tmp_path / "set", NAMES).counts
    )


def npz(path: Path, labels: list[int]) -> Path:
    rng = np.random.default_rng(3)
    arrays = {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = rng.integers(0, 256, (len(labels), 28, 28, 3), np.uint8)
        arrays[f"{split}_labels"] = np.array(labels, np.uint8)[:, None]
    np.savez(path, **arrays)
    return path


def test_two_classes_from_a_medmnist_file(tmp_path, capsys):
    file = npz(tmp_path / "two.npz", [0, 1, 1, 0, 1])
    words = ("--images", file, "--output", tmp_path / "set")
    with pytest.raises(UserError, match=r"only 0 and 1.*--class_names No_DR DR"):
        run(*words)
    run(*words, "--class_names", *NAMES)
    check_two_classes(tmp_path / "set", capsys.readouterr().out, {"No_DR": 6, "DR": 9})


def test_a_medmnist_file_of_other_classes(tmp_path, capsys):
    file = npz(tmp_path / "seven.npz", [0, 6, 2, 3, 4, 5, 1])
    words = ("--images", file, "--output", tmp_path / "set")
    with pytest.raises(UserError, match="not one grade from 0 to 4"):
        run(*words)
    run(*words, "--class_names", *"abcdefg")
    assert "--num_classes 7 --class_names a b c d e f g" in capsys.readouterr().out


def test_a_dry_run_says_columns_drops_and_remarks(flat, tmp_path, capsys):
    images, grades = flat
    names = [name for name, grade in grades.items() if grade < 4]
    rows: dict[str, object] = {name: grades[name] for name in names} | {names[0]: "nan"}
    rows |= {names[1]: 5, "gone_1": 2}
    labels = write(tmp_path / "l.csv", "image,level", rows)
    words = ("--images", images, "--labels", labels, "--output", tmp_path / "set")
    with pytest.raises(UserError, match="--skip_missing"):
        run(*words, "--dry_run")
    with pytest.raises(UserError, match="--skip_ungraded"):
        run(*words, "--dry_run", "--skip_missing")
    assert not (tmp_path / "set").exists()
    skips = ("--skip_missing", "--skip_ungraded")
    run(*words, *skips, "--dry_run")
    dry = " ".join(capsys.readouterr().out.split())
    run(*words, *skips)
    said = " ".join(capsys.readouterr().out.split())
    for text in (dry, said):
        assert "Columns used: image from image; grade from level." in text
        assert "2 have no grade" in text
        assert "has 'nan' as grade in l.csv" in text
        assert "1 is named by the labels and is not there gone_1" in text
        assert "No photograph has grade 4. Is this ICDR's scale?" in text
    dropped = manifest_of(tmp_path / "set")["dropped"]
    assert {one["file"]: one["kind"] for one in dropped} == {
        "gone_1": "missing", f"{names[0]}.jpeg": "ungraded", f"{names[1]}.jpeg": "ungraded",
    }  # fmt: skip
    assert "--num_classes 4 --dry_run" in said


def test_many_rows_without_a_grade_are_counted_by_reason(flat, tmp_path, capsys):
    images, grades = flat
    rows: dict[str, object] = dict(grades)
    rows |= {name: "" if at % 3 else "nan" for at, name in enumerate([*grades][:12])}
    labels = write(tmp_path / "l.csv", "image,level", rows)
    run("--images", images, "--labels", labels, "--output", tmp_path / "set", "--dry_run")
    said = capsys.readouterr().out
    assert "8 x has no grade in l.csv" in said
    assert "4 x has 'nan' as grade in l.csv" in said


def test_patients_by_eyes_in_names_stay_together(pictures, tmp_path):
    (tmp_path / "flat").mkdir()
    rows: dict[str, object] = {}
    for path, grade in pictures.items():
        patient, eye = path.stem.rsplit("_", 1)
        name = f"{patient}_{'OS' if eye == 'left' else 'OD'}_f_1"
        shutil.copy(path, tmp_path / "flat" / f"{name}.jpeg")
        rows[name] = grade
    labels = write(tmp_path / "l.csv", "image,level", rows)
    run("--images", tmp_path / "flat", "--labels", labels, "--output", tmp_path / "set")
    places: dict[str, set[str]] = {}
    for entry in manifest_of(tmp_path / "set")["files"]:
        name = Path(entry["id"]).name
        assert entry["patient"] == name.split("_")[0]
        assert entry["eye"] == ("left" if "_OS_" in name else "right")
        places.setdefault(entry["patient"], set()).add(entry["split"])
    assert len(places) == 20
    assert all(len(splits) == 1 for splits in places.values())


MISTAKES = [
    ("--images raw --labels l.csv --output out --grade_map R0", "expected LABEL=GRADE"),
    ("--images raw --labels l.csv --output out --class_names one", "two or more"),
    ("--images raw --labels l.xlsx --output out", "save the sheet as CSV"),
    ("--images raw --labels l.zip --output out", "unpack it"),
    ("--images raw.zip --labels l.csv --output out", "unpack it"),
    ("--from_tree raw.zip --output out", "unpack it"),
    ("--from_tree raw --output out --skip_missing", "leave --skip_missing out"),
    ("--from_tree raw --output out --preprocess 64 --class_names a b", "leave --class_names out"),
    ("--images raw --labels l.csv --output out", "'R1' is not a grade"),
    ("--images raw --labels gone.csv --output out", "can't be read as CSV"),
    ("--images raw --labels raw --output out", "can't be read as CSV"),
]


@pytest.mark.parametrize(("words", "said"), MISTAKES)
def test_a_mistake_is_one_message(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("raw").mkdir()
    Path("raw/a.png").touch()
    Path("l.csv").write_text("image,level\na,R1")
    for name in ("l.xlsx", "l.zip", "raw.zip"):
        Path(name).touch()
    with pytest.raises(UserError, match=said):
        run(*words.split())
    assert not Path("out").exists()


def test_the_command_ends_with_exit_code_2_for_labels_it_does_not_know(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.png").touch()
    (tmp_path / "l.csv").write_text("image,level\na,R1")
    words = ["--images", "raw", "--labels", "l.csv", "--output", "out"]
    ended = subprocess.run(
        [sys.executable, str(ROOT / "prepare_dataset.py"), *words],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "--grade_map R0=0 R1=1 R2=3 R3=4" in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
