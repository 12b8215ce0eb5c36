"""Weights that have seen what a training is judged on stop it, or mark all that it writes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
import torch

from dr_ovo.synthetic.folder import write_dataset
from tests.fixtures.slow import slow
from tests.fixtures.trainings import SMALL, stop_after_each_epoch

GRADES = 3
FIRST = {"train": range(3), "val": range(2), "test": range(2)}  # numbers of drawn images
SECOND = {"train": range(3, 6), "val": range(2, 4), "test": range(2, 4)}
ENTRIES = ("learned_from", "chosen_on", "all_photographs_known")
SEEN = "these weights have seen"

Make = Callable[..., Path]
Train = Callable[..., object]


@pytest.fixture(scope="module")
def pool(draw_dataset, tmp_path_factory) -> Path:
    return draw_dataset(tmp_path_factory.mktemp("pool") / "data", grades=GRADES, images=6)


def make_in(folder: Path, pool: Path) -> Make:
    """Makes a dataset of the images with these numbers, and of single ones in other places."""

    def call(name: str, numbers: dict[str, range], **moved: str) -> Path:
        root = folder / name
        for split, chosen in numbers.items():
            for grade in range(GRADES):
                (root / split / str(grade)).mkdir(parents=True)
                for number in chosen:
                    file = f"{split}/{grade}/{split}-{grade}-{number}.jpeg"
                    shutil.copy(pool / file, root / file)
        for split, file in moved.items():
            shutil.copy(pool / file, root / split / file.split("/")[1] / "renamed.jpeg")
        return root

    return call


@pytest.fixture
def make(pool, tmp_path) -> Make:
    return make_in(tmp_path, pool)


def train_in(folder: Path, trainer) -> Train:
    """Trains SMALL for an epoch into `folder`/<output>, from random weights unless told
    otherwise."""

    def call(data: Path, output: str, *flags: object, start: object = None):
        begin = ("--no-pretrained",) if start is None else ("--pretrained_path", start)
        return trainer(
            "--base_models", SMALL, "--img_size", 32, "--device", "cpu", "--num_workers", 0,
            "--epochs", 1, "--num_classes", GRADES, "--dataset_path", data, "--train_sample", 0,
            "--output_dir", folder / output, *begin, *flags,
        )  # fmt: skip

    return call


@pytest.fixture
def train(trainer, tmp_path) -> Train:
    return train_in(tmp_path, trainer)


@pytest.fixture(scope="module")
def first_training(pool, trainer, tmp_path_factory) -> Path:
    """A folder with `first`, a training on FIRST, and its dataset, `first_data`. Read only."""
    folder = tmp_path_factory.mktemp("first_training")
    outcome = train_in(folder, trainer)(make_in(folder, pool)("first_data", FIRST), "first")
    assert outcome.code == 0, outcome.stderr
    return folder


@pytest.fixture
def first(first_training, tmp_path) -> Path:
    """The results folder of a training on FIRST, as if it had been made here, from first_data."""
    shutil.copytree(first_training, tmp_path, dirs_exist_ok=True)
    config = tmp_path / "first" / "config.json"
    config.write_text(config.read_text().replace(str(first_training), str(tmp_path)))
    return tmp_path / "first"


def die(*_: object) -> None:
    """In the place of `fit`: the training ends as soon as its config.json is there."""
    raise KeyboardInterrupt


def checkpoint(folder: Path) -> dict:
    (path,) = (folder / "models").glob("*.pth")
    return torch.load(path, weights_only=True)


def forget(folder: Path) -> None:
    """Makes a folder one of an earlier version, whose checkpoints do not say what they saw."""
    (path,) = (folder / "models").glob("*.pth")
    content = torch.load(path, weights_only=True)
    torch.save({key: value for key, value in content.items() if key not in ENTRIES}, path)


SPOILED = {
    "learned from, in test": ({"test": "train/1/train-1-0.jpeg"}, "1 of the 7 photographs of test"),
    "learned from, in val": ({"val": "train/2/train-2-1.jpeg"}, "1 of the 7 photographs of val"),
    "chosen on, in test": ({"test": "val/0/val-0-1.jpeg"}, "1 of the 7 photographs of test"),
}


@pytest.mark.parametrize("case", SPOILED)
@pytest.mark.parametrize("flags", [(), *slow((("--dry_run",),))])
def test_weights_that_have_seen_val_or_test_stop_a_training(
    case, flags, first, make, train, tmp_path
):
    moved, said = SPOILED[case]
    data = make("data", SECOND, **moved)
    outcome = train(data, "next", *flags, start=first)
    assert outcome.code == 3, outcome.stderr
    assert f"{SEEN} {said}" in outcome.stderr
    (split,) = moved
    assert f"({split}/{moved[split].split('/')[1]}/renamed.jpeg)" in outcome.stderr
    assert "--allow_leaks" in outcome.stderr
    assert not (tmp_path / "next").exists()


def test_the_checkpoint_knows_it_wherever_it_is(first, make, train, tmp_path):
    (path,) = (first / "models").glob("*.pth")
    elsewhere = Path(shutil.copy(path, tmp_path / "weights.pth"))
    data = make("data", SECOND, test="train/1/train-1-0.jpeg")
    assert train(data, "next", start=elsewhere).code == 3


def test_allowed_they_mark_everything(first, make, train, trainer, tmp_path):
    data = make("data", SECOND, test="train/1/train-1-0.jpeg")
    outcome = train(data, "next", "--allow_leaks", start=first)
    assert outcome.code == 0, outcome.stderr
    assert "LEAKY weights: --pretrained_path has seen photographs of this dataset: 1 of test" in (
        outcome.stdout
    )
    config = json.loads((tmp_path / "next" / "config.json").read_text())
    assert (config["leaky"], config["audit"]["leaks"]) == (True, 0)
    assert config["audit"]["weights_have_seen"] == {"test": 1}
    assert checkpoint(tmp_path / "next")["leaky"] is True
    words = ("--dataset_path", data, "--output_dir", tmp_path / "next", "--device", "cpu")
    assert trainer("--mode", "evaluate", *words, "--num_workers", 0).code == 0
    assert json.loads((tmp_path / "next" / "evaluation.json").read_text())["leaky"] is True
    # And what begins with these weights is marked, too.
    outcome = train(make("third", SECOND), "last", start=tmp_path / "next")
    assert outcome.code == 0, outcome.stderr
    assert checkpoint(tmp_path / "last")["leaky"] is True


def test_other_photographs_and_the_same_training_again_are_clean(first, make, train, tmp_path):
    for name, numbers in (("other", SECOND), ("same", FIRST)):
        outcome = train(make(f"{name}_data", numbers), name, start=first)
        assert outcome.code == 0, outcome.stderr
        audit = json.loads((tmp_path / name / "config.json").read_text())["audit"]
        assert (audit["leaky_weights"], audit["weights_have_seen"]) == (False, {})
        assert audit["weights_known"] is True
        assert "have seen is not known" not in outcome.stdout
        assert checkpoint(tmp_path / name)["leaky"] is False


def test_a_fold_can_not_be_held_out_from_weights_that_have_seen_it(first, train, tmp_path):
    # What they learned from, and what chose their epoch: all ten pictures of the two folds.
    flags = ("--folds", 2, "--keep_epoch", "last")
    outcome = train(tmp_path / "first_data", "folds", *flags, start=first)
    assert outcome.code == 3, outcome.stderr
    counts = re.search(rf"{SEEN} (\d+) of the (\d+) photographs of fold 1 in", outcome.stderr)
    assert counts is not None
    assert int(counts[1]) == int(counts[2]) > 0
    assert re.search(r"\((train|val)/\d/(train|val)-\d-\d\.jpeg, ", outcome.stderr)
    assert not list(tmp_path.glob("folds/**/*.pth"))


@pytest.mark.slow
def test_a_member_can_go_on_from_the_one_that_held_out_the_same_fold(make, train, tmp_path):
    data, flags = make("data", FIRST), ("--folds", 2, "--keep_epoch", "last", "--fold")
    for fold in (1, 2):
        assert train(data, "before", *flags, fold, *["--resume"] * (fold > 1)).code == 0
    member = checkpoint(tmp_path / "before" / "fold_1")
    learned, chosen = (len(member[name]) for name in ENTRIES[:2])
    assert 0 < learned < 5 * GRADES  # all of train and val but the fold
    assert chosen == 0
    assert train(data, "after", *flags, 1, start=tmp_path / "before" / "fold_1").code == 0
    assert checkpoint(tmp_path / "after" / "fold_1")["leaky"] is False
    outcome = train(data, "mixed", *flags, 1, start=tmp_path / "before" / "fold_2")
    assert outcome.code == 3, outcome.stderr
    assert SEEN in outcome.stderr


@pytest.mark.slow
def test_what_weights_have_seen_is_handed_on(first, make, train, tmp_path):
    assert train(make("second", SECOND), "second_out", start=first).code == 0
    content = checkpoint(tmp_path / "second_out")
    assert [len(content[name]) for name in ENTRIES[:2]] == [6 * GRADES, 4 * GRADES]
    assert content["all_photographs_known"] is True
    third = make("third", {**SECOND, "train": range(5, 6)}, test="train/0/train-0-1.jpeg")
    outcome = train(third, "third_out", start=tmp_path / "second_out")
    assert outcome.code == 3, outcome.stderr
    assert f"{SEEN} 1 of the 7 photographs of test" in outcome.stderr


def test_a_folder_of_an_earlier_version_is_asked_by_its_dataset(first, make, train):
    forget(first)
    data = make("data", SECOND, test="train/1/train-1-0.jpeg")
    outcome = train(data, "next", start=first)
    assert outcome.code == 3, outcome.stderr
    assert f"{SEEN} 1 of the 7 photographs of test" in outcome.stderr


@pytest.fixture(scope="module")
def eyes(tmp_path_factory) -> tuple[Path, Path]:
    """Two sets of drawn fundus pictures, which differ as photographs do."""
    roots = [tmp_path_factory.mktemp("eyes") / str(seed) for seed in (1, 2)]
    for seed, root in enumerate(roots):
        write_dataset(root, {"train": 5, "val": 5, "test": 5}, size=128, seed=seed)
    return roots[0], roots[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ours", "theirs", "code"),
    [("test", "train", 3), ("test", "val", 3), ("val", "train", 3), ("val", "val", 0)],
)
def test_a_copy_in_another_size_and_light_is_found(ours, theirs, code, eyes, train, tmp_path):
    data, other = (Path(shutil.copytree(root, tmp_path / root.name)) for root in eyes)
    picture = min((data / ours / "0").iterdir())
    copied = cv2.resize(cv2.imread(str(picture)), (110, 110), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(other / theirs / "0" / "9999_left.png"), cv2.convertScaleAbs(copied, alpha=1.1))
    five = ("--num_classes", 5)
    outcome = train(other, "first", *five)
    assert outcome.code == 0, outcome.stderr
    outcome = train(data, "next", *five, start=tmp_path / "first")
    assert outcome.code == code, outcome.stderr
    if code:
        assert f"{SEEN} 1 of the 10 photographs of {ours}" in outcome.stderr
        assert f"({ours}/0/{picture.name})" in outcome.stderr


@pytest.mark.parametrize("what", ["gone", *slow("changed", "no folder")])
def test_what_can_not_be_known_is_said(what, first, make, train, tmp_path):
    forget(first)
    start = first
    if what == "gone":
        shutil.rmtree(tmp_path / "first_data")
    elif what == "changed":
        (tmp_path / "first_data" / "train" / "0" / "train-0-0.jpeg").unlink()
    else:
        (path,) = (first / "models").glob("*.pth")
        start = Path(shutil.copy(path, tmp_path / "weights.pth"))
    data = make("data", SECOND, test="train/1/train-1-0.jpeg")
    outcome = train(data, "next", start=start)
    assert outcome.code == 0, outcome.stderr
    assert "it is not known which photographs this network has seen" in outcome.stderr
    assert "--against" in outcome.stderr
    assert "have seen is not known" in outcome.stdout
    audit = json.loads((tmp_path / "next" / "config.json").read_text())["audit"]
    assert audit["weights_known"] is False
    assert checkpoint(tmp_path / "next")["all_photographs_known"] is False


def test_weights_of_others_are_unknown_without_a_warning(small_weights, make, train, tmp_path):
    outcome = train(make("data", SECOND), "out", start=small_weights)
    assert outcome.code == 0
    assert "not known which photographs" not in outcome.stderr
    assert "audit: which photographs the weights of --pretrained_path have seen" in outcome.stdout
    assert checkpoint(tmp_path / "out")["all_photographs_known"] is False


@pytest.mark.slow
def test_a_resumed_training_knows_it_without_the_file(first, make, train, tmp_path, monkeypatch):
    data = make("data", SECOND, test="train/1/train-1-0.jpeg")
    flags = ("--epochs", 2, "--allow_leaks", "--keep_epoch", "last")
    with monkeypatch.context() as patch:
        stop_after_each_epoch(patch)
        assert train(data, "next", *flags, start=first).code == 130
    shutil.rmtree(first)
    (data / "test" / "1" / "renamed.jpeg").unlink()  # which makes the stored audit void
    outcome = train(data, "next", *flags, "--resume", start=first)
    assert outcome.code == 0, outcome.stderr
    content = checkpoint(tmp_path / "next")
    assert content["epoch"] == 2
    assert [len(content[name]) for name in ENTRIES[:2]] == [6 * GRADES, 4 * GRADES]
    assert content["leaky"] is True  # what it was judged on when it began stays said


def test_a_start_that_died_before_its_first_state_vouches_for_no_weights(
    first, make, train, tmp_path, monkeypatch
):
    data = make("data", SECOND, test="train/1/train-1-0.jpeg")
    with monkeypatch.context() as patch:
        patch.setattr("dr_ovo.training.pipeline.fit", die)
        assert train(data, "next").code == 130
    assert (tmp_path / "next" / "config.json").is_file()
    outcome = train(data, "next", "--resume", start=first)
    assert outcome.code == 3, outcome.stderr
    assert f"{SEEN} 1 of the 7 photographs of test" in outcome.stderr
    # What the dead start would have seen is not seen by the one that starts over.
    assert train(data, "next", "--resume").code == 0
    assert checkpoint(tmp_path / "next")["leaky"] is False
