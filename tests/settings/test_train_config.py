"""The limits of every setting, and which settings exclude each other."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from dr_ovo.errors import UserError
from dr_ovo.settings.option import boolean
from dr_ovo.settings.train_config import TrainConfig

FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig)}
NUMBERS = (int, float)

# Every numeric setting: values that it accepts, and values outside its limits.
LIMITS: dict[str, tuple[list[float], list[float]]] = {
    "num_classes": ([2, 3, 12], [1, 0, -5]),
    "img_size": ([0, 16, 224, 1000], [-1, 1, 15]),
    "clahe_clip_limit": ([0.1, 40.0], [0.0, -1.0]),
    "clahe_tile_grid_size": ([1, 64], [0, 65, -8]),
    "freeze_stages": ([0, 1, 4], [-1, 5]),
    "feature_views": ([0], [-1]),
    "ovo_dropout": ([0.0, 0.95], [-0.01, 0.96, 1.0]),
    "drop_path": ([0.0, 0.9], [-0.1, 0.91]),
    "epochs": ([1, 10**6], [0, -1]),
    "batch_size": ([1, 4096], [0, -2]),
    "gradient_accumulation_steps": ([1, 512], [0, -4]),
    "learning_rate": ([1e-7, 10.0], [0.0, -1e-5]),
    "min_lr": ([0.0, 5e-5], [-1e-9]),
    "weight_decay": ([0.0, 1.0], [-1e-4]),
    "layer_decay": ([0.01, 1.0], [0.0, -0.5, 1.01]),
    "max_grad_norm": ([0.0, 100.0], [-1.0]),
    "warmup_epochs": ([0, 1000], [-1]),
    "patience": ([1, 1000], [0, -1]),
    "ema_decay": ([0.0, 0.99], [-0.1, 1.0]),
    "tta_views": ([1, 2, 4], [0, 5]),
    "min_delta": ([0.0, 1.0], [-0.001]),
    "focal_loss_gamma": ([0.0, 5.0], [-0.5]),
    "focal_loss_alpha": ([0.01, 9.0], [0.0, -2.5]),
    "class_weights": ([], [0.0, -1.0]),
    "label_smoothing": ([0.0, 0.5], [-0.1, 0.51]),
    "rotation_range": ([0.0, 180.0], [-1.0, 181.0]),
    "brightness_range": ([0.0, 0.9], [-0.1, 0.91]),
    "contrast_range": ([0.0, 0.9], [-0.1, 0.91]),
    "saturation_range": ([0.0, 0.9], [-0.1, 0.91]),
    "hue_range": ([0.0, 180.0], [-1.0, 181.0]),
    "blur_range": ([0.0, 0.05], [-0.001, 0.051]),
    "num_workers": ([0, 256], [-1]),
    "max_megapixels": ([0.01, 100, 5000], [0, -1, math.nan]),
    "seed": ([0, 2**63 - 1], [-1, 2**63]),
    "train_sample": ([0, 10**7], [-1]),
    "save_every": ([0.01, 10**4], [0, -1]),
    "grace_seconds": ([0.1, 3600], [0, -1]),
    "folds": ([0, 2, 50], [1, -1, 51]),
    "fold": ([0], [-1]),
}
CHOICES = {
    "mode": ("train", "evaluate", "inference"),
    "decoder": ("coupling", "weighted", "vote", "expected"),
    "splits": ("val", "test"),
    "regression_loss": ("smooth_l1", "mse"),
    "preprocessing": ("disc_crop", "ben_graham", "clahe", "none"),
    "ovo_mode": ("shared", "independent"),
    "head": ("ovo", "softmax", "ordinal", "regression"),
    "scheduler": ("cosine", "linear", "plateau", "none"),
    "keep_epoch": ("best", "last", "steady", "log_loss"),
    "sampler": ("natural", "balanced"),
    "amp": ("auto", "on", "off"),
    "grad_checkpointing": ("auto", "on", "off"),
    "cache": ("auto", "on", "off"),
}


def with_value(name: str, value: Any) -> TrainConfig:
    many = isinstance(FIELDS[name].default, tuple)
    return TrainConfig(**{name: (value,) if many else value})


def test_every_numeric_setting_has_a_row_of_limits():
    numeric = {name for name, field in FIELDS.items() if field.metadata["parse"] in NUMBERS}
    assert numeric == LIMITS.keys()
    assert CHOICES.keys() == {name for name, field in FIELDS.items() if field.metadata["choices"]}


@pytest.mark.parametrize(
    ("name", "value"), [(n, v) for n, (good, _) in LIMITS.items() for v in good]
)
def test_values_within_the_limits(name, value):
    stored = getattr(with_value(name, value), name)
    assert stored == value or stored == (value,)


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, (_, bad) in LIMITS.items() for v in bad])
def test_values_beyond_the_limits(name, value):
    with pytest.raises(UserError, match=rf"--{name} {value}: expected (at least|at most|above) "):
        with_value(name, value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", [n for n, f in FIELDS.items() if f.metadata["parse"] is float])
def test_numbers_that_are_not_finite(name, value):
    with pytest.raises(UserError, match=f"--{name} {value}: expected "):
        with_value(name, value)


@pytest.mark.parametrize("name", CHOICES)
def test_choices(name):
    for choice in CHOICES[name]:
        assert getattr(with_value(name, choice), name) in (choice, (choice,))
    for wrong in ("", CHOICES[name][0].upper(), "neither"):
        with pytest.raises(UserError, match=f"expected one of: {', '.join(CHOICES[name])}"):
            with_value(name, wrong)


@pytest.mark.parametrize("name", ["dataset_path", "output_root", "device", "base_models", "input"])
def test_empty_text_is_refused_where_it_means_nothing(name):
    with pytest.raises(UserError, match=f"--{name} '': expected text that is not empty"):
        with_value(name, "")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_names": ("a", "b")}, "2 names (a b) and --num_classes is 5"),
        ({"class_names": ("a", "b", "a", "c", "d")}, "a name is given twice"),
        ({"class_names": ("..", "b"), "num_classes": 2}, "--class_names ..: expected the name"),
        ({"class_names": ("a/b", "c"), "num_classes": 2}, "--class_names a/b: expected the name"),
        ({"cache_dir": "  "}, "--cache_dir '  ': expected a folder"),
        ({"class_names": ("", "c"), "num_classes": 2}, "--class_names '': expected text"),
        ({"feature_views": 2}, "--feature_views 2 keeps the features of a backbone that does not"),
        ({"feature_views": 1, "freeze_stages": 3}, "add --freeze_weights true --freeze_stages 4"),
        ({"feature_views": 1, "freeze_weights": False, "freeze_stages": 4}, "that does not change"),
        (
            {"feature_views": 2, "freeze_stages": 4, "enable_medical_augmentation": False},
            "all views of a photograph would be the same",
        ),
        ({"preprocessing": ("clahe", "disc_crop")}, "in this order, in which they run"),
        ({"preprocessing": ("clahe", "clahe")}, "each once"),
        ({"preprocessing": ("none", "clahe")}, "or none alone"),
        ({"tta_views": 3}, "--tta_views 3: expected 1, 2 or 4"),
        ({"fold": 1}, "--fold 1: expected --folds"),
        ({"fold": 4, "folds": 3}, "--fold 4: expected 1 to 3"),
        ({"folds": 3, "pairs": ("0-1",), "ovo_mode": "independent"}, "exclude each other"),
        ({"folds": 3, "keep_epoch": "last", "scheduler": "plateau"}, "the fold held out"),
        ({"folds": 3, "keep_epoch": "last", "decoder": "weighted"}, "the fold held out"),
        ({"focal_loss_alpha": (1.0, 2.0)}, "2 numbers: expected 1, or 5"),
        ({"focal_loss_alpha": ()}, "0 numbers: expected 1, or 5"),
        ({"class_weights": (1.0,) * 4}, "4 numbers: expected 5"),
        ({"class_weights": (1.0,) * 5, "sampler": "balanced"}, "would balance twice"),
        ({"class_weights": (1.0,) * 5, "enable_class_weights": False}, "exclude each other"),
        ({"class_weights": (1.0,) * 5, "head": "ordinal"}, "does not apply to --head ordinal"),
        ({"pretrained": False, "pretrained_path": "w.pth"}, "exclude each other"),
        ({"pretrained_head": True}, "name a results folder there"),
        (
            {"pretrained_head": True, "pretrained_path": "a", "ovo_mode": "independent"},
            "has one for each pair",
        ),
        ({"head": "softmax", "ovo_mode": "independent"}, "--head softmax has no pairs"),
        ({"head": "ordinal", "ovo_mode": "independent"}, "--head ordinal has no pairs"),
        ({"pairs": ("0-1",)}, "add --ovo_mode independent"),
        ({"pairs": ("0-5",), "ovo_mode": "independent"}, "'0-5' is not a pair of 5 classes"),
        ({"pairs": ("1-1",), "ovo_mode": "independent"}, "'1-1' is not a pair"),
        ({"pairs": ("0:1",), "ovo_mode": "independent"}, "'0:1' is not a pair"),
        ({"learning_rate": 1e-5, "min_lr": 1e-4}, "--min_lr 0.0001 is above --learning_rate 1e-05"),
    ],
)
def test_settings_that_exclude_each_other(settings, message):
    with pytest.raises(UserError) as refused:
        TrainConfig(**settings)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, ("disc_crop", "clahe")),
        ({"enable_clahe": False}, ("disc_crop",)),
        ({"preprocessing": ("none",)}, ()),
        ({"preprocessing": ("ben_graham",)}, ("ben_graham",)),
        ({"preprocessing": ("disc_crop", "ben_graham")}, ("disc_crop", "ben_graham")),
    ],
)
def test_the_steps_of_preprocessing(settings, steps):
    assert TrainConfig(**settings).steps == steps


def test_settings_that_go_together():
    TrainConfig(class_names=("none", "some"), num_classes=2, class_weights=(1.0, 2.0))
    TrainConfig(focal_loss_alpha=(1.0, 2.0, 3.0), num_classes=3)
    TrainConfig(enable_focal_loss=False, focal_loss_gamma=3.0)  # like a wrapper with one flag added
    TrainConfig(freeze_weights=False, freeze_stages=3)
    TrainConfig(feature_views=8, freeze_stages=4)
    TrainConfig(feature_views=1, freeze_stages=4, enable_medical_augmentation=False)


def test_what_follows_from_settings():
    assert TrainConfig().grades == ("0", "1", "2", "3", "4")
    assert TrainConfig(num_classes=2, class_names=("no", "yes")).grades == ("no", "yes")
    assert TrainConfig().frozen_stages == 2
    assert TrainConfig(freeze_stages=3).frozen_stages == 3
    assert TrainConfig(freeze_weights=False, freeze_stages=3).frozen_stages == 0
    assert TrainConfig(num_classes=3).trained_pairs == [(0, 1), (0, 2), (1, 2)]
    some = TrainConfig(ovo_mode="independent", pairs=("3-1", "0-2", "1_3"))
    assert some.trained_pairs == [(0, 2), (1, 3)]


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().epochs = 3  # type: ignore[misc]


def test_every_setting_says_what_it_is():
    assert all(len(field.metadata["help"]) > 5 for field in FIELDS.values())


@pytest.mark.parametrize("text", ["true", "True", "1", "yes", "ON"])
def test_words_for_true(text):
    assert boolean(text) is True


@pytest.mark.parametrize("text", ["false", "FALSE", "0", "no", "off"])
def test_words_for_false(text):
    assert boolean(text) is False


@pytest.mark.parametrize("text", ["", "2", "maybe", "none"])
def test_words_that_are_neither(text):
    with pytest.raises(ValueError, match="true or false"):
        boolean(text)
