import errno
import json
import time
from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dr_ovo.commands.synthetic import build_parser, main
from dr_ovo.errors import MachineError, UserError
from dr_ovo.synthetic import folder as synthetic_folder
from dr_ovo.synthetic.folder import draw_fundus, split_patients, write_dataset
from tests.fixtures.slow import slow

# Minimum and maximum number of each kind by grade, by hand from the wording of the ICDR scale.
EXPECTED = {
    0: {},
    1: {"microaneurysm": (1, 12)},
    2: {"microaneurysm": (1, 20), "haemorrhage": (1, 12), "hard_exudate": (1, 40)},
    3: {
        "microaneurysm": (1, 20),
        "haemorrhage": (20, 60),
        "hard_exudate": (0, 40),
        "cotton_wool_spot": (1, 8),
        "venous_beading": (2, 4),
        "irma": (1, 4),
    },
    4: {
        "microaneurysm": (1, 20),
        "haemorrhage": (1, 20),
        "hard_exudate": (0, 40),
        "cotton_wool_spot": (0, 8),
        "new_vessels": (1, 4),
        "preretinal_bleeding": (0, 2),
    },
}
SMALL = {"train": 6, "val": 5, "test": 5}


@pytest.fixture(scope="module")
def small_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "set"
    return folder, write_dataset(folder, SMALL, size=64, seed=5)


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_same_seeds_draw_the_same_picture_and_others_do_not():
    picture, lesions = draw_fundus(3, "right", 128, 7, 1)
    again, lesions_again = draw_fundus(3, "right", 128, 7, 1)
    assert picture.shape == (128, 128, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, again)
    assert lesions == lesions_again
    assert not np.array_equal(picture, draw_fundus(3, "right", 128, 8, 1)[0])
    assert lesions != draw_fundus(3, "right", 128, 8, 1)[1]


def test_left_eye_mirrors_the_right_one():
    right, right_lesions = draw_fundus(4, "right", 128, 7, 1)
    left, left_lesions = draw_fundus(4, "left", 128, 7, 1)
    np.testing.assert_array_equal(left, right[:, ::-1])
    for a, b in zip(left_lesions, right_lesions, strict=True):
        assert a["x"] == pytest.approx(127 - b["x"], abs=0.11)  # both are rounded to 0.1
        assert (a["y"], a["radius"], a["kind"]) == (b["y"], b["radius"], b["kind"])


@pytest.mark.parametrize("patient", range(6))
def test_optic_disc_lies_on_the_nasal_side(patient):
    for eye, sign in (("right", 1), ("left", -1)):
        picture, _ = draw_fundus(0, eye, 160, 100 + patient, patient)
        light = cv2.GaussianBlur(picture[..., 1].astype(np.float32), (0, 0), 6)
        light -= cv2.GaussianBlur(light, (0, 0), 24)  # the vignette is slower than the disc
        column = np.unravel_index(light[40:120, 20:140].argmax(), (80, 120))[1] + 20
        assert sign * (column - 79.5) > 20


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 4), st.integers(0, 10**6), st.integers(0, 10**6))
def test_lesions_follow_the_grade_and_lie_on_the_retina(grade, seed, patient):
    healthy, _ = draw_fundus(0, "right", 96, seed, patient)
    _, lesions = draw_fundus(grade, "right", 96, seed, patient)
    found = Counter(lesion["kind"] for lesion in lesions)
    assert set(found) <= set(EXPECTED[grade])
    for kind, (minimum, maximum) in EXPECTED[grade].items():
        assert minimum <= found[kind] <= maximum
    # The field of view: outside it the sensor reads next to nothing, even after smoothing.
    field = cv2.GaussianBlur(healthy[..., 0], (0, 0), 1.5) > 10
    for lesion in lesions:
        assert lesion["radius"] > 0
        assert field[round(lesion["y"]), round(lesion["x"])]
        reach = np.hypot(lesion["x"] - 47.5, lesion["y"] - 47.5) + lesion["radius"]
        assert reach < 0.5 * 96


