"""Which trainings may use a results folder, and what such a folder contains."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from dr_ovo.errors import UserError
from dr_ovo.models.checkpoints.files import load_checkpoint
from dr_ovo.results.folder import HISTORY_FIELDS, ResultsFolder
from dr_ovo.training.writing import run_writer
from tests.fixtures.sealed import edit, seal_again
from tests.fixtures.slow import slow
from tests.fixtures.trainings import stop_after_each_epoch


@pytest.fixture(scope="module")
def words(small, tiny_dataset) -> tuple[object, ...]:
    return (*small, "--dataset_path", tiny_dataset, "--epochs", 2, "--train_sample", 0)


@pytest.fixture(scope="module")
def finished(words, trainer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "out"
    assert trainer(*words, "--output_dir", folder).code == 0
    return folder


@pytest.fixture(scope="module")
def stopped(words, trainer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training stopped after the first of two epochs."""
    folder = tmp_path_factory.mktemp("stopped") / "out"
    with pytest.MonkeyPatch.context() as patch:
        stop_after_each_epoch(patch)
        assert trainer(*words, "--output_dir", folder).code == 130
    return folder


@pytest.fixture(params=["finished", "stopped"])
def trained(request, tmp_path) -> Path:
    """A private copy of a folder with a training."""
    return shutil.copytree(request.getfixturevalue(request.param), tmp_path / "out")


def test_without_resume_a_folder_with_training_is_left_alone(words, trained, trainer, contents):
    before = contents(trained)
    outcome = trainer(*words, "--output_dir", trained)
    assert outcome.code == 2
    assert "--resume" in outcome.stderr
    assert "another --output_dir" in outcome.stderr
    assert contents(trained) == before


def test_resuming_a_finished_training_changes_nothing(words, finished, trainer, contents):
    before = contents(finished)
    outcome = trainer(*words, "--output_dir", finished, "--resume")
    assert outcome.code == 0
    assert "is finished: nothing to do" in outcome.stdout
    assert contents(finished) == before


def cut(folder: Path) -> Path:
    """The checkpoint of a folder, of which half is lost."""
    (path,) = (folder / "models").glob("*.pth")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.mark.parametrize("described", [True, False])
def test_a_finished_training_with_a_damaged_checkpoint_is_not_done(
    described, words, finished, trainer, contents, tmp_path
):
    folder = shutil.copytree(finished, tmp_path / "out")
    path = cut(folder)
    if not described:
        path.with_suffix(".json").unlink()
    before = contents(folder)
    outcome = trainer(*words, "--output_dir", folder, "--resume")
    assert outcome.code == 2
    assert path.name in outcome.stderr
    advice = "restore it from a copy, or train again in another --output_dir"
    assert advice in " ".join(outcome.stderr.split())
    assert "nothing to do" not in outcome.stdout
    assert contents(folder) == before


def test_checkpoints_that_were_left_behind_are_no_damage(words, finished, trainer, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "out")
    shutil.rmtree(folder / "models")
    outcome = trainer(*words, "--output_dir", folder, "--resume")
    assert outcome.code == 0, outcome.stderr
    assert "is finished: nothing to do" in outcome.stdout


ADVICE = {  # the training -> what is said of its damaged checkpoint, and what is not
    "finished": ("restore both from a copy, or train again in another --output_dir", "--resume"),
    "stopped": ("continue it with --resume", "train again"),
}


@pytest.mark.parametrize("name", ADVICE)
def test_a_damaged_checkpoint_is_resumed_only_where_that_helps(name, request, tmp_path):
    path = cut(shutil.copytree(request.getfixturevalue(name), tmp_path / "out"))
    with pytest.raises(UserError, match=path.name) as error:
        load_checkpoint(path)
    said, unsaid = ADVICE[name]
    assert said in str(error.value)
    assert unsaid not in str(error.value)


@pytest.mark.parametrize("exists", [False, *slow(True)])
def test_resuming_where_nothing_is_starts_anew(exists, words, trainer, tmp_path):
    folder = tmp_path / "new" / "out"
    if exists:
        folder.mkdir(parents=True)
    outcome = trainer(*words, "--output_dir", folder, "--resume")
    assert outcome.code == 0, outcome.stderr
    assert "resuming after" not in outcome.stdout
    assert (folder / "models" / "best_test_efficientnet_ovo.pth").is_file()


