"""`--pretrained_path` and `--img_size` through the trainer's command line."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch

from dr_ovo.files import file_sha256
from dr_ovo.training.resume.pretrained_file import KEY
from tests.fixtures.sealed import seal_again
from tests.fixtures.slow import slow
from tests.fixtures.trainings import stop_after_each_epoch
from tests.fixtures.weights import state_of

VIT, STRICT_VIT, RESNET = (
    "test_vit",
    "test_vit3",
    "test_resnet",
)  # timm builds the second at any size
ARGS = argparse.Namespace(model="vit_large_patch16", lr=1e-3)


@pytest.fixture
def train(trainer, tiny_dataset, tmp_path):
    """Trains an architecture for an epoch from what a weights file holds."""

    def call(name: str, content: object, *flags: object):
        torch.save(content, tmp_path / "weights.pth")
        return trainer(*words_for(name, tiny_dataset), *flags, cwd=tmp_path)

    return call


def words_for(name: str, dataset: Path) -> tuple[object, ...]:
    return (
        "--base_models", name, "--pretrained_path", "weights.pth", "--img_size", 32,
        "--device", "cpu", "--num_workers", 0, "--dataset_path", dataset, "--output_dir", "out",
        "--epochs", 1,
    )  # fmt: skip


@pytest.mark.slow
def test_retfound_s_layout_trains_and_says_what_it_left_out(train, tmp_path):
    state = state_of(VIT, num_classes=0)
    given = {**state, "mask_token": torch.ones(1, 1, 8), "decoder_embed.weight": torch.ones(8, 8)}
    outcome = train(VIT, {"model": given, "optimizer": {}, "epoch": 3, "args": ARGS})
    assert outcome.code == 0, outcome.stderr
    assert "weights: dropped: mask_token, decoder_embed" in outcome.stdout
    assert "weights: interpolated: pos_embed (1, 101, 64) -> (1, 5, 64)" in outcome.stdout
    assert json.loads((tmp_path / "out" / "config.json").read_text())["leaky"] is False


@pytest.mark.slow
def test_a_checkpoint_of_timm_s_train_py_trains_from_its_averages(train, tmp_path):
    last, averaged = state_of(RESNET, 1), state_of(RESNET, 2)
    content = {"state_dict": last, "state_dict_ema": averaged, "args": ARGS, "epoch": 3}
    flags = ("--freeze_weights", "true", "--freeze_stages", 4)
    outcome = train(RESNET, content, *flags)
    assert outcome.code == 0, outcome.stderr
    assert "of the entry 'state_dict_ema' (not used: state_dict, args, epoch)" in outcome.stdout
    (path,) = (tmp_path / "out" / "models").glob("*.pth")
    kept = torch.load(path, weights_only=True)["state_dict"]
    assert kept["backbone.conv1.0.weight"].equal(averaged["conv1.0.weight"])
    # And the folder is what the next training starts from.
    again = train(RESNET, {}, "--pretrained_path", "out", "--output_dir", "next", *flags)
    assert again.code == 0, again.stderr
    (path,) = (tmp_path / "next" / "models").glob("*.pth")
    assert torch.load(path, weights_only=True)["state_dict"]["backbone.conv1.0.weight"].equal(
        averaged["conv1.0.weight"]
    )


class Options:
    """A class that no allowlist has."""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"model": {}, "args": Options()}, "test_pretrained_path.Options"),
        ({"optimizer": {}}, "its entries: optimizer"),
        ({"strange.tower.cls_token": torch.ones(1, 1, 64)}, "'strange.'"),
    ],
)
def test_other_files_are_refused_before_anything_is_written(content, said, train, tmp_path):
    outcome = train(VIT, content)
    assert outcome.code == 2
    assert said in outcome.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--base_models", "resnet18.in1k"), "Known: resnet18.a1_in1k"),
        *slow(
            (("--base_models", "vit_small_patch14_dinov2", "--img_size", 512), "Nearest: 504, 518"),
        ),
    ],
)
def test_tags_and_sizes_that_can_not_be(flags, said, train, tmp_path):
    outcome = train(VIT, {}, *flags)
    assert outcome.code == 2
    assert said in outcome.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture
def stopping(monkeypatch):
    """Trainings stop after an epoch, until this is undone."""
    stop_after_each_epoch(monkeypatch)
    return monkeypatch


def changed(tmp_path: Path) -> None:
    torch.save(state_of(RESNET, 2), tmp_path / "weights.pth")


def gone(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").unlink()


def changed_and_not_recorded(tmp_path: Path) -> None:
    """As in a folder of an earlier version."""
    changed(tmp_path)
    path = tmp_path / "out" / "config.json"
    config = json.loads(path.read_text())
    del config[KEY]
    path.write_text(json.dumps(config))
    seal_again(tmp_path / "out")


@pytest.mark.parametrize("what", [changed, *slow(None, gone, changed_and_not_recorded)])
def test_a_resumed_training_says_that_its_file_has_changed(
    what, train, trainer, tiny_dataset, tmp_path, stopping
):
    flags = ("--epochs", 2)
    assert train(RESNET, state_of(RESNET, 1), *flags).code == 130
    begun_with = file_sha256(tmp_path / "weights.pth")
    assert json.loads((tmp_path / "out" / "config.json").read_text())[KEY] == begun_with
    stopping.undo()
    if what is not None:
        what(tmp_path)
    outcome = trainer(*words_for(RESNET, tiny_dataset), *flags, "--resume", cwd=tmp_path)
    assert outcome.code == 0, outcome.stderr
    said = "weights.pth has changed since this training began" in outcome.stderr
    assert said == (what is changed)


@pytest.mark.slow
def test_a_folder_made_at_a_size_that_leaves_an_edge_unseen_goes_on(
    train, trainer, tiny_dataset, tmp_path, stopping
):
    state = state_of(STRICT_VIT, num_classes=0)
    size = ("--img_size", 40, "--epochs", 2)
    assert train(STRICT_VIT, state, *size).code == 2
    with stopping.context() as patch:  # as earlier versions did
        patch.setattr("dr_ovo.training.build.check_size", lambda *_, **__: None)
        assert train(STRICT_VIT, state, *size).code == 130
    stopping.undo()
    outcome = train(STRICT_VIT, state, *size, "--resume")
    assert outcome.code == 0, outcome.stderr
    assert "resuming after epoch 1" in outcome.stdout
    words = ("--output_dir", "out", "--device", "cpu", "--num_workers", 0)
    evaluated = trainer("--mode", "evaluate", *words, "--dataset_path", tiny_dataset, cwd=tmp_path)
    assert evaluated.code == 0, evaluated.stderr
    graded = trainer("--mode", "inference", *words, "--input", tiny_dataset / "test", cwd=tmp_path)
    assert graded.code == 0, graded.stderr


@pytest.mark.parametrize("head", ["softmax", *slow("ovo")])
def test_a_head_is_taken_over_where_that_is_asked_for(head, train, tmp_path):
    kept = ("--head", head, "--freeze_stages", 4)
    assert train(RESNET, state_of(RESNET), *kept, "--learning_rate", "0.1").code == 0
    # A rate at which nothing moves: the first weights are the last.
    still = (*kept, "--pretrained_path", "out", "--learning_rate", "1e-30", "--min_lr", 0)
    for name, flags in (("new", ()), ("same", ("--pretrained_head",))):
        outcome = train(RESNET, {}, *still, *flags, "--output_dir", name)
        assert outcome.code == 0, outcome.stderr
    first, new, same = (
        torch.load(next((tmp_path / name / "models").glob("*.pth")), weights_only=True)
        for name in ("out", "new", "same")
    )
    for name in ("head.weight", "head.bias"):
        assert torch.equal(same["state_dict"][name], first["state_dict"][name])
    assert not torch.equal(new["state_dict"]["head.weight"], first["state_dict"]["head.weight"])


def test_a_head_that_answers_something_else_stops_before_anything_is_written(train, tmp_path):
    assert train(RESNET, state_of(RESNET), "--head", "softmax").code == 0
    flags = ("--pretrained_path", "out", "--output_dir", "next", "--pretrained_head")
    outcome = train(RESNET, {}, "--head", "ordinal", *flags)
    assert outcome.code == 2
    assert "head: softmax there, ordinal now" in outcome.stderr
    assert not (tmp_path / "next").exists()
