"""`--recipe`: what it may hold, and what it yields to."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dr_ovo.errors import UserError
from dr_ovo.settings.command_line import ENVIRONMENT, parse_settings
from dr_ovo.settings.recipe import SETTABLE, read_recipe, recipe_names
from dr_ovo.settings.train_config import FIELDS, TrainConfig

OWN = """
description = "all of one kind"
measured = "on drawn photographs"
[settings]
head = "ordinal"
label-smoothing = 0
enable_focal_loss = false
focal_loss_alpha = [1, 2, 3, 4, 5]
class_weights = []
"""


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch) -> str:
    """A recipe in a file of the current folder; nothing else sets anything."""
    monkeypatch.chdir(tmp_path)
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    Path("own.toml").write_text(OWN)
    return "own.toml"


def refusal(*argv: str) -> str:
    with pytest.raises(UserError) as refused:
        parse_settings(argv)
    assert refused.value.exit_code == 2
    return str(refused.value)


def test_what_a_recipe_may_set():
    assert set(SETTABLE) == {
        "head", "decoder", "ema_decay", "tta_views", "keep_epoch", "sampler", "enable_focal_loss",
        "focal_loss_gamma", "focal_loss_alpha", "enable_class_weights", "class_weights",
        "label_smoothing", "enable_medical_augmentation", "rotation_range", "brightness_range",
        "contrast_range", "saturation_range", "hue_range", "blur_range", "regression_loss",
        "prior_correction",
    }  # fmt: skip


def test_a_recipe_sets_what_it_holds_and_nothing_else():
    settings = parse_settings(["--recipe", "own.toml"])
    assert settings.given() == {
        "head": "ordinal", "label_smoothing": 0.0, "enable_focal_loss": False,
        "focal_loss_alpha": (1.0, 2.0, 3.0, 4.0, 5.0), "class_weights": (),
    }  # fmt: skip
    assert {settings.sources[name] for name in settings.given()} == {"recipe own.toml"}
    (recipe,) = settings.recipes
    assert (recipe.description, recipe.measured) == ("all of one kind", "on drawn photographs")
    assert recipe.to_dict()["sha256"] == hashlib.sha256(OWN.encode()).hexdigest()


@pytest.mark.parametrize(
    ("flags", "name", "other"),
    [
        ("--head softmax", "head", "softmax"),
        ("--label_smoothing=0.3", "label_smoothing", 0.3),
        ("--enable_focal_loss", "enable_focal_loss", True),
        ("--no-enable_focal_loss", "enable_focal_loss", False),
        ("--focal_loss_alpha 7", "focal_loss_alpha", (7.0,)),
    ],
)
def test_it_beats_flags_before_it_and_yields_to_flags_after_it(flags, name, other):
    held = parse_settings(["--recipe", "own.toml"])
    before = parse_settings([*flags.split(), "--recipe", "own.toml"])
    assert before == held
    after = parse_settings(["--recipe=own.toml", *flags.split()])
    assert (getattr(after.config, name), after.sources[name]) == (other, "command line")
    assert set(after.recipes[0].in_effect(after.sources)) == held.given().keys() - {name}


def test_of_two_recipes_the_later_wins():
    settings = parse_settings(["--recipe", "own.toml", "--recipe", "guide"])
    assert settings.config == TrainConfig()
    assert [recipe.name for recipe in settings.recipes] == ["guide"]
    settings = parse_settings(["--recipe", "guide", "--recipe", "own.toml"])
    assert settings.sources["head"] == "recipe own.toml"
    assert settings.sources["sampler"] == "recipe guide"
    assert [recipe.name for recipe in settings.recipes] == ["guide", "own.toml"]


def test_a_settings_file_may_name_one_and_beats_it():
    Path("run.toml").write_text('recipe = "own.toml"\nhead = "softmax"\nepochs = 3')
    settings = parse_settings(["--config", "run.toml", "--label_smoothing", "0.2"])
    sources = {name: settings.sources[name] for name in settings.given()}
    assert sources == {
        "head": "file run.toml", "epochs": "file run.toml", "label_smoothing": "command line",
        "enable_focal_loss": "recipe own.toml", "focal_loss_alpha": "recipe own.toml",
        "class_weights": "recipe own.toml",
    }  # fmt: skip


def test_one_on_the_command_line_beats_the_settings_file():
    Path("run.toml").write_text('recipe = "guide"\nhead = "softmax"\nepochs = 3')
    for words in (["--config", "run.toml", "--recipe", "own.toml"],
                  ["--recipe", "own.toml", "--config", "run.toml"]):  # fmt: skip
        settings = parse_settings(words)
        assert (settings.config.head, settings.sources["head"]) == ("ordinal", "recipe own.toml")
        assert settings.config.epochs == 3
        assert settings.sources["sampler"] == "recipe guide"


@pytest.mark.parametrize("name", ["guide", "recommended"])
def test_the_recipes_of_this_package_leave_nothing_open(name):
    assert name in recipe_names()
    recipe = read_recipe(name)
    assert recipe.values.keys() == set(SETTABLE)
    settings = parse_settings(["--recipe", name])
    assert all(settings.sources[one] == f"recipe {name}" for one in SETTABLE)
    assert all(settings.sources[one] == "default" for one in FIELDS.keys() - set(SETTABLE))


def test_the_guide_s_is_what_nothing_given_is():
    assert parse_settings(["--recipe", "guide"]).config == parse_settings([]).config


def test_help_names_the_recipes(capsys):
    with pytest.raises(SystemExit):
        parse_settings(["--help"])
    assert "--recipe guide|recommended|FILE" in capsys.readouterr().out


def test_a_file_named_as_a_recipe_is_reached_by_its_path():
    Path("guide").write_text(OWN)
    assert parse_settings(["--recipe", "guide"]).config.head == "ovo"
    assert parse_settings(["--recipe", "./guide"]).config.head == "ordinal"


@pytest.mark.parametrize(
    "line",
    ["batch_size = 4", "learning_rate = 1e-3", "img_size = 64", "gradient_accumulation_steps = 1",
     "epochs = 3", 'dataset_path = "."', 'base_models = "resnet50"', "seed = 3", 'amp = "on"',
     'ovo_mode = "shared"', "freeze_stages = 0"],
)  # fmt: skip
def test_what_a_recipe_can_not_set(line):
    Path("own.toml").write_text(f"{OWN}{line}\n")
    said = refusal("--recipe", "own.toml")
    assert said.startswith(f"--recipe own.toml: a recipe can't set --{line.split()[0]}. ")
    assert "Size, batch and learning rate belong to the machine and the network" in said
    assert "label_smoothing" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected description, measured"),
        ('head = "ovo"', "expected description, measured"),
        ('description = "a"\n[settings]\nhead = "ovo"', "expected description, measured"),
        ('description = ""\nmeasured = "b"\n[settings]', "expected description, measured"),
        ('description = "a"\nmeasured = 3\n[settings]', "expected description, measured"),
        ('description = "a"\nmeasured = "b"', "expected description, measured"),
        ('description = "a"\nmeasured = "b"\nsettings = 3', "expected description, measured"),
        (f'name = "x"\n{OWN}', "nothing else"),
        ("head = ", "not valid TOML: "),
        ('{"description": "a"}', "not valid TOML: "),
        (
            f"{OWN}label_smoothing = 1",
            "the same setting twice: label-smoothing and label_smoothing",
        ),
        (f"{OWN}lable_smoothing = 1", "Unknown flag --lable_smoothing. Did you mean --label_smoo"),
        (f'{OWN}recipe = "guide"', "Unknown flag --recipe."),
        (f'{OWN}rotation_range = "far"', "rotation_range: 'far' is not a number"),
        (f"{OWN}rotation_range = [1, 2]", "rotation_range = [1, 2] is not a single value"),
    ],
)
def test_files_that_are_no_recipes(text, said):
    Path("own.toml").write_text(text)
    assert refusal("--recipe", "own.toml").startswith("--recipe own.toml: ")
    assert said in refusal("--recipe", "own.toml")


@pytest.mark.parametrize("name", ["gone.toml", "recomended", ".", "", "a\0b"])
def test_a_recipe_that_can_not_be_read(name):
    said = refusal("--recipe", name)
    assert said.startswith(f"--recipe {name}: can't be read (")
    assert said.endswith("Expected one of guide, recommended, or a TOML file.")


def test_a_recipe_needs_a_name():
    assert "--recipe: expected one argument" in refusal("--recipe")
    Path("run.toml").write_text("recipe = 3")
    assert "--config run.toml: recipe = 3: expected a name" in refusal("--config", "run.toml")


def test_a_value_beyond_its_limits_is_said_to_be_the_recipe_s():
    Path("own.toml").write_text(f"{OWN}rotation_range = 500")
    said = refusal("--recipe", "own.toml")
    assert said.startswith("--rotation_range 500.0: expected at most 180.")
    assert said.endswith("\nOf these, recipe own.toml sets --rotation_range.")


def test_settings_that_do_not_go_together_are_said_to_be_the_recipe_s():
    said = refusal("--ovo_mode", "independent", "--recipe", "own.toml")
    assert said.startswith("--head ordinal has no pairs to train independently")
    assert said.endswith("\nOf these, recipe own.toml sets --head.")
    said = refusal("--recipe", "own.toml", "--ovo_mode", "independent", "--head", "softmax")
    assert "recipe" not in said
