import copy
import errno
import functools
import hashlib
import json
import os
import random
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch

from dr_ovo.commands.trainer import run_mode
from dr_ovo.errors import MachineError, UserError
from dr_ovo.models.checkpoints.assembly import COMMON, load_network, load_single
from dr_ovo.models.checkpoints.files import (
    backbone_state,
    find_checkpoints,
    input_of,
    load_checkpoint,
    save_checkpoint,
)
from dr_ovo.models.metadata import ADDED_LATER
from dr_ovo.models.network import branch_specs
from dr_ovo.pairs import class_pairs, pair_name
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.safe_files.torch_loading import load_torch
from dr_ovo.safe_files.torch_saving import save_torch
from dr_ovo.settings.command_line import parse_settings
from tests.fixtures.slow import slow

SMALL = "test_efficientnet"
PAIRS = class_pairs(5)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
ALL_TEN = [pair_name(pair) for pair in PAIRS]


@pytest.fixture(scope="module")
def ten(build_small):
    """An independent network and its ten branches."""
    specs = branch_specs("ovo", "independent", 5, PAIRS)
    return build_small(SMALL, specs=specs), specs


@pytest.fixture(scope="module")
def ten_files(ten, save_network, tmp_path_factory) -> list[Path]:
    built, specs = ten
    models = tmp_path_factory.mktemp("results") / "models"
    return save_network(models, built.network, specs)


@pytest.fixture
def shared(tmp_path, build_small, save_network) -> Path:
    """The file of a shared network."""
    specs = branch_specs("ovo", "shared", 5, PAIRS)
    (path,) = save_network(tmp_path / "models", build_small(SMALL).network, specs)
    return path


