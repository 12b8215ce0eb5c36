"""Which epoch is kept, by each rule; what of it is kept in the state; patience."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dr_ovo.files import write_json
from dr_ovo.results.folder import LATER_SETTINGS
from dr_ovo.settings.recipe import read_recipe
from dr_ovo.settings.train_config import FIELDS
from dr_ovo.training.measure import Score
from dr_ovo.training.optimization.schedule import Schedule
from dr_ovo.training.resume.branch_run import BranchRun
from dr_ovo.training.resume.epoch_choice import RULES
from tests.fixtures.sealed import seal_again
from tests.fixtures.trainings import stop_after_each_epoch

NAN = math.nan


def new_run() -> BranchRun:
    return BranchRun("ovo", None, 8, Schedule("none", 1e-3, 0.0, 10, 0))


def kept_by(rule: str, *epochs: tuple[float, float, float]) -> list[int]:
    """The epoch kept after each one, of which (kappa, its standard error, log loss) are given."""
    run, found = new_run(), []
    for epoch, (value, error, loss) in enumerate(epochs, start=1):
        took = run.note(Score(value, -loss, error, loss), epoch, RULES[rule], 0.0)
        assert took == (run.best_epoch == epoch)
        found.append(run.best_epoch)
    return found


@pytest.mark.parametrize(
    ("rule", "kept"),
    [("best", [1, 2, 2, 2, 5]), ("last", [1, 2, 3, 4, 5]), ("log_loss", [1, 2, 3, 3, 3])],
)
def test_the_rules_of_one_figure(rule, kept):
    epochs = (0.5, 0.1, 1.0), (0.6, 0.1, 0.9), (0.4, 0.1, 0.7), (0.59, 0.1, 0.8), (0.7, 0.1, 0.7)
    assert kept_by(rule, *epochs) == kept


@pytest.mark.parametrize(
    ("epochs", "kept"),
    [
        ([(0.5, 0.1, 1.0), (0.6, 0.1, 1.1)], [1, 1]),  # higher by no more than the error
        ([(0.5, 0.1, 1.0), (0.45, 0.1, 0.9)], [1, 2]),  # lower by no more, and with less loss
        ([(0.5, 0.1, 1.0), (0.45, 0.1, 1.0)], [1, 1]),  # with the same loss the earlier one stays
        ([(0.5, 0.1, 1.0), (0.39, 0.1, 0.1)], [1, 1]),  # too low to count
        ([(0.5, 0.1, 1.0), (0.61, 0.1, 9.0)], [1, 2]),  # too high for the first one to count
        # The error counts that the highest has, and the highest counts though it is not kept.
        ([(0.5, 0.3, 1.0), (0.6, 0.05, 2.0)], [1, 2]),
        ([(0.5, 0.1, 1.0), (0.58, 0.1, 2.0), (0.47, 0.3, 0.5)], [1, 1, 1]),
        ([(0.5, 0.1, 1.0), (0.58, 0.1, 2.0), (0.49, 0.0, 0.5)], [1, 1, 3]),
        # Without an error, as in perfect agreement, it is as by kappa, and then by loss.
        ([(1.0, 0.0, 1.0), (0.99, 0.1, 0.1), (1.0, 0.0, 0.9)], [1, 1, 3]),
        # What can't be told gives way; where no error can be told, the loss alone decides.
        ([(NAN, NAN, 1.0), (0.1, 0.1, 2.0)], [1, 2]),
        ([(0.1, 0.1, 2.0), (NAN, NAN, 1.0)], [1, 1]),
        ([(NAN, NAN, 2.0), (NAN, NAN, 1.0), (NAN, NAN, 1.5)], [1, 2, 2]),
        ([(0.9, NAN, 2.0), (0.2, NAN, 1.0)], [1, 2]),
    ],
)
def test_the_steady_rule(epochs, kept):
    assert kept_by("steady", *epochs) == kept


@given(
    st.lists(
        st.tuples(st.floats(-1, 1), st.floats(0, 0.3), st.floats(0.1, 3)), min_size=1, max_size=12
    )
)
def test_what_is_kept_is_near_the_highest_and_none_near_it_since_has_less_loss(epochs):
    kept = kept_by("steady", *epochs)
    for count, epoch in enumerate(kept, start=1):
        top, error, _ = max(epochs[:count], key=lambda one: (one[0], -one[2]))
        value, _, loss = epochs[epoch - 1]
        assert value >= top - error
        value, _, newest = epochs[count - 1]
        assert epoch == count or value < top - error or newest >= loss


@pytest.mark.parametrize(
    ("rule", "renewed"),
    [("best", [1, 1, 1, 4, 5, 5]), ("last", [1, 1, 1, 4, 5, 5]),
     ("log_loss", [1, 2, 2, 2, 2, 6]), ("steady", [1, 2, 2, 4, 5, 6])],
)  # fmt: skip
def test_patience_is_renewed_by_more_than_min_delta(rule, renewed):
    run, found = new_run(), []
    losses = (1.0, 0.8, 0.75, 0.9, 0.71, 0.6)
    for epoch, value in enumerate((0.5, 0.55, 0.6, 0.61, 0.72, 0.1), start=1):
        loss = losses[epoch - 1]
        run.note(Score(value, 0.0, 0.1, loss), epoch, RULES[rule], min_delta=0.1)
        found.append(run.progress_epoch)
    assert found == renewed


def test_a_first_figure_that_can_not_be_told_does_not_stop_patience():
    run = new_run()
    for epoch, value in enumerate((NAN, 0.2, 0.1), start=1):
        run.note(Score(value, 0.0), epoch, RULES["best"], 0.0)
    assert (run.progress_epoch, run.best_epoch) == (2, 2)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("value", [0.1 + 0.2, NAN])
def test_the_state_is_exact(rule, value, tmp_path):
    run, again = new_run(), new_run()
    for restored in (False, True):
        write_json(tmp_path / "state.json", run.to_dict())
        again.restore(json.loads((tmp_path / "state.json").read_text()))
        assert repr(again) == repr(run)
        if not restored:
            run.note(Score(value, -1 / 3, 0.2 / 3, 2 / 3), 1, RULES[rule], 0.0)
            run.note(Score(0.3, -1 / 7, 0.1 / 3, 1 / 7), 2, RULES[rule], 0.0)


def test_a_state_of_an_earlier_version():
    run = new_run()
    saved = {"best": [0.5, -1.0], "best_epoch": 3, "progress": 0.4, "progress_epoch": 2}
    run.restore({**saved, "ended": None})
    assert (run.best, run.best_epoch) == (Score(0.5, -1.0), 3)
    assert (run.progress, run.progress_epoch) == ((0.4,), 2)
    assert not run.note(Score(0.5, -1.0), 4, RULES["best"], 0.0)
    assert run.note(Score(0.5, -0.9), 5, RULES["best"], 0.0)
    empty = {"best": None, "best_epoch": 0, "progress": None, "progress_epoch": 0, "ended": None}
    run.restore(empty)
    assert repr(run) == repr(new_run())


# --- in a training

LEARNING = ("--learning_rate", "1e-2", "--warmup_epochs", 0, "--epochs", 5, "--train_sample", 0)


def checkpoints(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {
        path.name: torch.load(path)["state_dict"]
        for path in sorted((folder / "models").glob("*.pth"))
    }


def without_times(folder: Path) -> object:
    progress = json.loads((folder / "resume" / "progress.json").read_text())
    epochs = [json.loads(path.read_text())["epoch"] for path in folder.glob("models/*.json")]
    return progress["branches"], epochs


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["steady", "log_loss"])
@pytest.mark.parametrize("mode", ["shared", "independent"])
def test_stopped_after_every_epoch_it_is_the_same(
    rule, mode, small, three_grades, trainer, tmp_path, monkeypatch
):
    words = (*small, "--dataset_path", three_grades, "--num_classes", 3, "--allow_leaks")
    words = (*words, *LEARNING, "--ovo_mode", mode, "--keep_epoch", rule)
    whole = trainer(*words, "--output_dir", tmp_path / "whole")
    assert whole.code == 0, whole.stderr
    for part in ("standard error ", "log loss ", "  kept"):
        assert part in whole.stdout
    with monkeypatch.context() as patch:
        stop_after_each_epoch(patch)
        for _ in range(5):
            outcome = trainer(*words, "--output_dir", tmp_path / "stopped", "--resume")
            assert outcome.code in (0, 130), outcome.stderr
    assert trainer(*words, "--output_dir", tmp_path / "stopped", "--resume").code == 0
    one, other = (checkpoints(tmp_path / name) for name in ("whole", "stopped"))
    assert one.keys() == other.keys()
    for name, state in one.items():
        assert all(torch.equal(other[name][key], value) for key, value in state.items()), name
    assert without_times(tmp_path / "whole") == without_times(tmp_path / "stopped")


@pytest.mark.parametrize(
    ("ended", "rule", "said"),
    [
        ("last epoch", "last", "at its last epoch, 7"),
        ("last epoch", "best", "at its last epoch; best epoch 7"),
        ("patience", "last", "by patience; last epoch 7"),
        ("patience", "steady", "by patience; kept epoch 7"),
    ],
)
def test_how_a_branch_ended_is_said_once(ended, rule, said):
    run = new_run()
    run.ended, run.best_epoch = ended, 7
    assert run.ending(RULES[rule]) == said


def stop_after_an_epoch(trainer, words: Sequence[object], folder: Path) -> None:
    """Begins a training of two epochs by --keep_epoch best, and stops it after the first."""
    with pytest.MonkeyPatch.context() as patch:
        stop_after_each_epoch(patch)
        words = (*words, "--epochs", 2, "--train_sample", 0, "--keep_epoch", "best")
        outcome = trainer(*words, "--output_dir", folder)
        assert outcome.code == 130, outcome.stderr


@pytest.fixture(scope="module")
def stopped(small, tiny_dataset, trainer, tmp_path_factory) -> Path:
    """A training by --keep_epoch best, stopped after the first of two epochs."""
    folder = tmp_path_factory.mktemp("stopped") / "out"
    stop_after_an_epoch(trainer, (*small, "--dataset_path", tiny_dataset), folder)
    return folder


def began_by(source: str, folder: Path, *names: str) -> None:
    """Has config.json say where settings came from when the training began, as of a version in
    which that set other values."""
    config = json.loads((folder / "config.json").read_text())
    config["sources"].update(dict.fromkeys(names, source))
    (folder / "config.json").write_text(json.dumps(config))
    seal_again(folder)


def resume(stopped: Path, trainer, small, data: Path, *more: object):
    words = (*small, "--dataset_path", data, "--epochs", 2, "--train_sample", 0)
    return trainer(*words, "--output_dir", stopped, "--resume", *more)


def test_a_training_goes_on_with_the_default_with_which_it_began(
    stopped, small, tiny_dataset, trainer, tmp_path
):
    folder = shutil.copytree(stopped, tmp_path / "out")
    began_by("default", folder, "keep_epoch")
    outcome = resume(folder, trainer, small, tiny_dataset)
    assert outcome.code == 0, outcome.stderr
    (line,) = [line for line in outcome.stdout.splitlines() if line.startswith("  keep_epoch ")]
    assert line.split(maxsplit=2)[1:] == ["best", "default when it began"]
    assert "best epoch" in outcome.stdout
    again = resume(folder, trainer, small, tiny_dataset)
    assert "is finished: nothing to do" in again.stdout


def test_a_member_of_folds_goes_on_with_the_patience_of_that_default(
    small, draw_dataset, trainer, tmp_path
):
    data = draw_dataset(tmp_path / "data", grades=5, images=9)
    folds = ("--folds", 2, "--fold", 1, "--allow_leaks")
    stop_after_an_epoch(trainer, (*small, "--dataset_path", data, *folds), tmp_path)
    began_by("default", tmp_path / "fold_1", "keep_epoch")
    outcome = resume(tmp_path, trainer, small, data, *folds)
    assert outcome.code == 0, outcome.stderr
    config = json.loads((tmp_path / "fold_1" / "config.json").read_text())
    assert config["settings"]["patience"] == FIELDS["patience"].default
    assert "best epoch" in outcome.stdout
    # A member that is begun later follows it.
    words = ("--dataset_path", data, "--epochs", 2, "--train_sample", 0, "--output_dir", tmp_path)
    other = trainer(*small, *words, "--folds", 2, "--fold", 2, "--allow_leaks")
    assert other.code == 0, other.stderr
    config = json.loads((tmp_path / "fold_2" / "config.json").read_text())
    assert config["settings"]["keep_epoch"] == "best"


@pytest.mark.slow
def test_a_training_goes_on_with_the_recipe_with_which_it_began(
    stopped, small, tiny_dataset, trainer, tmp_path
):
    """Also where that recipe holds other values in this version."""
    folder = shutil.copytree(stopped, tmp_path / "out")
    settings = read_recipe("guide").values
    began_by("recipe guide", folder, *settings)
    outcome = resume(folder, trainer, small, tiny_dataset, "--recipe", "guide")
    assert outcome.code == 0, outcome.stderr
    (line,) = [line for line in outcome.stdout.splitlines() if line.startswith("  keep_epoch ")]
    assert line.split(maxsplit=2)[1:] == ["best", "recipe guide when it began"]
    own = tmp_path / "own.toml"
    own.write_text('description = "x"\nmeasured = "y"\n[settings]\nkeep_epoch = "last"\n')
    began_by(f"recipe {own}", folder, "keep_epoch")
    outcome = resume(folder, trainer, small, tiny_dataset, "--recipe", own)
    assert outcome.code == 2  # a file is its author's choice
    assert "--keep_epoch: best there, last now" in outcome.stderr


def test_what_someone_chose_is_no_default(stopped, small, tiny_dataset, trainer, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "out")
    outcome = resume(folder, trainer, small, tiny_dataset)
    assert outcome.code == 2
    assert f"--keep_epoch: best there, {FIELDS['keep_epoch'].default} now" in outcome.stderr
    began_by("default", folder, "keep_epoch")
    for chosen in ("last", "steady"):
        outcome = resume(folder, trainer, small, tiny_dataset, "--keep_epoch", chosen)
        assert outcome.code == 2
        assert f"--keep_epoch: best there, {chosen} now" in outcome.stderr


def test_a_folder_from_before_an_option_goes_on_as_then(
    stopped, small, tiny_dataset, trainer, tmp_path, monkeypatch
):
    """Of a folder that has no such setting, the value counts that its version had fixed."""
    folder = shutil.copytree(stopped, tmp_path / "out")
    config = json.loads((folder / "config.json").read_text())
    for part in ("settings", "sources"):
        del config[part]["keep_epoch"]
    (folder / "config.json").write_text(json.dumps(config))
    seal_again(folder)
    monkeypatch.setitem(LATER_SETTINGS, "keep_epoch", "log_loss")
    outcome = resume(folder, trainer, small, tiny_dataset)
    assert outcome.code == 0, outcome.stderr
    assert "kept epoch" in outcome.stdout
