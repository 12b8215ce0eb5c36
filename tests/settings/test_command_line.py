"""Command line, settings file and `.env`: accepted and refused values, and precedence."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from dr_ovo.errors import UserError
from dr_ovo.settings.command_line import ENVIRONMENT, Settings, parse_settings
from dr_ovo.settings.earlier_flags import LEGACY_FLAGS
from dr_ovo.settings.option import boolean
from dr_ovo.settings.train_config import TrainConfig

FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig)}
BOOLEANS = [name for name, field in FIELDS.items() if field.metadata["parse"] is boolean]
# Values for settings that are constrained by their limits or by other settings.
OWN_VALUES = {
    "img_size": ["32"],
    "fold": ["2", "--folds", "3"],
    "blur_range": ["0.01"],
    "pretrained_head": ["true", "--pretrained_path", "folder"],
    "micro_batch": ["4"],
    "feature_views": ["2", "--freeze_stages", "4"],
    "min_lr": ["1e-6"],
    "ensemble": ["file.json", "--mode", "inference"],
    "external": ["folder", "--mode", "evaluate"],
    "grade_map": ["0,1=none", "2,3,4=some", "--mode", "evaluate", "--external", "folder"],
    "pairs": ["0-1", "--ovo_mode", "independent"],
    "class_weights": ["1", "2", "--num_classes", "2"],
    "class_names": ["none", "some", "--num_classes", "2"],
}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    """Tests run without a `.env` file and without variables that set anything."""
    monkeypatch.chdir(tmp_path)
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


def refusal(*argv: str) -> str:
    with pytest.raises(UserError) as refused:
        parse_settings(argv)
    assert refused.value.exit_code == 2
    return str(refused.value)


def given(*argv: str) -> dict[str, Any]:
    return parse_settings(argv).given()


def test_nothing_given_is_all_defaults():
    settings = parse_settings([])
    assert settings == Settings(TrainConfig(), dict.fromkeys(FIELDS, "default"))


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_is_a_flag_of_its_own_name(name):
    field = FIELDS[name]
    by_kind = {str: ["text"], int: ["2"], float: ["0.25"], boolean: ["true"]}
    words = field.metadata["choices"][:1] or by_kind[field.metadata["parse"]]
    words = OWN_VALUES.get(name, words)
    assert parse_settings([f"--{name}", *words]).sources[name] == "command line"


def test_kinds_of_values():
    numbers = ["--epochs", "7", "--learning_rate", "1e-4", "--weight_decay", "0"]
    lists = ["--focal_loss_alpha", "1", "2.5", "3e0", "4", ".5", "--base_models", "a", "b"]
    config = parse_settings([*numbers, *lists, "--device", "cpu"]).config
    assert config.epochs == 7
    assert config.learning_rate == 1e-4
    assert config.weight_decay == 0.0
    assert config.device == "cpu"
    assert config.focal_loss_alpha == (1.0, 2.5, 3.0, 4.0, 0.5)
    assert config.base_models == ("a", "b")


def test_values_may_follow_an_equals_sign():
    assert given("--epochs=7", "--learning-rate=2e-5") == {"epochs": 7, "learning_rate": 2e-5}
    assert given("--base_models=resnet50") == {"base_models": ("resnet50",)}
    assert given("--dataset_path=a=b") == {"dataset_path": "a=b"}


def test_dashes_in_names_but_not_in_values_become_underscores():
    found = given("--batch-size", "3", "--output-dir", "my-results", "--log-file=a-b.log")
    assert found == {"batch_size": 3, "output_dir": "my-results", "log_file": "a-b.log"}


def test_a_lone_double_dash_separates_nothing():
    assert given("--seed", "1", "--", "--epochs", "3") == {"seed": 1, "epochs": 3}


def test_the_last_of_two_counts():
    assert given("--epochs", "3", "--epochs", "4") == {"epochs": 4}
    assert given("--base_models", "a", "b", "--base_models", "c") == {"base_models": ("c",)}
    assert given("--resume", "--no-resume") == {"resume": False}
    assert given("--no_resume", "--resume") == {"resume": True}


def test_use_amp_is_amp_on():
    assert given("--use_amp") == given("--use-amp") == {"amp": "on"}
    assert given("--amp", "auto", "--use_amp") == {"amp": "on"}
    assert given("--use_amp", "--amp", "off") == {"amp": "off"}


@pytest.mark.parametrize("name", BOOLEANS)
def test_booleans(name):
    dashed = name.replace("_", "-")
    needed = {"pretrained_path": "folder"} if name == "pretrained_head" else {}
    more = [word for option, value in needed.items() for word in (f"--{option}", value)]
    for words in ([f"--{name}"], [f"--{name}", "true"], [f"--{dashed}=1"], [f"--{name}", "ON"]):
        assert getattr(parse_settings([*words, *more]).config, name) is True
        assert given(*words, *more) == {name: True, **needed}
    for words in (
        [f"--no_{name}"], [f"--no-{dashed}"], [f"--no-{name}"],
        [f"--{name}", "false"], [f"--{name}=0"], [f"--{dashed}", "No"],
    ):  # fmt: skip
        assert given(*words) == {name: False}


def test_what_a_boolean_does_not_take():
    assert "'maybe' is not true or false" in refusal("--pretrained", "maybe")
    assert "Not expected here: false" in refusal("--no-pretrained", "false")
    assert "--no_pretrained" in refusal("--no-pretrained=true")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--epochs", "ten"], "'ten' is not a whole number"),
        (["--epochs", "1e2"], "'1e2' is not a whole number"),
        (["--epochs", "3.5"], "'3.5' is not a whole number"),
        (["--epochs", ""], "'' is not a whole number"),
        (["--epochs"], "--epochs: expected one argument"),
        (["--learning_rate", "fast"], "'fast' is not a number"),
        (["--learning_rate", "5e-5", "6e-5"], "Not expected here: 6e-5"),
        (["--learning_rate", "-1"], "--learning_rate -1.0: expected above 0"),
        (["--learning_rate", "-1e-5"], "--learning_rate -1e-05: expected above 0"),
        (["--learning_rate", "-.5"], "--learning_rate -0.5: expected above 0"),
        (["--learning_rate=-2E-3"], "--learning_rate -0.002: expected above 0"),
        (["--learning_rate", "inf"], "--learning_rate inf: expected a finite number"),
        (["--learning_rate", "-inf"], "--learning_rate -inf: expected above 0"),
        (["--learning_rate", "NaN"], "--learning_rate nan: expected above 0"),
        (["--learning_rate", "1e999"], "--learning_rate inf: expected a finite number"),
        (["--class_weights", "1", "-2e-3", "1", "1", "1"], "--class_weights -0.002: expected"),
        (["--seed", "-1"], "--seed -1: expected at least 0"),
        (["--seed", str(2**64)], "expected at most 9223372036854775807"),
        (["--amp", "yes"], "--amp yes: expected one of: auto, on, off"),
        (["--base_models"], "--base_models: expected at least one argument"),
        (["--base_models", ""], "--base_models '': expected text that is not empty"),
        (["--config"], "--config: expected one argument"),
        (["resnet50"], "Not expected here: resnet50"),
        (["-lr", "3"], "Not expected here: -lr 3"),
        (["--", "resnet50"], "Not expected here: resnet50"),
    ],
)
def test_values_that_can_not_be_used(words, said):
    assert said in refusal(*words)


@pytest.mark.parametrize(
    ("flag", "near"),
    [
        ("--epoch", "--epochs"),
        ("--batchsize", "--batch_size"),
        ("--lerning_rate", "--learning_rate"),
        ("--base_model", "--base_models"),
        ("--no_pretrain", "--pretrained"),
        ("--use_ampp=1", "--use_amp"),
        ("--konfig", "--config"),
    ],
)
def test_an_unknown_flag_is_refused_with_the_nearest_names(flag, near):
    said = refusal(flag, "3")
    assert f"Unknown flag {flag.partition('=')[0]}. Did you mean " in said
    assert near in said


def test_all_unknown_flags_are_named():
    said = refusal("--qqqqqqqq", "--epochs", "3", "--xxxxxxxx", "5")
    assert "Unknown flag --qqqqqqqq." in said
    assert "Unknown flag --xxxxxxxx." in said
    assert "Did you mean" not in said


def test_help_names_every_setting_and_ends_well(capsys):
    with pytest.raises(SystemExit) as end:
        parse_settings(["--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert all(f"--{name} " in said for name in FIELDS)
    assert "[5e-05]" in said  # a default


# Flags that existing scripts pass.
EARLIER_FLAGS = (
    "--early_stopping_patience",
    "--validation_frequency",
    "--checkpoint_frequency",
    "--target_accuracy",
    "--enable_medical_validation",
    "--medical_terms",
    "--no_wandb",
    "--save_checkpoint_gcs",
    "--resume_from_checkpoint",
    "--test_single_pair",
    "--debug_epochs",
    "--binary_epochs",
    "--efficientnet_lr",
    "--resnet_lr",
    "--densenet_lr",
    "--class_weight_0",
    "--class_weight_1",
    "--class_weight_2",
    "--class_weight_3",
    "--class_weight_4",
    "--enable_smote",
    "--smote_k_neighbors",
    "--enable_flatten_sharpen",
    "--flatten_strength",
    "--sharpen_amount",
    "--contrast_factor",
    "--brightness_adjust",
)


def test_the_table_of_earlier_flags_holds_them_all():
    assert LEGACY_FLAGS.keys() == set(EARLIER_FLAGS)


def test_earlier_flags_are_no_settings():
    assert not {flag[2:] for flag in LEGACY_FLAGS} & FIELDS.keys()


@pytest.mark.parametrize("values", [[], ["1.5"], ["true"], ["a/b.pth"], ["x", "y", "-3"]])
@pytest.mark.parametrize("flag", EARLIER_FLAGS)
def test_each_earlier_flag_is_accepted_and_said_in_one_line(flag, values, capsys):
    assert given("--epochs", "3", flag, *values, "--seed", "4") == {"epochs": 3, "seed": 4}
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith(f"note: {flag} is from an earlier toolkit: ")
    assert line.endswith(".")


def test_an_earlier_flag_with_an_equals_sign_and_with_dashes(capsys):
    assert given("--class_weight_0=1.5", "--no-wandb") == {}
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["--class_weight_0", "--no_wandb"]


def test_an_earlier_flag_given_twice_is_said_once(capsys):
    assert given("--no_wandb", "--no-wandb", "--target_accuracy", "0.95") == {}
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize(
    ("flag", "instead"),
    [
        ("--early_stopping_patience", "--patience"),
        ("--resume_from_checkpoint", "--resume"),
        ("--test_single_pair", "--ovo_mode independent --pairs 0-1 --dry_run"),
        ("--debug_epochs", "--epochs"),
        ("--binary_epochs", "--epochs"),
        ("--resnet_lr", "--learning_rate"),
        ("--class_weight_3", "--class_weights"),
        ("--enable_smote", "--sampler balanced"),
        ("--smote_k_neighbors", "--sampler balanced"),
        ("--enable_medical_validation", "medical_validation.py"),
        ("--no_wandb", "nothing is sent anywhere"),
    ],
)
def test_what_stands_in_place_of_an_earlier_flag(flag, instead):
    assert instead in LEGACY_FLAGS[flag]


def test_a_whole_script_of_earlier_days(capsys):
    script = (
        "--mode train --base_models densenet121 --patience 28 --early_stopping_patience 25 "
        "--no_wandb --class_weight_0 1.0 --class_weight_1 8.0 --enable_smote "
        "--smote_k_neighbors 5 --save_checkpoint_gcs gs://bucket --validation_frequency 1 "
        "--medical_terms data/terms.json --seed 42"
    )
    found = given(*script.split())
    assert found == {
        "mode": "train", "base_models": ("densenet121",), "patience": 28, "seed": 42,
    }  # fmt: skip
    assert len(capsys.readouterr().err.splitlines()) == 9


def write(name: str, text: str) -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


TOML = """
epochs = 12
learning_rate = 1e-4
pretrained = false
base_models = ["resnet50", "coatnet"]
class_weights = [1, 2.5, 3, 4, 5]
device = "cpu"
batch-size = 3
"""


def test_settings_files_in_toml_and_json_hold_the_same():
    expected = {
        "epochs": 12,
        "learning_rate": 1e-4,
        "pretrained": False,
        "base_models": ("resnet50", "coatnet"),
        "class_weights": (1.0, 2.5, 3.0, 4.0, 5.0),
        "device": "cpu",
        "batch_size": 3,
    }
    assert given("--config", write("run.toml", TOML)) == expected
    text = json.dumps({**expected, "base_models": ["resnet50", "coatnet"]})
    assert given("--config", write("run.json", text)) == expected
    assert given("--config", write("run.JSON", text)) == expected


def test_a_single_value_in_a_file_may_stand_for_a_list_of_one():
    found = given("--config", write("run.toml", 'base_models = "resnet50"'))
    assert found == {"base_models": ("resnet50",)}


def test_words_of_the_command_line_serve_in_a_file_too():
    text = 'pretrained = "no"\nepochs = "5"\nclass_names = [1, 2]\nnum_classes = 2\nresume = 1'
    assert given("--config", write("run.toml", text)) == {
        "pretrained": False, "epochs": 5, "class_names": ("1", "2"), "num_classes": 2,
        "resume": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "epochs = ", "not valid TOML"),
        ("a.json", "{", "not valid JSON"),
        ("a.toml", "min-lr = 0\nmin_lr = 1", "the same setting twice: min-lr and min_lr. Keep"),
        ("a.json", "[1, 2]", "expected names with values"),
        ("a.json", "3", "expected names with values"),
        ("a.toml", "epoch = 3", "Unknown flag --epoch. Did you mean --epochs"),
        ("a.toml", "no_wandb = true", "Unknown flag --no_wandb"),
        ("a.toml", 'config = "b.toml"', "Unknown flag --config."),
        ("a.toml", "[training]\nepochs = 3", "Unknown flag --training"),
        ("a.toml", "[settings]\nepochs = 3", "Unknown flag --settings"),
        ("a.toml", "[epochs]\nvalue = 3", 'epochs: {"value": 3} is not a whole number'),
        ("a.toml", "epochs = 3.5", "epochs: '3.5' is not a whole number"),
        ("a.toml", "epochs = true", "epochs: true is not a whole number"),
        ("a.toml", "epochs = [3, 4]", "epochs = [3, 4] is not a single value"),
        ("a.toml", "epochs = []", "epochs = [] is not a single value"),
        ("a.toml", "device = true", "device: true is not text"),
        ("a.toml", "log_file = 2026-01-01", 'log_file: "2026-01-01" is not text'),
        ("a.json", '{"output_dir": null}', "output_dir: null is not text"),
        ("a.json", '{"pretrained": null}', "pretrained: null is not true or false"),
        ("a.toml", 'pretrained = "maybe"', "pretrained: 'maybe' is not true or false"),
        ("a.toml", "base_models = [[1]]", "base_models: [1] is not text"),
        ("a.toml", "learning_rate = inf", "--learning_rate inf: expected a finite number"),
        ("a.toml", "learning_rate = nan", "--learning_rate nan: expected above 0"),
        ("a.toml", "batch_size = 0", "--batch_size 0: expected at least 1"),
    ],
)
def test_settings_files_that_can_not_be_used(name, text, said):
    assert said in refusal("--config", write(name, text))


def test_a_settings_file_that_can_not_be_read():
    assert "--config gone.toml: can't be read" in refusal("--config", "gone.toml")
    assert "can't be read" in refusal("--config", ".")
    Path("latin.toml").write_bytes("device = 'f\xfcr'".encode("latin-1"))
    assert "not valid TOML" in refusal("--config", "latin.toml")


def test_config_json_of_a_results_folder():
    """Takes the settings that matter for the network; not paths, nor the machine's settings."""
    settings = dataclasses.asdict(
        TrainConfig(
            base_models=("convnext_tiny",), ovo_mode="independent", learning_rate=3e-4,
            dataset_path="/elsewhere", output_dir="/elsewhere/r", device="cuda:3", resume=True,
        )
    )  # fmt: skip
    stored = {
        "schema": 1,
        "settings": {**settings, "batch_size x accumulation": 8},
        "sources": {},
    }
    found = given("--config", write("config.json", json.dumps(stored)))
    assert found["base_models"] == ("convnext_tiny",)
    assert found["ovo_mode"] == "independent"
    assert found["learning_rate"] == 3e-4
    assert found["class_weights"] == ()
    left_out = {"dataset_path", "output_dir", "device", "resume", "mode", "num_workers"}
    assert not left_out & found.keys()


