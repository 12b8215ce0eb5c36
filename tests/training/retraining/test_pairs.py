"""`--pairs` on a finished independent network: what may change, which classifier is kept."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch

from dr_ovo.results.folder import ResultsFolder
from dr_ovo.settings.command_line import parse_settings
from dr_ovo.settings.train_config import values_of
from dr_ovo.training.retraining import pairs, placing
from dr_ovo.training.retraining.checks import changed_settings
from dr_ovo.training.writing.run import Run
from tests.fixtures.sealed import edit, seal_again
from tests.fixtures.slow import slow
from tests.fixtures.trainings import stop_after_each_epoch

NAME = "best_test_efficientnet_{}.pth"
GOOD = ("--learning_rate", "1e-2")
# A learning rate too small to change any weight.
STILL = ("--learning_rate", "1e-30", "--min_lr", "0", "--weight_decay", "0")
SEED = ("--pairs", "0-2", "--seed", 7)


@pytest.fixture(scope="module")
def words(small, three_grades) -> tuple[object, ...]:
    """A network of three pairs."""
    return (
        *small, "--dataset_path", three_grades, "--num_classes", 3, "--ovo_mode", "independent",
        "--epochs", 3, "--warmup_epochs", 0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def networks(words, trainer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One network that learned, and one that did not."""
    folders = {}
    for name, rate in (("good", GOOD), ("still", STILL)):
        folders[name] = tmp_path_factory.mktemp(name) / "out"
        outcome = trainer(*words, *rate, "--output_dir", folders[name])
        assert outcome.code == 0, outcome.stderr
    return folders