# A flag that matters -> how the refusal names it.
OTHERS = {
    "--seed 7": "--seed: 42 there, 7 now",
    "--head softmax": "--head: ovo there, softmax now",
    "--preprocessing none": "--preprocessing: nothing there, none now",
    "--focal_loss_alpha 1 1 1 1 2": "--focal_loss_alpha: 2.5 there, 1.0 1.0 1.0 1.0 2.0 now",
    "--batch_size 4": "batch_size x gradient_accumulation_steps: 8 there, 16 now",
}
MORE_OTHERS = {
    "--learning_rate 1e-3": "--learning_rate: 5e-05 there, 0.001 now",
    "--epochs 3": "--epochs: 2 there, 3 now",
    "--img_size 64": "--img_size: 32 there, 64 now",
    "--ovo_mode independent": "--ovo_mode: shared there, independent now",
    "--no-enable_clahe": "--enable_clahe: True there, False now",
    "--base_models test_resnet": "--base_models: test_efficientnet there,",
}


@pytest.mark.parametrize("other", [*OTHERS, *slow(*MORE_OTHERS)])
def test_resuming_with_another_setting_names_it(other, words, trained, trainer, contents):
    before = contents(trained)
    outcome = trainer(*words, "--output_dir", trained, "--resume", *other.split())
    assert outcome.code == 2
    assert (OTHERS | MORE_OTHERS)[other] in outcome.stderr
    assert contents(trained) == before


def test_resuming_with_another_decoder_names_where_it_belongs(words, stopped, trainer, tmp_path):
    """It would be in the log of the training, and never used."""
    folder = shutil.copytree(stopped, tmp_path / "out")
    outcome = trainer(*words, "--output_dir", folder, "--resume", "--decoder", "expected")
    assert outcome.code == 2
    assert "--decoder: coupling there, expected now" in outcome.stderr
    assert "give others to --mode evaluate" in outcome.stderr
    assert "another --output_dir" not in outcome.stderr


def test_resuming_needs_the_decoder_of_a_recipe_again(words, stopped, trainer, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "out")
    recipe = tmp_path / "own.toml"
    recipe.write_text('description = "Own"\nmeasured = "Nowhere"\n[settings]\ndecoder = "vote"\n')
    edit(folder / "config.json", lambda content: content["settings"].update(decoder="vote"))
    edit(folder / "config.json", lambda content: content["sources"].update(decoder="recipe own"))
    seal_again(folder)
    outcome = trainer(*words, "--output_dir", folder, "--resume")
    assert outcome.code == 2
    assert "--decoder: vote there, coupling now" in outcome.stderr
    outcome = trainer(*words, "--output_dir", folder, "--resume", "--recipe", recipe)
    assert outcome.code == 0, outcome.stderr


def test_resuming_with_other_images_is_refused(words, trained, trainer, contents, draw_dataset):
    data = draw_dataset(trained.parent / "data")
    (data / "val" / "3" / "val-3-0.jpeg").rename(data / "val" / "2" / "val-3-0.jpeg")
    before = contents(trained)
    outcome = trainer(*words, "--dataset_path", data, "--output_dir", trained, "--resume")
    assert outcome.code == 2
    assert "other images" in outcome.stderr
    assert contents(trained) == before