def test_command_line_then_file_then_environment_then_default(monkeypatch):
    write(".env", "DR_OVO_DEVICE=cpu\nDR_OVO_DATASET_PATH=./from_env\nDR_OVO_OUTPUT_ROOT=./root")
    write("run.toml", 'dataset_path = "./from_file"\nepochs = 5\nseed = 6')
    settings = parse_settings(["--config", "run.toml", "--seed", "7", "--device", "cuda"])
    config, sources = settings.config, settings.sources
    assert (config.device, sources["device"]) == ("cuda", "command line")
    assert (config.seed, sources["seed"]) == (7, "command line")
    assert (config.dataset_path, sources["dataset_path"]) == ("./from_file", "file run.toml")
    assert (config.epochs, sources["epochs"]) == (5, "file run.toml")
    assert (config.output_root, sources["output_root"]) == ("./root", ".env")
    assert (config.batch_size, sources["batch_size"]) == (2, "default")
    assert sources.keys() == FIELDS.keys()
    assert settings.given().keys() == {
        "device", "seed", "dataset_path", "epochs", "output_root",
    }  # fmt: skip


def test_a_value_equal_to_the_default_is_still_given():
    assert given("--epochs", "100") == {"epochs": 100}


def test_a_variable_of_the_process_beats_the_same_in_dot_env(monkeypatch):
    write(".env", "DR_OVO_DEVICE=cpu\nDR_OVO_OUTPUT_ROOT=./root")
    monkeypatch.setenv("DR_OVO_DEVICE", "cuda:1")
    settings = parse_settings([])
    assert (settings.config.device, settings.sources["device"]) == ("cuda:1", "environment")
    assert settings.sources["output_root"] == ".env"