def test_severe_grade_bleeds_in_all_four_quadrants():
    for seed in range(5):
        _, lesions = draw_fundus(3, "left", 96, seed, seed)
        bleedings = [lesion for lesion in lesions if lesion["kind"] == "haemorrhage"]
        quadrants = Counter((b["x"] > 47.5, b["y"] > 47.5) for b in bleedings)
        assert len(quadrants) == 4
        assert min(quadrants.values()) >= 4


@pytest.mark.parametrize("grade", [4, *slow(1, 2, 3)])
def test_only_lesions_tell_the_grade(grade):
    """Two grades are identical away from the lesions and differ there."""
    for seed in range(3):
        healthy, _ = draw_fundus(0, "right", 320, seed, 40 + seed)
        ill, lesions = draw_fundus(grade, "right", 320, seed, 40 + seed)
        near = np.zeros((320, 320), np.uint8)
        for lesion in lesions:
            x, y = round(lesion["x"]), round(lesion["y"])
            blurred_edge = (
                14 if lesion["kind"] in ("cotton_wool_spot", "preretinal_bleeding") else 7
            )
            cv2.circle(near, (x, y), int(lesion["radius"]) + blurred_edge, 1, -1)
            reach = int(lesion["radius"]) + 1
            box = np.s_[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
            assert np.abs(ill[box].astype(int) - healthy[box]).max() >= 8
        assert near.mean() < 0.7
        np.testing.assert_array_equal(ill[near == 0], healthy[near == 0])


def test_a_patients_eyes_are_alike_and_patients_differ():
    def colour(patient, own):
        inner = draw_fundus(0, "right", 96, own, patient)[0][30:66, 20:60].mean(axis=(0, 1))
        return inner / inner.sum()  # hue; the exposure is each photograph's own

    hues = np.array(
        [[colour(patient, 2 * patient + eye) for eye in (0, 1)] for patient in range(8)]
    )
    between_eyes = np.abs(hues[:, 0] - hues[:, 1]).mean()
    between_patients = np.abs(hues[:, 0] - np.roll(hues[:, 0], 1, axis=0)).mean()
    assert between_eyes < 0.7 * between_patients


@pytest.mark.parametrize("size", [64, *slow(1024)])
def test_smallest_and_largest_size(size):
    picture, lesions = draw_fundus(4, "left", size, 3, 3)
    assert picture.shape == (size, size, 3)
    assert lesions
    corner = picture[: size // 10, : size // 10]
    assert corner.max() < 30 < picture.mean()


def test_a_picture_is_drawn_quickly():
    draw_fundus(3, "left", 320, 0, 0)
    start = time.process_time()
    for seed in range(5):
        draw_fundus(3, "left", 320, seed, seed)
    assert (time.process_time() - start) / 5 < 0.5  # about 0.04 s; the rest is for slow machines


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((5, "left", 128, 0, 0), "grade 5"),
        ((0, "middle", 128, 0, 0), "eye 'middle'"),
        ((0, "left", 63, 0, 0), "size 63"),
        ((0, "left", 1025, 0, 0), "size 1025"),
        ((0, "left", 128, -1, 0), "seed -1"),
        ((0, "left", 128, 0, -2), "seed -2"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, named):
    with pytest.raises(UserError, match=named):
        draw_fundus(*arguments)


def test_dataset_files_are_those_of_its_summary(small_set):
    folder, summary = small_set
    assert json.loads((folder / "synthetic.json").read_text()) == summary
    assert summary["synthetic"] is True
    assert summary["note"].startswith("SYNTHETIC")
    assert (summary["schema"], summary["seed"], summary["size"]) == (1, 5, 64)
    drawn = {p.as_posix() for p in files(folder)} - {"synthetic.json"}
    assert drawn == set(summary["images"])
    assert len(drawn) == 2 * sum(SMALL.values())
    for name, image in summary["images"].items():
        assert name.split("/")[1:] == [
            str(image["grade"]),
            f"{image['patient']}_{image['eye']}.jpeg",
        ]
        assert cv2.imread(str(folder / name)).shape == (64, 64, 3)
        assert bool(image["lesions"]) == (image["grade"] > 0)


def test_every_split_has_every_grade_and_its_own_patients():
    plan = synthetic_folder._plan({"train": 50, "val": 5, "test": 20}, seed=42)
    count = Counter((name.split("/")[0], image["grade"]) for name, image in plan.items())
    assert all(count[split, grade] >= 2 for split in ("train", "val", "test") for grade in range(5))
    train = np.array([count["train", grade] for grade in range(5)]) / 100
    np.testing.assert_allclose(train, [0.30, 0.15, 0.25, 0.15, 0.15], atol=0.06)
    eyes = {}
    for name, image in plan.items():
        eyes.setdefault(image["patient"], []).append((name.split("/")[0], image["grade"]))
    assert len(eyes) == 75
    differing = 0
    for (split_a, grade_a), (split_b, grade_b) in eyes.values():
        assert split_a == split_b
        assert abs(grade_a - grade_b) <= 1
        differing += grade_a != grade_b
    assert 1 <= differing <= 20


@pytest.mark.slow
def test_same_seed_same_bytes_and_another_seed_others(small_set, tmp_path):
    folder, _ = small_set
    write_dataset(tmp_path / "again", SMALL, size=64, seed=5)
    write_dataset(tmp_path / "other", SMALL, size=64, seed=6)
    assert files(tmp_path / "again") == files(folder)
    assert not set(files(tmp_path / "other").values()) & set(files(folder).values())


def test_second_call_changes_nothing(small_set):
    folder, summary = small_set
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert write_dataset(folder, SMALL, size=64, seed=5) == summary
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_a_stopped_call_is_finished_by_the_next(small_set, tmp_path, monkeypatch):
    folder, _ = small_set
    written = []

    def stopped(path, picture):
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)

    with monkeypatch.context() as patch:
        patch.setattr(synthetic_folder, "_write_jpeg", stopped)
        with pytest.raises(MachineError, match="No space left"):
            write_dataset(tmp_path / "set", SMALL, size=64, seed=5)
    assert not (tmp_path / "set" / "synthetic.json").exists()
    write_dataset(tmp_path / "set", SMALL, size=64, seed=5)
    assert files(tmp_path / "set") == files(folder)


def test_a_folder_with_something_else_is_left_alone(small_set, tmp_path):
    folder, _ = small_set
    for arguments in (
        {"patients": SMALL, "size": 64, "seed": 6},
        {"patients": SMALL, "size": 65, "seed": 5},
        {"patients": {**SMALL, "val": 6}, "size": 64, "seed": 5},
    ):
        with pytest.raises(UserError, match="contains something other"):
            write_dataset(folder, **arguments)
    (tmp_path / "mine.txt").write_text("notes")
    with pytest.raises(UserError, match=r"mine\.txt"):
        write_dataset(tmp_path, SMALL, size=64)
    with pytest.raises(UserError, match="can't be used as a folder"):
        write_dataset(tmp_path / "mine.txt", SMALL, size=64)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("patients", "size", "named"),
    [
        ({"train": 10, "val": 4}, 64, "4 patients for val"),
        ({"training": 10}, 64, "split 'training'"),
        ({}, 64, "0 patients"),
        ({"train": 100_000}, 64, "100000 patients"),
        (SMALL, 32, "size 32"),
    ],
)
def test_wrong_settings_begin_nothing(patients, size, named, tmp_path):
    with pytest.raises(UserError, match=named):
        write_dataset(tmp_path / "set", patients, size=size)
    assert not (tmp_path / "set").exists()


def test_patients_are_dealt_to_three_splits():
    assert split_patients(85) == {"train": 50, "val": 15, "test": 20}
    assert split_patients(15) == {"train": 5, "val": 5, "test": 5}
    with pytest.raises(UserError, match="14 patients"):
        split_patients(14)


def test_command_prints_counts_and_says_synthetic(tmp_path, capsys):
    defaults = build_parser("synthetic").parse_args(["--output", "x"])
    assert (defaults.size, defaults.seed, defaults.patients) == (320, 42, 85)
    options = ["--output", str(tmp_path / "set"), "--size", "64", "--patients", "15"]
    assert main(options, "synthetic") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("30 photographs of 15 patients.")
    for line in lines[2:5]:
        assert sum(map(int, line.split()[1:-1])) == int(line.split()[-1]) == 10
    assert "SYNTHETIC" in lines[-1]
