"""A dataset folder from photographs and a CSV: patients stay together, order does not matter."""

import random
from collections import defaultdict
from pathlib import Path

import pytest

from dr_ovo.data.splits import Labelled, read_labels, split_patients, write_tree
from dr_ovo.errors import UserError


def photographs(patients: int = 200) -> list[Labelled]:
    return [
        Labelled(Path(f"{patient}_{eye}.jpeg"), patient % 5, str(patient))
        for patient in range(patients)
        for eye in ("left", "right")
    ]


def test_shares_by_grade_and_no_patient_twice() -> None:
    split = split_patients(photographs(), 0.1, 0.2, seed=42)
    by_grade = defaultdict(list)
    for patient, name in split.items():
        by_grade[int(patient) % 5].append(name)
    for names in by_grade.values():
        assert (names.count("train"), names.count("val"), names.count("test")) == (28, 4, 8)


def test_order_does_not_matter_but_the_seed_does() -> None:
    shuffled = photographs()
    random.Random(0).shuffle(shuffled)
    assert split_patients(shuffled, 0.1, 0.2, 42) == split_patients(photographs(), 0.1, 0.2, 42)
    assert split_patients(photographs(), 0.1, 0.2, 1) != split_patients(photographs(), 0.1, 0.2, 42)


def test_the_worse_eye_decides_the_stratum() -> None:
    both = [Labelled(Path("1_left.png"), 0, "1"), Labelled(Path("1_right.png"), 4, "1")]
    others = [Labelled(Path(f"{i}.png"), 4, str(i)) for i in range(2, 11)]
    split = split_patients(both + others, 0.1, 0.2, 42)
    assert sorted(split.values()).count("test") == 2  # 0.2 of ten patients of grade 4


@pytest.mark.parametrize(("val", "test"), [(0, 0.2), (0.1, 0), (0.5, 0.5), (-0.1, 0.2)])
def test_shares_that_leave_nothing(val: float, test: float) -> None:
    with pytest.raises(UserError, match="above 0"):
        split_patients(photographs(), val, test, 42)


def raw(tmp_path: Path, header: str, rows: list[str], files: list[str]) -> tuple[Path, Path]:
    images = tmp_path / "images"
    for name in files:
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(name.encode())
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join([header, *rows]), encoding="utf-8")
    return images, labels


@pytest.mark.parametrize(
    ("header", "rows", "files", "expected"),
    [
        ("image,level", ["10_left,0", "10_right,4"], ["a/10_left.jpeg", "b/10_right.jpeg"], "10"),
        ("id_code,diagnosis", ["000c,2"], ["000c.png"], "000c"),
        (
            "Image name,Retinopathy grade,extra",
            ["IDRiD_001.jpg,3,x"],
            ["IDRiD_001.JPG"],
            "IDRiD_001",
        ),
    ],
)
def test_usual_columns(
    tmp_path: Path, header: str, rows: list[str], files: list[str], expected: str
) -> None:
    found = read_labels(*raw(tmp_path, header, rows, files))
    assert [one.grade for one in found] == [int(row.split(",")[1]) for row in rows]
    assert {one.patient for one in found} == {expected}


@pytest.mark.parametrize(
    ("header", "rows", "files", "said"),
    [
        ("picture,level", ["a,0"], ["a.png"], "no column of images"),
        ("image,size", ["a,0"], ["a.png"], "no column of grades"),
        ("image,level", ["a,5"], ["a.png"], "line 2: '5'"),
        ("image,level", ["a,mild"], ["a.png"], "line 2: 'mild'"),
        ("image,level", ["a,1.5"], ["a.png"], "line 2: '1.5'"),
        ("image,level", ["a,0", "b,1"], ["a.png"], "1 images that are not in"),
        ("image,level", ["a,0"], ["a.png", "sub/a.jpg"], "have one name"),
        ("image,level", [], ["a.png"], "no rows"),
    ],
)
def test_user_mistakes(
    tmp_path: Path, header: str, rows: list[str], files: list[str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        read_labels(*raw(tmp_path, header, rows, files))


def test_tree_is_linked_and_never_mixed(tmp_path: Path) -> None:
    names = [f"{number}_{eye}.jpeg" for number in range(30) for eye in ("left", "right")]
    rows = [f"{name[:-5]},{int(name.split('_')[0]) % 5}" for name in names]
    found = read_labels(*raw(tmp_path, "image,level", rows, names))
    output = tmp_path / "set"
    counts = write_tree(found, split_patients(found, 0.2, 0.2, 42), output)
    assert sum(sum(grades.values()) for grades in counts.values()) == 60
    places = defaultdict(set)
    for path in output.rglob("*.jpeg"):
        places[path.stem.split("_")[0]].add(path.parent.parent.name)
        assert path.stat().st_nlink == 2
        assert path.parent.name == str(int(path.stem.split("_")[0]) % 5)
    assert all(len(splits) == 1 for splits in places.values())
    with pytest.raises(UserError, match="not an empty folder"):
        write_tree(found, split_patients(found, 0.2, 0.2, 42), output)