def test_empty_variables_set_nothing(monkeypatch):
    write(".env", "DR_OVO_DEVICE=\nDR_OVO_DATASET_PATH\nOTHER=1")
    monkeypatch.setenv("DR_OVO_OUTPUT_ROOT", "")
    assert given() == {}


def test_dot_env_is_that_of_the_callers_folder(monkeypatch, tmp_path):
    write(".env", "DR_OVO_DEVICE=cpu")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert given() == {}


def test_a_dot_env_that_is_a_folder_is_none():
    Path(".env").mkdir()  # some virtual environments have this name
    assert given() == {}


def test_a_dot_env_that_is_no_text():
    Path(".env").write_bytes(b"DR_OVO_DEVICE=\xff\xfe")
    assert ".env can't be read" in refusal()


def test_how_dot_env_is_written():
    write(".env", "DR_OVO_DEVICE='cpu'  # a comment\nexport DR_OVO_OUTPUT_ROOT=\"a b\"")
    assert given() == {"device": "cpu", "output_root": "a b"}


def test_the_example_sets_nothing_but_what_is_read():
    text = (Path(__file__).resolve().parents[2] / ".env.example").read_text()
    write(".env", text)
    assert given().keys() == set(ENVIRONMENT.values())
    assert parse_settings([]).config == TrainConfig()