def test_resuming_with_smaller_micro_batches(words, stopped, finished, trainer, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "out")
    smaller = ("--batch_size", 1, "--gradient_accumulation_steps", 8)
    outcome = trainer(*words, "--output_dir", folder, "--resume", *smaller)
    assert outcome.code == 0, outcome.stderr
    assert "batch 1 x accumulation 8 = 8 images per step" in outcome.stdout
    assert json.loads((folder / "resume" / "progress.json").read_text())["epoch"] == 2
    rows = [
        (where / "history.csv").read_text().splitlines()[1].split(",")[:7]
        for where in (folder, finished)
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("extra", [(), ("--resume",), ("--dry_run",)])
def test_foreign_checkpoints_are_left_alone(extra, words, trainer, contents, tmp_path):
    models = tmp_path / "out" / "models"
    models.mkdir(parents=True)
    torch.save({"epoch": 3}, models / "best_test_efficientnet_ovo.pth")
    before = contents(tmp_path)
    outcome = trainer(*words, "--output_dir", tmp_path / "out", *extra)
    assert outcome.code == 2
    assert "holds checkpoints" in outcome.stderr
    assert contents(tmp_path) == before


@pytest.mark.parametrize("extra", [(), *slow((("--resume",),))])
@pytest.mark.parametrize("epochs", [1, *slow(2)])
def test_a_training_that_never_finished_an_epoch_is_begun_anew(
    epochs, extra, words, trainer, tmp_path, monkeypatch
):
    words = (*words, "--epochs", epochs)
    # Stopped after the first epoch's best checkpoint was written, before any state names it.
    folder = tmp_path / "out"

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_writer, "save_branches", stop)
    assert trainer(*words, "--head", "softmax", "--output_dir", folder).code == 130
    assert list((folder / "models").glob("*.pth"))
    assert len(ResultsFolder(folder).read_history(1)) == 1
    monkeypatch.undo()
    outcome = trainer(*words, "--output_dir", folder, *extra)
    assert outcome.code == 0, outcome.stderr
    assert sorted(path.name for path in (folder / "models").iterdir()) == [
        "best_test_efficientnet_ovo.json",
        "best_test_efficientnet_ovo.pth",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("extra", [(), ("--resume",)])
@pytest.mark.parametrize("frozen", ["true", "false"])
def test_a_finished_first_epoch_is_not_begun_anew(
    frozen, extra, words, trainer, tmp_path, contents
):
    """With the progress.json of a training that has only just begun."""
    folder = tmp_path / "out"
    words = (*words, "--epochs", 1, "--freeze_weights", frozen, "--output_dir", folder)
    assert trainer(*words).code == 0
    new = {"schema": 1, "epoch": 0, "finished": False, "branches": {}}
    (folder / "resume" / "progress.json").write_text(json.dumps(new))
    before = contents(folder)
    outcome = trainer(*words, *extra)
    assert outcome.code == 2
    assert "progress.json says that no epoch is finished" in outcome.stderr
    assert contents(folder) == before


def test_a_file_in_the_place_of_the_folder(words, trainer, tmp_path):
    (tmp_path / "out").write_text("mine")
    outcome = trainer(*words, "--output_dir", tmp_path / "out")
    assert outcome.code == 2
    assert "expects a folder" in outcome.stderr
    assert (tmp_path / "out").read_text() == "mine"


def test_a_damaged_config_json_is_said(words, stopped, trainer, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "out")
    (folder / "config.json").write_text("{")
    outcome = trainer(*words, "--output_dir", folder, "--resume")
    assert outcome.code == 2
    assert str(folder / "config.json") in outcome.stderr


def test_a_damaged_state_is_said(words, stopped, trainer, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "out")
    state = folder / "resume" / "ovo.epoch1.pth"
    state.write_bytes(state.read_bytes()[:1000])
    outcome = trainer(*words, "--output_dir", folder, "--resume")
    assert outcome.code == 2
    assert f"{state} is damaged" in outcome.stderr
    assert "No other state is whole" in outcome.stderr
    assert (folder / "models" / "best_test_efficientnet_ovo.pth").is_file()


def test_a_finished_folder_holds_no_more_than_it_needs(finished, contents):
    assert list(contents(finished)) == [
        "config.json",
        "history.csv",
        "models/best_test_efficientnet_ovo.json",
        "models/best_test_efficientnet_ovo.pth",
        "resume/progress.json",
        "train.log",
    ]


def test_config_json(finished, tiny_dataset):
    config = json.loads((finished / "config.json").read_text())
    assert config["schema"] == 1
    assert config["settings"]["learning_rate"] == 5e-5
    assert config["settings"]["base_models"] == ["test_efficientnet"]
    assert config["sources"]["epochs"] == "command line"
    assert config["sources"]["learning_rate"] == "default"
    assert config["counts"]["train"] == dict.fromkeys("01234", 3)
    assert config["data_manifest_hash"] is None
    assert len(config["preprocessing_hash"]) == 16
    assert {"dr_ovo", "torch", "timm", "python"} <= config["versions"].keys()
    assert config["effective"]["branches"]["ovo"]["images_per_epoch"] == 15
    assert config["skipped_images"] == []


def test_history_csv(finished):
    lines = (finished / "history.csv").read_text().splitlines()
    assert lines[0] == (
        "epoch,branch,lr,train_loss,val_loss,train_accuracy,val_accuracy,val_auc,val_kappa,"
        "seconds,images_per_second,peak_memory_mb,skipped_steps,micro_batch,rate_scale"
    )
    assert lines[0] == ",".join(HISTORY_FIELDS)
    assert [line.split(",")[:2] for line in lines[1:]] == [["1", "ovo"], ["2", "ovo"]]
    row = dict(zip(HISTORY_FIELDS, lines[2].split(","), strict=True))
    assert row["train_loss"] == ""  # --train_sample 0
    assert row["train_accuracy"] == ""
    assert 0 <= float(row["val_accuracy"]) <= 1
    assert row["skipped_steps"] == "0"


@pytest.mark.slow
def test_a_folder_older_than_a_setting_did_what_its_default_says(words, trained, trainer):
    edit(trained / "config.json", lambda content: content["settings"].pop("preprocessing"))
    seal_again(trained)
    assert trainer(*words, "--output_dir", trained, "--resume").code == 0
    refused = trainer(*words, "--output_dir", trained, "--resume", "--preprocessing", "disc_crop")
    assert refused.code == 2
    assert "--preprocessing: nothing there, disc_crop now" in refused.stderr
