"""The groups of options: each option in one of them, with what it fixes and what --help shows."""

from __future__ import annotations

import dataclasses

import pytest

from dr_ovo.models.checkpoints.assembly import COMMON
from dr_ovo.settings.command_line import parse_settings
from dr_ovo.settings.option import Fixed, boolean
from dr_ovo.settings.train_config import FIELDS, GROUPS, PER_STEP, TrainConfig, fixed_values

OF_A_NETWORK = {
    "base_models", "head", "ovo_mode", "num_classes", "class_names", "img_size", "freeze_weights",
    "freeze_stages", "preprocessing", "enable_clahe", "clahe_clip_limit", "clahe_tile_grid_size",
    "pretrained", "tta_views",
}  # fmt: skip
OF_A_RUN_ONLY = {"pairs", "train_sample", "skip_damaged", "decoder", "prior_correction"}
FREE = {
    "mode", "dataset_path", "output_dir", "output_root", "experiment_name", "log_file", "resume",
    "dry_run", "tensorboard", "max_megapixels", "allow_leaks", "patient_level", "input",
    "output", "ensemble", "device", "grad_checkpointing", "compile", "num_workers", "cache",
    "cache_dir", "micro_batch", "recover", "save_every", "grace_seconds",
    "splits", "external", "grade_map",
}  # fmt: skip


def with_tag(tag: Fixed) -> set[str]:
    return {name for name, field in FIELDS.items() if field.metadata["fixed"] == tag}


def test_each_option_is_in_one_group():
    names = [field.name for group in GROUPS.values() for field in dataclasses.fields(group)]
    assert sorted(names) == sorted(FIELDS)


def test_what_fixes_an_option():
    assert with_tag(Fixed.IN_A_NETWORK) == OF_A_NETWORK
    assert with_tag(Fixed.IN_A_RUN) == OF_A_RUN_ONLY
    assert with_tag(Fixed.NEVER) == FREE


def test_values_that_are_fixed():
    config = TrainConfig(batch_size=3, gradient_accumulation_steps=5, class_names=tuple("abcde"))
    of_a_run = fixed_values(config, Fixed.IN_A_RUN)
    assert of_a_run.keys() == FIELDS.keys() - FREE - {
        "batch_size",
        "gradient_accumulation_steps",
    } | {PER_STEP}
    assert of_a_run[PER_STEP] == config.window == 15
    assert of_a_run["class_names"] == list("abcde")
    assert fixed_values(config, Fixed.IN_A_NETWORK).keys() == OF_A_NETWORK


def test_what_the_checkpoints_of_a_network_share():
    assert COMMON == (
        "architecture", "head", "ovo_mode", "class_names", "input", "preprocessing", "tta_views",
        "freeze_stages",
    )  # fmt: skip


def test_help_says_what_each_option_expects():
    for name, field in FIELDS.items():
        expected = field.metadata["metavar"]
        assert expected, name
        assert (expected == "true|false") == (field.metadata["parse"] is boolean), name


def test_help_shows_the_groups_in_order(capsys):
    with pytest.raises(SystemExit):
        parse_settings(["--help"])
    lines = capsys.readouterr().out.splitlines()
    titles = [line.removesuffix(":") for line in lines if line.endswith(":") and line[0] != " "]
    assert titles == ["options", *GROUPS]
    for title, group in GROUPS.items():
        start = lines.index(f"{title}:")
        end = next((i for i in range(start, len(lines)) if not lines[i]), len(lines))
        shown = {line.split()[0][2:] for line in lines[start:end] if line.startswith("  --")}
        other_name = {"use_amp"} if title == "machine" else set()
        assert shown == {field.name for field in dataclasses.fields(group)} | other_name