# --- preprocessing by steps and by --enable_clahe


@pytest.mark.parametrize(
    ("steps", "clahe"),
    [("none", False), ("disc_crop ben_graham", False), ("disc_crop clahe", True)],
)
def test_the_steps_say_whether_there_is_clahe(steps, clahe):
    settings = parse_settings(["--preprocessing", *steps.split()])
    assert settings.config.enable_clahe is clahe
    assert settings.sources["enable_clahe"] == "command line"
    agreeing = "--enable_clahe" if clahe else "--no-enable_clahe"
    assert parse_settings([agreeing, "--preprocessing", *steps.split()]) == settings


@pytest.mark.parametrize(
    ("flag", "steps", "way_out"),
    [
        ("--enable_clahe", "disc_crop ben_graham", "or give --no-enable_clahe"),
        ("--enable_clahe", "none", "or give --no-enable_clahe"),
        ("--no-enable_clahe", "clahe", "or give --enable_clahe"),
    ],
)
def test_steps_and_enable_clahe_that_contradict_each_other(flag, steps, way_out):
    message = refusal(flag, "--preprocessing", *steps.split())
    assert f"--preprocessing {steps} (command line) and {flag} (command line)" in message
    assert way_out in message


def test_steps_of_a_settings_file_against_a_flag(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('preprocessing = ["disc_crop", "ben_graham"]\n')
    assert parse_settings(["--config", str(file)]).config.steps == ("disc_crop", "ben_graham")
    assert "(file run.toml)" in refusal("--config", str(file), "--enable_clahe")
