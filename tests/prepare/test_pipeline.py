"""prepare_dataset.py end to end: from raw photographs, as published, to a dataset folder."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dr_ovo.dataset.index import scan_dataset
from dr_ovo.dataset.manifest import DESCRIPTORS
from dr_ovo.errors import UserError
from dr_ovo.photographs.image_decoding import decode_image, read_bytes
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.prepare.command_line import parse_options
from dr_ovo.prepare.pipeline import prepare
from dr_ovo.synthetic.folder import write_dataset
from tests.fixtures import decoders

ROOT = Path(__file__).resolve().parents[2]
GRADES = ("0", "1", "2", "3", "4")
EYES = 40


def run(*words: object) -> None:
    assert prepare(parse_options([str(word) for word in words])) == 0


def manifest_of(output: Path) -> dict:
    return json.loads((output / "manifest.json").read_text())


def grade_columns(text: str) -> list[list[str]]:
    """The rows of the table of splits by grade."""
    return [line.split() for line in text.splitlines() if line.startswith(("train", "val", "test"))]


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """Drawn and graded photographs of patients, both eyes of each."""
    folder = tmp_path_factory.mktemp("drawn") / "set"
    write_dataset(folder, {"train": EYES // 2}, size=112, seed=5)
    return folder


@pytest.fixture
def eyepacs(drawn, tmp_path) -> tuple[Path, Path]:
    """`train/<patient>_<eye>.jpeg` and trainLabels.csv."""
    (tmp_path / "train").mkdir()
    rows = ["image,level"]
    for path in sorted(drawn.rglob("*.jpeg")):
        shutil.copy(path, tmp_path / "train")
        rows.append(f"{path.stem},{path.parent.name}")
    (tmp_path / "trainLabels.csv").write_text("\n".join(rows))
    return tmp_path / "train", tmp_path / "trainLabels.csv"


def test_eyepacs(eyepacs, tmp_path, capsys):
    images, labels = eyepacs
    output = tmp_path / "set"
    run("--images", images, "--labels", labels, "--output", output)
    said = capsys.readouterr().out
    index = scan_dataset(output, GRADES)
    assert not index.synthetic
    assert [[int(n) for n in row[1:6]] for row in grade_columns(said)] == [
        list(index.counts[name].values()) for name in ("train", "val", "test")
    ]
    assert f"Next: ./train_coatnet.sh --dataset_path {output} --dry_run" in said
    places = defaultdict(set)
    levels = dict(csv.reader(labels.open()))
    for name, split in index.splits.items():
        for path, patient, eye in zip(split.paths, split.patient_ids, split.eyes, strict=True):
            assert path.name == f"{patient}_{eye}.jpeg"
            assert path.parent.name == levels[path.stem]
            assert path.samefile(images / path.name)  # linked, not copied
            places[patient].add(name)
    assert len(places) == EYES // 2
    assert all(len(names) == 1 for names in places.values())
    assert (output / DESCRIPTORS).is_file()
    assert not list(output.glob(".unfinished*"))


def test_aptos_with_preprocessing_and_balance(eyepacs, tmp_path, capsys):
    images, labels = eyepacs
    aptos, pictures = tmp_path / "train.csv", tmp_path / "train_images"
    pictures.mkdir()
    rows = ["id_code,diagnosis"]
    for number, (name, grade) in enumerate(list(csv.reader(labels.open()))[1:]):
        cv2.imwrite(str(pictures / f"{number:04x}.png"), cv2.imread(str(images / f"{name}.jpeg")))
        rows.append(f"{number:04x},{grade}")
    aptos.write_text("\n".join(rows))
    output = tmp_path / "set"
    words = ("--images", pictures, "--labels", aptos, "--output", output)
    run(*words, "--preprocess", 64, "--balance")
    assert "--sampler balanced --dry_run" in capsys.readouterr().out
    index, manifest = scan_dataset(output, GRADES), manifest_of(output)
    assert manifest["preprocessing"]["size"] == 64
    train = index.splits["train"]
    assert train.weights is not None
    shares = np.bincount(train.targets, train.weights)
    assert shares == pytest.approx(np.full(5, len(train) / 5), rel=1e-4)
    assert index.splits["val"].weights is None
    assert Counter(p.suffix for p in output.rglob("*.*") if p.parent.name in GRADES) == {
        ".jpg": EYES
    }
    small = cv2.imread(str(train.paths[0]))[..., ::-1]
    whole = Preprocessing(64, clahe=False).apply(
        decode_image(pictures / f"{train.paths[0].stem}.png", 64)
    )
    assert small.shape == (64, 64, 3)
    assert np.abs(small.astype(int) - whole).mean() < 6
    assert len({entry["sha256"] for entry in manifest["files"]}) == EYES


def test_idrid_keeps_its_official_splits(idrid_small, tmp_path, capsys):
    output = tmp_path / "set"
    words = ("--images", idrid_small, "--labels", idrid_small / "labels.csv", "--output", output)
    run(*words, "--group_column", "visit", "--split_column", "split")
    assert scan_dataset(output, GRADES).counts == scan_dataset(idrid_small, GRADES).counts
    manifest = manifest_of(output)
    assert manifest["official_splits"] == ["train", "val", "test"]
    assert manifest["dropped"] == []
    visits = {
        row["image_id"]: row["visit"] for row in csv.DictReader((idrid_small / "labels.csv").open())
    }
    for entry in manifest["files"]:
        assert entry["group"] == visits[Path(entry["id"]).stem]
        assert entry["source"] == entry["id"]  # the source uses our split and grade folders
    assert "Official splits are kept" in capsys.readouterr().out


def planted(idrid_small: Path, folder: Path) -> Path:
    """idrid_small with an altered test picture in train, one in val, a copy within train, and a
    copy of a train picture with another grade."""
    shutil.copytree(idrid_small, folder)
    (folder / "labels.csv").unlink()
    first, second = sorted((folder / "test/2").iterdir())[:2]
    flipped = cv2.imread(str(first))[:, ::-1]
    cv2.imwrite(str(folder / "train/2/flipped.jpg"), flipped, [cv2.IMWRITE_JPEG_QUALITY, 50])
    shutil.copy(second, folder / "val/2/copied.jpg")
    own = min((folder / "train/1").iterdir())
    shutil.copy(own, folder / "train/1/zz_copy.jpg")
    shutil.copy(own, folder / "train/3/zz_judge.jpg")
    return folder


def test_a_tree_is_cleaned_and_its_test_stays_whole(idrid_small, tmp_path, capsys):
    tree = planted(idrid_small, tmp_path / "tree")
    output = tmp_path / "clean"
    run("--from_tree", tree, "--output", output)
    manifest = manifest_of(output)
    assert {one["file"]: one["kind"] for one in manifest["dropped"]} == {
        "train/2/flipped.jpg": "shares_with_test",
        "val/2/copied.jpg": "shares_with_test",
        "train/1/zz_copy.jpg": "copy",
    }
    (case,) = manifest["to_judge"]
    assert {one["grade"] for one in case["files"]} == {1, 3}
    index = scan_dataset(output, GRADES)
    assert index.counts["test"] == dict.fromkeys(GRADES, 5)
    assert index.counts["train"] == {"0": 12, "1": 10, "2": 12, "3": 13, "4": 12}
    said = capsys.readouterr().out
    assert "2 share a picture, patient or group with the official test split" in said
    assert "train/2/flipped.jpg looks like test/2/" in said
    assert "For manual review: 1 picture with conflicting grades" in said
    run("--from_tree", output, "--output", tmp_path / "twice")
    assert manifest_of(tmp_path / "twice")["dropped"] == []


@pytest.mark.slow
def test_a_tree_split_anew(idrid_small, tmp_path):
    output = tmp_path / "again"
    run("--from_tree", idrid_small, "--output", output, "--split_column", "none")
    manifest = manifest_of(output)
    assert manifest["official_splits"] == []
    counts = {name: sum(grades.values()) for name, grades in manifest["counts"].items()}
    assert sum(counts.values()) == 103
    assert 15 <= counts["test"] <= 25
    assert 5 <= counts["val"] <= 15


def test_medmnist(tmp_path, capsys):
    rng = np.random.default_rng(1)
    arrays = {
        f"{name}_images": rng.integers(0, 256, (10, 28, 28, 3), np.uint8)
        for name in ("train", "val", "test")
    }
    arrays["train_images"][7] = arrays["test_images"][3]
    arrays |= {name.replace("images", "labels"): np.arange(10)[:, None] % 5 for name in arrays}
    np.savez(tmp_path / "mnist.npz", **arrays)
    run("--images", tmp_path / "mnist.npz", "--output", tmp_path / "set")
    index = scan_dataset(tmp_path / "set", GRADES)
    assert {name: len(split) for name, split in index.splits.items()} == {
        "train": 9, "val": 10, "test": 10,
    }  # fmt: skip
    picture = cv2.imread(str(tmp_path / "set/test/3/test_00003.png"))[..., ::-1]
    assert np.array_equal(picture, arrays["test_images"][3])
    assert "30 photographs are too small to be compared" in capsys.readouterr().out
    assert not list((tmp_path / "set").glob(".unfinished*"))


def test_a_synthetic_source_stays_marked(drawn, tmp_path, capsys):
    run("--from_tree", drawn, "--output", tmp_path / "set", "--split_column", "none")
    assert scan_dataset(tmp_path / "set", GRADES).synthetic
    assert "SYNTHETIC" in capsys.readouterr().out
    run("--from_tree", tmp_path / "set", "--output", tmp_path / "small", "--preprocess", 64)
    assert scan_dataset(tmp_path / "small", GRADES).synthetic


def test_the_order_of_rows_and_the_place_of_files_do_not_matter(eyepacs, tmp_path):
    images, labels = eyepacs
    run("--images", images, "--labels", labels, "--output", tmp_path / "one")
    shutil.move(images, tmp_path / "moved")
    header, *rows = labels.read_text().splitlines()
    labels.write_text("\n".join([header, *reversed(rows)]))
    run("--images", tmp_path / "moved", "--labels", labels, "--output", tmp_path / "two")
    one, two = manifest_of(tmp_path / "one"), manifest_of(tmp_path / "two")
    assert one["hash"] == two["hash"]
    assert one["files"] == two["files"]


@pytest.mark.slow
def test_a_dry_run_says_the_same_and_writes_nothing(eyepacs, tmp_path, capsys):
    images, labels = eyepacs
    (images / "1000_left.jpeg").write_bytes(b"")
    labels.write_text(labels.read_text() + "\n1000_left,0")
    words = ("--images", images, "--labels", labels, "--output", tmp_path / "set")
    before = sorted(tmp_path.rglob("*"))
    run(*words, "--dry_run")
    dry = capsys.readouterr().out
    assert sorted(tmp_path.rglob("*")) == before
    assert "1000_left.jpeg is empty (zero bytes)" in dry
    assert "Nothing was written" in dry
    run(*words)
    assert grade_columns(capsys.readouterr().out) == grade_columns(dry)


def test_the_same_command_again_changes_nothing_and_others_are_refused(eyepacs, tmp_path, capsys):
    images, labels = eyepacs
    output = tmp_path / "set"
    words = ("--images", images, "--labels", labels, "--output", output)
    run(*words)
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    run(*words)
    assert "is already complete: nothing was changed" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before
    with pytest.raises(UserError, match=r"was made with seed 42 \(now 43\)"):
        run(*words, "--seed", 43)
    (images / "999_left.jpeg").write_bytes(next(images.iterdir()).read_bytes())
    labels.write_text(labels.read_text() + "\n999_left,0")
    with pytest.raises(UserError, match="a different state of the source"):
        run(*words)


def test_a_set_that_lost_a_file_gets_it_back(eyepacs, tmp_path):
    images, labels = eyepacs
    words = ("--images", images, "--labels", labels, "--output", tmp_path / "set")
    run(*words)
    before = manifest_of(tmp_path / "set")
    lost = scan_dataset(tmp_path / "set", GRADES).splits["train"].paths[0]
    lost.unlink()
    run(*words)
    assert lost.samefile(images / lost.name)
    assert manifest_of(tmp_path / "set") == before
    assert not list((tmp_path / "set").glob(".unfinished*"))


def test_a_broken_link_is_unreadable_and_listed(eyepacs, tmp_path):
    images, labels = eyepacs
    (images / "999_left.jpeg").symlink_to("nowhere.jpeg")
    labels.write_text(labels.read_text() + "\n999_left,0")
    run("--images", images, "--labels", labels, "--output", tmp_path / "set")
    (dropped,) = manifest_of(tmp_path / "set")["dropped"]
    assert (dropped["file"], dropped["kind"]) == ("999_left.jpeg", "unreadable")


def test_a_patient_with_a_large_part_of_the_set_is_named(eyepacs, tmp_path, capsys):
    images, labels = eyepacs
    header, *rows = labels.read_text().splitlines()
    labelled = [f"{row},{'clinic' if number < 6 else ''}" for number, row in enumerate(rows)]
    labels.write_text("\n".join([f"{header},patient", *labelled]))
    run("--images", images, "--labels", labels, "--output", tmp_path / "set")
    said = " ".join(capsys.readouterr().out.split())
    assert f"Patient clinic has 6 of the {EYES} photographs, all in one split" in said
    assert said.count("all in one split: is that") == 1


def test_the_quality_of_each_photograph_is_in_the_manifest(idrid_small, tmp_path):
    words = ("--from_tree", idrid_small, "--output", tmp_path / "set")
    run(*words, "--dry_run")
    run(*words)
    quality = [entry["quality"] for entry in manifest_of(tmp_path / "set")["files"]]
    assert all(0 <= one <= 1 for one in quality)
    assert np.median(quality) > 0.5
    found = scan_dataset(tmp_path / "set", GRADES).splits
    assert np.concatenate([found[n].quality for n in sorted(found)]) == pytest.approx(quality)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_goes_on(drawn, tmp_path, how):
    output = tmp_path / "set"
    words = ["--from_tree", str(drawn), "--output", str(output), "--split_column", "none"]
    process = subprocess.Popen([sys.executable, str(ROOT / "prepare_dataset.py"), *words])
    while process.poll() is None and not (output / ".unfinished.json").exists():
        time.sleep(0.002)
    process.send_signal(how)
    assert process.wait(60) in (130, -signal.SIGKILL)
    with_other = parse_options([*words, "--seed", "1"])
    if not any(output.glob("train")):  # nothing placed yet: other settings may take over
        assert prepare(with_other) == 0
        shutil.rmtree(output)
    run(*words)
    run("--from_tree", drawn, "--output", tmp_path / "straight", "--split_column", "none")
    assert manifest_of(output)["files"] == manifest_of(tmp_path / "straight")["files"]
    assert scan_dataset(output, GRADES).splits.keys() == {"train", "val", "test"}


def test_a_run_stopped_while_placing_is_continued_by_the_same_settings_alone(
    eyepacs, tmp_path, monkeypatch
):
    images, labels = eyepacs
    output = tmp_path / "set"
    words = ("--images", images, "--labels", labels, "--output", output)
    link, done = os.link, []

    def stop_after_ten(source: Path, target: Path) -> None:
        if len(done) == 10:
            raise KeyboardInterrupt
        done.append(target)
        link(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", stop_after_ten)
        with pytest.raises(KeyboardInterrupt):
            run(*words)
    assert done
    assert not (output / "manifest.json").exists()
    with pytest.raises(UserError, match=r"was started with seed 42 \(now 1\)"):
        run(*words, "--seed", 1)
    run(*words)
    assert len(list(output.rglob("*.jpeg"))) == EYES
    assert len(scan_dataset(output, GRADES).splits) == 3


def test_copies_where_links_are_refused(eyepacs, tmp_path, monkeypatch):
    def refuse(_source: Path, _target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    images, labels = eyepacs
    run("--images", images, "--labels", labels, "--output", tmp_path / "set")
    index = scan_dataset(tmp_path / "set", GRADES)
    for path in index.splits["train"].paths:
        assert not path.samefile(images / path.name)
        assert path.read_bytes() == (images / path.name).read_bytes()


def test_one_name_in_two_folders(drawn, tmp_path):
    rows = ["image,level"]
    for number, path in enumerate(sorted(drawn.rglob("*.jpeg"))):
        folder = tmp_path / "raw" / ("A" if number % 2 else "B")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{number // 2}.jpeg")
        rows.append(f"{folder.name}/{number // 2}.jpeg,{path.parent.name}")
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(rows))
    run("--images", tmp_path / "raw", "--labels", labels, "--output", tmp_path / "set")
    names = {path.name for path in (tmp_path / "set").rglob("*.jpeg")}
    assert len(names) == EYES
    assert {"A_0.jpeg", "B_0.jpeg"} <= names


@pytest.mark.slow
def test_a_file_that_crashes_the_decoder_is_left_out(eyepacs, tmp_path, in_processes):
    images, labels = eyepacs
    lost = decoders.mark(min(images.iterdir()))
    in_processes(decoders.crashing_opencv)
    run("--images", images, "--labels", labels, "--output", tmp_path / "set")
    dropped = manifest_of(tmp_path / "set")["dropped"]
    assert [(one["file"], one["reason"]) for one in dropped] == [(lost.name, "crashes the decoder")]
    assert sum(map(len, scan_dataset(tmp_path / "set", GRADES).splits.values())) == EYES - 1


def test_damage_found_only_while_shrinking_is_left_out(eyepacs, tmp_path, monkeypatch):
    images, labels = eyepacs
    lost = min(images.iterdir())

    def fails_once(path: Path) -> bytes:
        return read_bytes(tmp_path / "gone" if path == lost else path)

    monkeypatch.setattr("dr_ovo.prepare.file_writing.read_bytes", fails_once)
    words = ("--images", images, "--labels", labels, "--preprocess", 64)
    run(*words, "--output", tmp_path / "set")
    manifest = manifest_of(tmp_path / "set")
    assert [(one["file"], one["kind"]) for one in manifest["dropped"]] == [
        (lost.name, "unreadable")
    ]
    assert sum(map(len, scan_dataset(tmp_path / "set", GRADES).splits.values())) == EYES - 1


REFUSED = [
    ("--output out", r"one source"),
    ("--images raw --from_tree raw --labels l.csv --output out", r"one source"),
    ("--images raw --labels l.csv", r"--output is missing"),
    ("--images raw --output out", r"needs --labels"),
    ("--images absent --labels l.csv --output out", r"--images absent: there is no such folder"),
    ("--images absent.npz --output out", r"can't be read as a MedMNIST"),
    ("--images a.npz --labels l.csv --output out", r"leave --labels out"),
    ("--from_tree raw --labels l.csv --output out", r"leave --labels out"),
    ("--from_tree raw --group_column v --output out", r"leave --group_column out"),
    ("--from_tree raw --preprocess 64 --balance --output out", r"only shrinks: leave --balance"),
    ("--from_tree raw --preprocess 64 --seed 1 --output out", r"leave --seed"),
    ("--images raw --labels l.csv --output raw/out", r"is inside raw"),
    ("--images raw --labels l.csv --output taken", r"taken is not an empty folder"),
    ("--images raw --labels l.csv --output l.csv", r"l\.csv is not an empty folder"),
    ("--images raw --labels l.csv --output out --preprocess 20", r"64 to 4096"),
    ("--images raw --labels l.csv --output out --seed -1", r"--seed -1"),
    ("--images raw --labels l.csv --output out --test_fraction 1", r"their sum below 1"),
    ("--images raw --labels l.csv --output out", r"No photographs are left for val and test"),
    ("--images raw --labels empty.csv --output out", r"none of its photographs has a grade"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_mistakes_are_refused_before_anything_is_placed(words, said, drawn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("raw").mkdir()
    shutil.copy(next(drawn.rglob("*.jpeg")), "raw/1_left.jpeg")
    Path("l.csv").write_text("image,level\n1_left,0")
    Path("empty.csv").write_text("image,level\n1_left,")
    Path("taken").mkdir()
    Path("taken/something").touch()
    with pytest.raises(UserError, match=said):
        run(*words.split())
    assert not list(Path().glob("out/t*"))


def test_the_script_ends_with_exit_code_2_and_no_traceback(tmp_path, command):
    first = subprocess.run(
        [sys.executable, str(ROOT / "prepare_dataset.py"), "--images", "x"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    others = (["--seed", "x"], ["--nothing"])
    for ended in (first, *(command("prepare", *words, folder=tmp_path) for words in others)):
        assert ended.returncode == 2
        assert "Traceback" not in ended.stderr


def test_other_fractions_may_be_tried_after_a_refusal(eyepacs, tmp_path):
    images, labels = eyepacs
    words = ("--images", images, "--labels", labels, "--output", tmp_path / "set")
    with pytest.raises(UserError, match="No photographs are left"):
        run(*words, "--val_fraction", 0.001, "--test_fraction", 0.001)
    run(*words, "--val_fraction", 0.3, "--test_fraction", 0.3)
    assert manifest_of(tmp_path / "set")["counts"].keys() == {"train", "val", "test"}


def test_options_are_frozen_and_follow_the_command_line():
    options = parse_options(["--images", "a", "--labels", "b", "--output", "c", "--balance"])
    assert (options.images, options.labels, options.folder) == (Path("a"), (Path("b"),), Path("c"))
    assert (options.balance, options.dry_run, options.seed) == (True, False, 42)
    with pytest.raises(UserError):
        replace(options, labels=())