def answers(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network.eval()(images)


# --- saving and loading


@pytest.mark.parametrize(
    ("head", "frozen"), [("ovo", 2), ("ovo", 0), ("ovo", 4), ("softmax", 2), ("ordinal", 3)]
)
def test_a_network_of_one_file_answers_as_before(tmp_path, build_small, save_network, head, frozen):
    specs = branch_specs(head, "shared", 5, PAIRS)
    built = build_small(SMALL, specs=specs, frozen=frozen, dropout=0.5)
    paths = save_network(tmp_path, built.network, specs, head=head)
    network, meta = load_network(paths)
    assert torch.equal(answers(network, built.images), answers(built.network, built.images))
    assert not any(module.training for module in network.modules())
    assert (meta["head"], meta["epoch"], meta["freeze_stages"]) == (head, 3, frozen)


@pytest.mark.parametrize("frozen", [2, *slow(0, 4)])
def test_ten_files_in_any_order_are_one_network(tmp_path, build_small, save_network, frozen):
    specs = branch_specs("ovo", "independent", 5, PAIRS)
    built = build_small(SMALL, specs=specs, frozen=frozen)
    paths = save_network(tmp_path, built.network, specs)
    random.Random(0).shuffle(paths)
    network, meta = load_network(paths)
    assert list(network.branches) == ALL_TEN
    assert torch.equal(answers(network, built.images), answers(built.network, built.images))
    assert meta["pair_accuracy"] == [0.5 + 0.01 * sum(pair) for pair in PAIRS]


def test_the_pair_accuracies_of_a_shared_network_stand_in_the_order_of_pairs(shared):
    assert load_network([shared])[1]["pair_accuracy"] == [0.5 + 0.01 * sum(p) for p in PAIRS]


def test_a_single_classifier_answers_alone(ten, ten_files):
    built, _ = ten
    network, meta = load_single(ten_files[4])
    assert meta["pairs"] == [[1, 2]]
    assert torch.equal(answers(network, built.images), answers(built.network, built.images)[:, 4:5])


def test_two_classes_are_one_file_in_either_mode(tmp_path, build_small, save_network):
    for mode in ("shared", "independent"):
        specs = branch_specs("ovo", mode, 2, [(0, 1)])
        built = build_small(SMALL, specs=specs)
        paths = save_network(tmp_path / mode, built.network, specs, classes=2)
        network, _ = load_network(paths)
        assert torch.equal(answers(network, built.images), answers(built.network, built.images))


def test_each_file_holds_the_whole_backbone_under_timms_names(ten_files):
    state = backbone_state(load_checkpoint(ten_files[0]))
    timm.create_model(SMALL, num_classes=0).load_state_dict(state, strict=True)


def test_input_and_preprocessing_come_from_the_file(shared):
    spec, preprocessing = input_of(load_checkpoint(shared).meta)
    assert (spec.size, spec.mean, spec.std) == (64, IMAGENET_MEAN, (0.229, 0.224, 0.225))
    assert preprocessing == Preprocessing(64)


# --- the content of a file


ELSEWHERE = """
import importlib.util, json, pathlib, sys, torch
# The environment of run_tests.sh has the checkout on its path.
sys.path[:] = [folder for folder in sys.path if not pathlib.Path(folder, "dr_ovo").is_dir()]
assert importlib.util.find_spec("dr_ovo") is None
for path in sys.argv[1:]:
    content = torch.load(path, weights_only=True)
    print(json.dumps([path, sorted(map(str, content))]))
"""


def opened_elsewhere(paths: list[Path]) -> dict[Path, set[str]]:
    """The keys of torch files, as read by a process without this package."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", ELSEWHERE, *map(str, paths)],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return {Path(path): set(keys) for path, keys in map(json.loads, done.stdout.splitlines())}


NEEDED = {
    "schema", "architecture", "head", "pairs", "class_names", "input", "preprocessing",
    "preprocessing_hash", "epoch", "metrics", "feature_mean", "feature_std", "state_dict",
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tiny_dataset, tmp_path_factory) -> Callable[[str], Path]:
    """The results folder of a training in the given mode."""

    @functools.cache
    def train(mode: str) -> Path:
        folder = tmp_path_factory.mktemp("of training") / "results"
        words = (
            f"--mode train --dataset_path {tiny_dataset} --base_models {SMALL} --no_pretrained "
            f"--img_size 32 --epochs 1 --batch_size 8 --ovo_mode {mode} --num_workers 0 "
            "--device cpu --output_dir"
        )
        assert run_mode(parse_settings([*words.split(), str(folder)])) == 0
        return folder

    return train


@pytest.mark.parametrize(
    ("mode", "branches"), [("shared", ["ovo"]), *slow(("independent", ALL_TEN))]
)
def test_every_torch_file_of_a_training_loads_without_this_package(trained, mode, branches):
    results = trained(mode)
    files = sorted(results.rglob("*.pt*"))
    assert files
    read = opened_elsewhere(files)
    assert set(read) == set(files)
    keys = {path.name: read[path] for path in files}
    assert len(keys) == len(files)
    for branch in branches:
        assert keys[f"best_{SMALL}_{branch}.pth"] >= NEEDED
    torch_files = [p for p in results.rglob("*") if p.is_file() and _is_torch(p)]
    assert set(torch_files) == set(files)  # none has another suffix
    network, meta = load_network(find_checkpoints(results / "models", SMALL))
    assert len(network.branches) == len(branches)
    content = load_torch(results / "models" / f"best_{SMALL}_{branches[0]}.pth", "")
    assert content["feature_mean"].shape == content["feature_std"].shape
    assert content["input"]["size"] == 32
    assert content["input"]["mean"] == list(IMAGENET_MEAN)
    assert content["preprocessing_hash"] == input_of(meta)[1].hash
    _require_plain({name: value for name, value in content.items() if name != "state_dict"})


def _is_torch(path: Path) -> bool:
    return path.suffix != ".npz" and path.read_bytes()[:2] == b"PK"


def _require_plain(value: object) -> None:
    """Checks exact types: numpy's float64 would pass as a float."""
    if type(value) is dict:
        for name, item in value.items():
            assert type(name) is str
            _require_plain(item)
    elif type(value) is list:
        for item in value:
            _require_plain(item)
    else:
        assert type(value) in (str, int, float, bool, type(None), torch.Tensor), type(value)


def test_the_readable_file_beside_tells_what_the_weights_are(shared):
    readable_copy = json.loads(shared.with_suffix(".json").read_text())
    data = shared.read_bytes()
    assert readable_copy["sha256"] == hashlib.sha256(data).hexdigest()
    assert readable_copy["bytes"] == len(data)
    content = load_torch(shared, "")
    readable = {name for name in content if name not in ("state_dict", "feature_mean")}
    assert set(readable_copy) == readable | {"sha256", "bytes"}
    assert all(readable_copy[name] == content[name] for name in readable)


def test_weights_are_kept_as_they_were_not_as_they_become(tmp_path):
    weight = torch.ones(3, requires_grad=True)
    save_checkpoint(tmp_path / "a.pth", {"head": "ovo"}, {"head.bias": weight})
    with torch.no_grad():
        weight.zero_()
    state = load_checkpoint(tmp_path / "a.pth").state
    assert state["head.bias"].tolist() == [1, 1, 1]
    assert not state["head.bias"].requires_grad


# --- sets of files


@pytest.mark.parametrize("absent", [["0_2"], ["0_1", "1_3", "3_4"]])
def test_an_incomplete_set_names_the_pairs_and_the_command(ten_files, absent):
    left = [path for path in ten_files if not any(f"_{a}.pth" in path.name for a in absent)]
    assert len(left) == 10 - len(absent)
    with pytest.raises(UserError) as error:
        load_network(left)
    folder, pairs = ten_files[0].parent.parent, " ".join(absent).replace("_", "-")
    text = str(error.value)
    assert f"no classifier for the pairs {pairs}." in text
    (command,) = [line.strip() for line in text.splitlines() if "python" in line]
    assert command.startswith("python ensemble_5class_trainer.py --mode train")
    assert command.endswith(f"--output_dir {folder} --pairs {pairs}")
    assert f"--config {folder}/config.json" in command


@pytest.mark.slow
def test_that_command_completes_the_set(trained, tiny_dataset):
    models = trained("independent") / "models"
    (models / f"best_{SMALL}_1_3.pth").unlink()
    with pytest.raises(UserError) as error:
        load_network(find_checkpoints(models, SMALL))
    (command,) = [line for line in str(error.value).splitlines() if "python" in line]
    words = [*shlex.split(command)[2:], "--dataset_path", str(tiny_dataset)]
    assert run_mode(parse_settings([*words, "--num_workers", "0", "--device", "cpu"])) == 0
    network, _ = load_network(find_checkpoints(models, SMALL))
    assert list(network.branches) == ALL_TEN


def test_a_single_file_of_ten_is_incomplete_too(ten_files):
    with pytest.raises(UserError, match="incomplete"):
        load_network(ten_files[:1])


OTHERS = {
    "architecture": "test_resnet",
    "head": "softmax",
    "ovo_mode": "shared",
    "class_names": ["a", "b", "c", "d", "e"],
    "input": {"size": 96, "mean": [0.5] * 3, "std": [0.5] * 3},
    "preprocessing": Preprocessing(64, clahe=False).to_dict(),
    "tta_views": 4,
    "freeze_stages": 1,
}
QUICK = ("architecture", "ovo_mode", "input")


@pytest.mark.parametrize("key", [*QUICK, *slow(*(key for key in COMMON if key not in QUICK))])
def test_files_of_different_networks_are_refused(tmp_path, ten, ten_files, save_network, key):
    built, specs = ten
    changes = {"ovo_mode": "independent"} | {key: OTHERS[key]}
    (strange,) = save_network(tmp_path, built.network, specs[3:4], **changes)
    paths = [*ten_files[:3], strange, *ten_files[4:]]
    with pytest.raises(UserError, match=rf"do not belong to one network: {key} is"):
        load_network(paths)


@pytest.mark.parametrize(
    "key", ["head", *slow(*(key for key in COMMON if key not in (*ADDED_LATER, "head")))]
)
def test_a_file_that_lacks_what_the_others_say_is_refused(tmp_path, ten_files, key):
    content = torch.load(ten_files[3], weights_only=True)
    del content[key]
    torch.save(content, tmp_path / ten_files[3].name)
    paths = [*ten_files[:3], tmp_path / ten_files[3].name, *ten_files[4:]]
    with pytest.raises(UserError, match=rf"do not belong to one network: {key} is .* None in the"):
        load_network(paths)


def test_a_file_with_another_frozen_stem_is_refused(tmp_path, ten, ten_files, save_network):
    built, specs = ten
    network = copy.deepcopy(built.network)
    with torch.no_grad():
        next(network.stem.parameters()).add_(1e-3)
    (strange,) = save_network(tmp_path, network, specs[3:4], ovo_mode="independent")
    with pytest.raises(UserError, match="another frozen stem"):
        load_network([*ten_files[:3], strange, *ten_files[4:]])


def test_checkpoints_are_found_by_architecture(tmp_path, build_small, save_network):
    specs = branch_specs("ovo", "shared", 5, PAIRS)
    network = build_small(SMALL).network
    (first,) = save_network(tmp_path, network, specs)
    assert find_checkpoints(tmp_path, None) == [first]
    (second,) = save_network(tmp_path, network, specs, architecture="resnet50")
    assert find_checkpoints(tmp_path, "resnet50") == [second]
    with pytest.raises(UserError, match=r"several networks.*--base_models"):
        find_checkpoints(tmp_path, None)
    with pytest.raises(UserError, match=r"No checkpoints for convnext_tiny.*it has best_resnet50"):
        find_checkpoints(tmp_path, "convnext_tiny")


def test_two_modes_in_one_folder_are_not_mixed_up(tmp_path, ten, save_network):
    built, specs = ten
    save_network(tmp_path, built.network, specs[:2])
    (tmp_path / f"best_{SMALL}_ovo.pth").touch()
    with pytest.raises(UserError, match="several networks"):
        find_checkpoints(tmp_path, SMALL)


@pytest.mark.parametrize(
    "name", ["coatnet_0_rw_224", "swinv2_tiny_window8_256", "resnet50.a1_in1k", "vit_s_0_1"]
)
@pytest.mark.parametrize("branches", [["ovo"], ["0_1", "3_4", "10_11"], ["softmax"], ["ordinal"]])
def test_numbers_in_an_architectures_name_are_not_taken_for_pairs(tmp_path, name, branches):
    for branch in branches:
        (tmp_path / f"best_{name}_{branch}.pth").touch()
    (tmp_path / f"best_{name}_ovo.pth.part").touch()
    (tmp_path / "notes.pth").touch()
    found = [path.name for path in find_checkpoints(tmp_path, name)]
    assert sorted(found) == sorted(f"best_{name}_{branch}.pth" for branch in branches)


@pytest.mark.parametrize("folder", ["empty", "absent"])
def test_a_folder_without_checkpoints_says_what_is_expected(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no best_\*\.pth files.*--output_dir"):
        find_checkpoints(tmp_path / folder, None)


# --- files that are no checkpoints


@pytest.mark.parametrize("content", [{"state_dict": {}}, [1, 2], {"toolkit": "another"}])
def test_files_of_other_toolkits_are_not_evaluated(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"not made by this toolkit.*model_analyzer\.py"):
        load_checkpoint(tmp_path / "a.pth")


def test_a_file_of_another_schema_names_it(tmp_path):
    save_checkpoint(tmp_path / "a.pth", {"schema": 99}, {})
    with pytest.raises(UserError, match="checkpoint schema 99"):
        load_checkpoint(tmp_path / "a.pth")


class Mischief:
    def __reduce__(self):
        return Path.touch, (Path("mischief"),)


def test_damaged_and_dangerous_files_are_refused_and_run_nothing(tmp_path, monkeypatch, shared):
    monkeypatch.chdir(tmp_path)
    data = shared.read_bytes()
    for number, content in enumerate((data[: len(data) // 2], b"", b"no torch file")):
        path = tmp_path / f"damaged{number}.pth"
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"damaged{number}\.pth can't be loaded safely"):
            load_checkpoint(path)
    torch.save({"toolkit": "dr_ovo", "x": Mischief()}, tmp_path / "bad.pth")
    with pytest.raises(UserError, match=r"bad\.pth can't be loaded safely"):
        load_checkpoint(tmp_path / "bad.pth")
    assert not (tmp_path / "mischief").exists()


def with_other_weights(source: Path, target: Path, change: str) -> Path:
    content = load_torch(source, "")
    if change == "extra":
        content["state_dict"]["backbone.extra.bias"] = torch.zeros(1)
    else:
        name, _, kind = change.partition(" ")
        weight = content["state_dict"].pop(f"backbone.{name}")
        if kind == "cut":
            content["state_dict"][f"backbone.{name}"] = weight[:-1]
    save_torch(target, content)
    target.with_suffix(".json").unlink(missing_ok=True)  # which tells of other weights
    return target


@pytest.mark.parametrize("change", ["bn2.bias", "bn2.bias cut", "extra"])
def test_weights_that_do_not_fit_are_named(shared, change):
    with_other_weights(shared, shared, change)
    name = change.split()[0].replace(".", r"\.")
    with pytest.raises(UserError, match=rf"(?s){shared.name} do not fit {SMALL}.*{name}"):
        load_network([shared])


@pytest.mark.parametrize(
    ("change", "position"),
    [
        ("conv_stem.weight", 2),
        ("conv_stem.weight cut", 0),
        *slow(("conv_stem.weight", 0), ("conv_stem.weight cut", 2)),
    ],
)
def test_a_stem_that_does_not_fit_is_named(ten_files, tmp_path, position, change):
    other = with_other_weights(ten_files[position], tmp_path / ten_files[position].name, change)
    files = [*ten_files[:position], other, *ten_files[position + 1 :]]
    with pytest.raises(UserError, match=rf"{other.name}"):
        load_network(files)


# --- the disk


def no_space(_descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_keeps_the_old_file(shared, monkeypatch):
    old = load_checkpoint(shared)
    before = {path.name: path.read_bytes() for path in shared.parent.iterdir()}
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(MachineError, match=rf"{shared.name} could not be written: No space left"):
        save_checkpoint(shared, {"head": "ovo"}, {"head.bias": torch.zeros(3)})
    assert {path.name: path.read_bytes() for path in shared.parent.iterdir()} == before
    assert torch.equal(load_checkpoint(shared).state["head.bias"], old.state["head.bias"])


def test_a_disk_that_fills_up_in_mid_file_keeps_the_old_one(tmp_path):
    path = tmp_path / "a.pth"
    save_torch(path, {"x": torch.ones(3)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(MachineError, match=r"a\.pth could not be written"):
            save_torch(path, {"x": torch.ones(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load_torch(path, "")["x"].tolist() == [1, 1, 1]
    assert [p.name for p in tmp_path.iterdir()] == ["a.pth"]