@pytest.fixture(scope="module")
def straight(words, networks, trainer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network that learned, with one pair trained again from another seed. Read only."""
    folder = tmp_path_factory.mktemp("straight") / "out"
    shutil.copytree(networks["good"], folder)
    outcome = trainer(*words, *GOOD, *SEED, "--output_dir", folder)
    assert outcome.code == 0, outcome.stderr
    return folder


@pytest.fixture
def good(networks, tmp_path) -> Path:
    """A private copy of the network that learned."""
    return shutil.copytree(networks["good"], tmp_path / "out")


@pytest.fixture
def still(networks, tmp_path) -> Path:
    """A private copy of the network that did not learn."""
    return shutil.copytree(networks["still"], tmp_path / "out")


def place(folder: Path, pair: str = "0_2") -> Path:
    return folder / "models" / NAME.format(pair)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def auc(path: Path) -> float:
    return json.loads(path.with_suffix(".json").read_text())["metrics"]["val_auc"]


def notes(folder: Path) -> list[dict]:
    return json.loads((folder / "config.json").read_text())["retrained"]


def replaced(folder: Path) -> Path:
    (path,) = (folder / "models" / "replaced").glob("*.pth")
    assert path.with_suffix(".json").is_file()
    return path


def evaluates(trainer, folder: Path, data: Path) -> bool:
    return trainer("--mode", "evaluate", "--dataset_path", data, "--output_dir", folder).code == 0


def test_a_better_classifier_takes_the_place(words, still, trainer, contents, three_grades):
    before, old = contents(still), place(still).read_bytes()
    assert evaluates(trainer, still, three_grades)
    outcome = trainer(*words, *GOOD, "--pairs", "0-2", "--output_dir", still)
    assert outcome.code == 0, outcome.stderr
    loser = replaced(still)
    assert loser.read_bytes() == old
    assert auc(place(still)) > auc(loser)
    assert not same(weights(place(still)), weights(loser))
    assert not (still / "retrain").exists()
    (note,) = notes(still)
    assert (note["pair"], note["kept"]) == ([0, 2], "new")
    assert note["settings"]["learning_rate"] == 1e-2
    for pair in ("0_1", "1_2"):
        name = place(still, pair).relative_to(still).as_posix()
        assert contents(still)[name] == before[name]
    assert evaluates(trainer, still, three_grades)


@pytest.mark.slow
def test_it_has_the_defaults_with_which_the_network_began(words, still, trainer):
    config = json.loads((still / "config.json").read_text())
    assert config["sources"]["keep_epoch"] == "default"
    edit(still / "config.json", lambda content: content["settings"].update(keep_epoch="best"))
    seal_again(still)
    outcome = trainer(*words, *GOOD, "--pairs", "0-2", "--output_dir", still)
    assert outcome.code == 0, outcome.stderr
    (line,) = [line for line in outcome.stdout.splitlines() if line.startswith("  keep_epoch ")]
    assert line.split(maxsplit=2)[1:] == ["best", "default when it began"]
    assert "keep_epoch" not in notes(still)[0]["settings"]


def test_a_worse_classifier_does_not(words, good, trainer):
    old = place(good).read_bytes()
    outcome = trainer(*words, *STILL, "--pairs", "0-2", "--output_dir", good)
    assert outcome.code == 0, outcome.stderr
    assert place(good).read_bytes() == old
    assert auc(replaced(good)) < auc(place(good))
    assert notes(good)[0]["kept"] == "old"
    assert "the old one is kept" in outcome.stdout


@pytest.mark.slow
def test_a_photograph_that_vanishes_before_the_comparison_ends_it(
    words, good, trainer, three_grades, tmp_path, monkeypatch
):
    data = shutil.copytree(three_grades, tmp_path / "data")
    photograph = min((data / "val" / "0").iterdir())
    content, old = photograph.read_bytes(), place(good).read_bytes()
    train = pairs._train

    def train_and_vanish(work: Run) -> None:
        train(work)
        photograph.unlink()

    words = (*words, *GOOD, "--pairs", "0-2", "--seed", 7, "--output_dir", good)
    words = (*words, "--dataset_path", data, "--cache", "off")
    with monkeypatch.context() as patch:
        patch.setattr(pairs, "_train", train_and_vanish)
        outcome = trainer(*words)
    assert outcome.code == 4
    assert str(photograph) in outcome.stderr
    assert place(good).read_bytes() == old
    photograph.write_bytes(content)
    again = trainer(*words, "--resume")
    assert again.code == 0, again.stderr
    assert notes(good)


def test_another_seed_is_another_classifier(good, straight):
    old = weights(place(good))
    assert not same(weights(place(straight)), weights(replaced(straight)))
    assert any(same(old, weights(path)) for path in (place(straight), replaced(straight)))


@pytest.mark.slow
def test_history_is_that_of_the_classifiers_in_place(words, still, trainer):
    def rates(pair: str) -> list[float]:
        with (still / "history.csv").open(newline="") as file:
            return [float(row["lr"]) for row in csv.DictReader(file) if row["branch"] == pair]

    untouched = rates("0_1")
    assert trainer(*words, *GOOD, "--pairs", "0-2", "--output_dir", still).code == 0
    assert len(rates("0_2")) == 3
    assert max(rates("0_2")) > 1e-3
    assert rates("0_1") == untouched


@pytest.mark.parametrize("extra", [(), ("--dry_run",), ("--train_sample", 0)])
def test_with_nothing_changed_it_is_refused(extra, words, good, trainer, contents):
    before = contents(good)
    outcome = trainer(*words, *GOOD, "--pairs", "0-2", "1-2", "--output_dir", good, *extra)
    assert outcome.code == 2
    assert "Nothing has changed: training 0-2 1-2 again" in outcome.stderr
    assert contents(good) == before


def test_the_same_change_is_not_tried_twice(words, straight, trainer, contents, tmp_path):
    folder = shutil.copytree(straight, tmp_path / "out")
    again = (*words, *GOOD, *SEED, "--output_dir", folder)
    before = contents(folder)
    outcome = trainer(*again)
    assert outcome.code == 2
    assert "Nothing has changed" in outcome.stderr
    resumed = trainer(*again, "--resume")
    assert resumed.code == 0
    assert "nothing to do" in resumed.stdout
    assert contents(folder) == before


@pytest.mark.slow
def test_other_images_are_a_change(words, good, trainer, draw_dataset, tmp_path):
    data = draw_dataset(tmp_path / "data", grades=3, images=4)
    (data / "train" / "2" / "train-2-3.jpeg").unlink()
    outcome = trainer(*words, *GOOD, "--pairs", "0-2", "--output_dir", good, "--dataset_path", data)
    assert outcome.code == 0, outcome.stderr
    assert replaced(good)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("--img_size 64", "--img_size: 32 there, 64 now"),
        ("--base_models test_resnet", "--base_models: ['test_efficientnet'] there"),
        ("--no-enable_clahe", "--enable_clahe: True there, False now"),
        ("--freeze_stages 1", "--freeze_stages: 2 there, 1 now"),
        ("--class_names a b c", "--class_names"),
    ],
)
def test_what_joins_a_network_must_fit_it(
    flags, named, words, good, trainer, contents, draw_dataset, tmp_path
):
    data = ()
    if "class_names" in flags:
        folder = draw_dataset(tmp_path / "data", grades=("a", "b", "c"), images=4)
        data = ("--dataset_path", folder)
    before = contents(good)
    outcome = trainer(*words, *GOOD, *SEED, "--output_dir", good, *data, *flags.split())
    assert outcome.code == 2
    assert named in outcome.stderr
    assert contents(good) == before


def test_a_shared_network_has_no_single_pairs(small, three_grades, trainer, tmp_path):
    shared = (*small, "--dataset_path", three_grades, "--num_classes", 3, "--epochs", 1)
    assert trainer(*shared, "--output_dir", tmp_path / "out").code == 0
    outcome = trainer(*shared, *SEED, "--output_dir", tmp_path / "out")
    assert outcome.code == 2
    assert "--ovo_mode independent" in outcome.stderr
    outcome = trainer(*shared, *SEED, "--ovo_mode", "independent", "--output_dir", tmp_path / "out")
    assert outcome.code == 2
    assert "shared there, independent now" in outcome.stderr


def test_a_missing_classifier_is_named_and_trained_into_its_place(
    good, trainer, three_grades, networks
):
    for pair in ("0_1", "1_2"):
        place(good, pair).unlink()
        place(good, pair).with_suffix(".json").unlink()
    refusal = trainer("--mode", "evaluate", "--dataset_path", three_grades, "--output_dir", good)
    assert refusal.code == 2
    assert "no classifier for the pairs 0-1 1-2" in refusal.stderr
    (line,) = [line for line in refusal.stderr.splitlines() if "ensemble_5class_trainer.py" in line]
    command = shlex.split(line)[2:]  # without "python" and the script

    outcome = trainer(
        *command, "--dataset_path", three_grades, "--device", "cpu", "--num_workers", 0
    )
    assert outcome.code == 0, outcome.stderr
    assert "was missing; now in place" in outcome.stdout
    for pair in ("0_1", "0_2", "1_2"):  # the same settings give the same weights
        assert same(weights(place(good, pair)), weights(place(networks["good"], pair)))
    assert evaluates(trainer, good, three_grades)


@pytest.mark.slow
def test_a_stopped_retraining_goes_on(
    words, good, straight, trainer, monkeypatch, contents, three_grades
):
    again = (*words, *GOOD, *SEED)
    before = contents(good / "models")
    stop_after_each_epoch(monkeypatch)
    assert trainer(*again, "--output_dir", good).code == 130
    monkeypatch.undo()
    assert contents(good / "models") == before  # the network stays complete meanwhile
    assert evaluates(trainer, good, three_grades)
    other = trainer(*again, "--output_dir", good, "--epochs", 4)
    assert other.code == 2
    assert f"remove {good / 'retrain'}" in other.stderr

    assert trainer(*again, "--output_dir", good).code == 0
    assert same(weights(place(good)), weights(place(straight)))
    assert same(weights(replaced(good)), weights(replaced(straight)))
    assert not (good / "retrain").exists()


@pytest.mark.slow
def test_resume_starts_a_retraining_from_the_same_weights(words, good, straight, trainer):
    assert trainer(*words, *GOOD, *SEED, "--output_dir", good, "--resume").code == 0
    assert same(weights(place(good)), weights(place(straight)))


@pytest.mark.parametrize("moment", ["_move", *slow("put_in_place", "write_json", "write_sealed")])
def test_a_stop_while_classifiers_are_put_in_place(
    moment, words, still, trainer, monkeypatch, three_grades
):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(placing, moment, stop)
    again = (*words, *GOOD, "--pairs", "0-1", "0-2", "--output_dir", still)
    assert trainer(*again).code == 130
    monkeypatch.undo()
    if (still / "retrain" / "outcome.json").is_file():
        refused = trainer(
            "--mode", "evaluate", "--dataset_path", three_grades, "--output_dir", still
        )
        assert refused.code == 2
        assert "a pair that was trained again is being put in place" in refused.stderr
    assert trainer(*again).code == 0
    assert [note["pair"] for note in notes(still)] == [[0, 1], [0, 2]]
    rows = [(row["branch"], row["epoch"]) for row in ResultsFolder(still).read_history(99)]
    assert len(rows) == len(set(rows))
    assert evaluates(trainer, still, three_grades)
    for pair in ("0_1", "0_2"):
        assert auc(place(still, pair)) >= 0.5
        assert json.loads(place(still, pair).with_suffix(".json").read_text())["branch"] == pair
    assert not (still / "retrain").exists()


@pytest.mark.slow
def test_settings_that_were_changed_while_it_was_put_in_place(words, still, trainer, monkeypatch):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    again = (*words, *GOOD, "--pairs", "0-2", "--output_dir", still)
    with monkeypatch.context() as patch:
        patch.setattr(placing, "_move", stop)
        assert trainer(*again).code == 130
    before = (still / "config.json").read_text()
    edit(still / "config.json", lambda content: content["settings"].update(seed=99))
    refused = trainer(*again)
    assert refused.code == 2
    assert "config.json was changed while a pair" in refused.stderr
    (still / "config.json").write_text(before)
    assert trainer(*again).code == 0


def test_how_the_network_is_decoded_is_no_change_of_a_retraining():
    one, other = (parse_settings(["--seed", seed]).config for seed in ("1", "2"))
    stored = values_of(one) | {"decoder": "vote", "prior_correction": True}
    changed = changed_settings(other, stored)
    assert changed.keys() & {"seed", "decoder", "prior_correction"} == {"seed"}
