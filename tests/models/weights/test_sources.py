import argparse
import gzip
import logging
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dr_ovo.errors import UserError
from dr_ovo.models.backbone import create_backbone
from dr_ovo.models.network import branch_specs
from dr_ovo.models.weights.published import weights_at_hand
from dr_ovo.models.weights.sources import are_marked_leaky, read_weights
from tests.fixtures.weights import SMALL, headless, same, state_of

COLOURS = "vit_large_patch16_224"  # whose weights saw mean 0.5, and whose .mae ImageNet's

# --- downloads


@pytest.mark.parametrize("name", ["coatnet_0_rw_224", "swinv2_tiny_window8_256", "resnet50"])
def test_weights_that_can_not_be_downloaded_are_named_with_the_ways_on(hub, name):
    with pytest.raises(UserError) as error:
        read_weights(name, "")
    text = str(error.value)
    for word in (
        name,
        "model.safetensors",
        f"timm/{name}.",
        "--pretrained_path",
        "--no-pretrained",
    ):
        assert word in text


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("coatnet_0_224", "give a file with"),
        ("legacy_seresnet18", r"get https://\S+\.pth and give"),
    ],
)
def test_a_model_without_weights_on_the_hub_says_so(hub, name, way):
    with pytest.raises(UserError, match=rf"no pretrained weights for {name} .*--no-pret.*{way}"):
        read_weights(name, "")


def test_weights_downloaded_before_serve_without_a_network(hub):
    state = state_of(SMALL)
    repository = hub / "models--timm--test_efficientnet.r160_in1k"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    save_file(state, snapshot / "model.safetensors")
    assert weights_at_hand(SMALL) == str(snapshot / "model.safetensors")
    assert same(read_weights(SMALL, ""), state)


# --- files


@pytest.mark.parametrize("kind", ["plain.pth", "nested.pth", "model.safetensors", "parallel.pt"])
def test_weights_come_from_a_file_in_any_usual_form(tmp_path, kind):
    state, path = state_of(SMALL), tmp_path / kind
    if kind == "nested.pth":
        torch.save({"epoch": 3, "state_dict": state}, path)
    elif kind == "model.safetensors":
        save_file(state, path)
    elif kind == "parallel.pt":
        torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    else:
        torch.save(state, path)
    backbone = create_backbone(SMALL, 64, read_weights(SMALL, str(path)))
    assert same(backbone.state_dict(), headless(state))


def test_a_classifier_of_other_classes_is_left_out(tmp_path):
    state = state_of(SMALL, num_classes=7)
    torch.save(state, tmp_path / "a.pth")
    backbone = create_backbone(SMALL, 64, read_weights(SMALL, str(tmp_path / "a.pth")))
    assert same(backbone.state_dict(), headless(state))


@pytest.mark.parametrize("mode", ["shared", "independent"])
def test_a_checkpoint_of_this_toolkit_is_a_file_to_start_from(
    tmp_path, build_small, save_network, mode
):
    specs = branch_specs("ovo", mode, 5, [(0, 1)])
    built = build_small(SMALL, specs=specs)
    (path,) = save_network(tmp_path, built.network, specs)
    backbone = create_backbone(SMALL, 64, read_weights(SMALL, str(path)))
    assert same(backbone.state_dict(), built.backbone.state_dict())


class Mischief:
    def __reduce__(self):
        return Path.touch, (Path("mischief"),)


@pytest.mark.parametrize(
    "content",
    [
        [torch.zeros(3)],
        {"epoch": 3},
        {},
        {"weight": 1.0},
        torch.zeros(3),
        {"state_dict": {}},
        Mischief(),
        {1: torch.zeros(3)},
    ],
)
def test_a_file_without_weights_is_refused_and_runs_nothing(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"--pretrained_path .*a\.pth: .*\.safetensors"):
        create_backbone(SMALL, 64, read_weights(SMALL, str(tmp_path / "a.pth")))
    assert not (tmp_path / "mischief").exists()


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "a.bin"])
@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"%PDF-1.7"])
def test_a_file_of_another_kind_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="not a weights file"):
        read_weights(SMALL, str(tmp_path / name))


@pytest.mark.parametrize("share", [0.00002, 0.001, 0.3, 0.9, 0.9999])
@pytest.mark.parametrize("kind", ["a.pth", "legacy.pth", "a.safetensors"])
def test_a_truncated_file_is_named_as_that_at_any_share(tmp_path, kind, share):
    path, state = tmp_path / kind, state_of(SMALL)
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind != "legacy.pth")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share) + 1])
    with pytest.raises(UserError, match=rf"{kind}: truncated or damaged: download it again"):
        read_weights(SMALL, str(path))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.pth: there is no such file"):
        read_weights(SMALL, str(tmp_path / "nowhere.pth"))
    with pytest.raises(UserError, match="there is no such file"):
        read_weights(SMALL, str(tmp_path))


class Options:
    """A class of a training script, as some pickle it beside the weights."""


@pytest.mark.parametrize("legacy", [False, True])
def test_a_class_that_is_not_allowed_is_named(tmp_path, legacy):
    path = tmp_path / "a.pth"
    content = {"model": state_of(SMALL), "args": Options()}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UserError, match=r"holds Python objects \(.*test_sources\.Options\)"):
        read_weights(SMALL, str(path))


def test_a_whole_pickled_network_is_refused_by_its_class(tmp_path):
    torch.save(torch.nn.Sequential(torch.nn.Linear(2, 2)), tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"torch\.nn\.modules\.\w+\.\w+.*model\.state_dict\(\)"):
        read_weights(SMALL, str(tmp_path / "a.pth"))


@pytest.mark.parametrize("legacy", [False, True])
def test_options_and_plain_numbers_beside_the_weights_are_no_obstacle(tmp_path, legacy):
    path, state = tmp_path / "a.pth", state_of(SMALL)
    content = {
        "state_dict": state,
        "args": argparse.Namespace(lr=1e-3, nested=argparse.Namespace(x=[1, "b"])),
        "best_acc1": np.float64(81.5),
        "epochs": np.int64(3),
        "arch": "x",
    }
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    assert same(read_weights(SMALL, str(path)), state)
    assert are_marked_leaky(SMALL, str(path)) is False
    torch.save(content | {"leaky": True}, path)
    assert are_marked_leaky(SMALL, str(path)) is True


# The first block of an index that tf.train.Checkpoint wrote.
TENSORFLOW_INDEX = b"\0\0\x06\x08\x01\x1a\x02\x08\x01\0" + bytes(99)


def tar(path: Path) -> None:
    torch.save(state_of(SMALL), path.with_suffix(".inside"))
    with tarfile.open(path, "w") as archive:
        archive.add(path.with_suffix(".inside"))


def script(path: Path) -> None:
    torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)).save(str(path))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("write", "what"),
    [
        (script, "a TorchScript module"),
        (lambda path: np.savez(path.open("wb"), a=np.ones(3)), "JAX or NumPy"),
        (lambda path: np.save(path.open("wb"), np.ones(3)), "a NumPy array"),
        (lambda path: path.write_bytes(gzip.compress(b"weights" * 99)), "compressed by gzip"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "HDF5"),
        (lambda path: path.write_text("\n <html>sign in</html>"), "a web page"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "Git LFS"),
        (lambda path: path.write_text('{"weight_map": {}}'), "JSON"),
        (lambda path: path.write_bytes(b""), "empty: 0 bytes"),
        (tar, "a tar archive"),
        (lambda path: path.write_bytes(b"Rar!\x1a\x07\x01\0" + bytes(99)), "a RAR archive"),
        (lambda path: zipfile.ZipFile(path, "w").writestr("w.pth", b"x"), "a zip archive"),
        (lambda path: path.write_bytes(b"\x08\x07\x12\x07pytorch" + bytes(99)), "an ONNX model"),
        (lambda path: path.write_bytes(b"\x08\x01\x12\xd1\x02" + bytes(99)), "a SavedModel"),
        (lambda path: path.write_bytes(TENSORFLOW_INDEX), "index of a TensorFlow checkpoint"),
        (lambda path: path.write_bytes(b"\x1c\0\0\0TFL3" + bytes(99)), "TensorFlow Lite"),
        (lambda path: path.write_bytes(b"\x82\xa6params{" + bytes(99)), "JAX"),
    ],
)
def test_what_a_file_of_another_kind_is_stands_in_the_message(tmp_path, write, what):
    path = tmp_path / "a.pth"
    write(path)
    with pytest.raises(UserError, match=f"not a weights file for torch. It is .*{what}"):
        read_weights(SMALL, str(path))


def test_a_safetensors_file_is_known_by_its_content(tmp_path):
    state = state_of(SMALL)
    save_file(state, tmp_path / "a.pth")
    assert same(read_weights(SMALL, str(tmp_path / "a.pth")), state)


def test_damage_in_the_middle_is_found(tmp_path):
    path = tmp_path / "a.pth"
    torch.save(state_of(SMALL), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    torch.load(path, weights_only=True)  # torch itself does not notice
    with pytest.raises(UserError, match=r"damaged .the checksum of .* is wrong"):
        read_weights(SMALL, str(path))


@pytest.mark.parametrize(
    "content",
    [
        {"optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}, "epoch": 3},
        {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": []},
        {"optimizer_state_dict": {"state": {}}, "scheduler": {}},
    ],
)
def test_a_file_with_an_optimizer_alone_says_so(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    entries = ", ".join(content)
    said = rf"only the state of an optimizer \(its entries: {entries}\): name the file with the net"
    with pytest.raises(UserError, match=said):
        read_weights(SMALL, str(tmp_path / "a.pth"))


def test_an_old_file_of_another_program_brings_no_warning_of_torch(tmp_path, recwarn):
    numbers = {"model": {"fc.weight": np.ones(3)}}
    (tmp_path / "a.pth").write_bytes(pickle.dumps(numbers, protocol=4))
    with pytest.raises(
        UserError, match=r"pickle of Python objects.*torch\.save\(model\.state_dict"
    ):
        read_weights(SMALL, str(tmp_path / "a.pth"))
    assert not recwarn.list


# --- paths that are no files


@pytest.mark.parametrize(
    "address", ["https://example.org/mae/w.pth", "s3://bucket/w.pth", "hf-hub:timm/resnet18"]
)
def test_an_address_is_not_looked_for_on_the_disk(address):
    with pytest.raises(UserError, match=f"{address}: an address, not a file. Download it first"):
        read_weights(SMALL, address)


def test_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    state = state_of(SMALL)
    torch.save({"state_dict": state, "leaky": True}, tmp_path / "a.pth")
    assert same(read_weights(SMALL, "~/a.pth"), state)
    assert are_marked_leaky(SMALL, "~/a.pth") is True


def test_weights_over_several_files_are_named_as_that(tmp_path):
    names = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    for name in names:
        save_file(state_of(SMALL), tmp_path / name)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": {}}')
    for path in (tmp_path, index, tmp_path / names[0]):
        with pytest.raises(UserError, match=r"sharded: .*Join them"):
            read_weights(SMALL, str(path))
    save_file(state_of(SMALL), tmp_path / "model.safetensors")  # joined
    assert same(read_weights(SMALL, str(tmp_path)), state_of(SMALL))


# --- colours


@pytest.mark.parametrize(
    ("layout", "told"),
    [
        (lambda s: {"model": s, "args": argparse.Namespace()}, True),  # MAE, RETFound
        (lambda s: s, True),  # DINO's backbone alone
        (lambda s: {**s, "head.weight": torch.ones(2, 2)}, False),  # as timm publishes them
        (lambda s: {"toolkit": "dr_ovo", "architecture": COLOURS, "state_dict": s}, False),
    ],
)
def test_weights_that_may_want_imagenet_s_colours_name_the_model_that_has_them(
    tmp_path, caplog, monkeypatch, layout, told
):
    monkeypatch.setattr(logging.getLogger("dr_ovo"), "propagate", True)
    torch.save(layout({"blocks.0.norm1.weight": torch.ones(2)}), tmp_path / "a.pth")
    with caplog.at_level(logging.INFO, logger="dr_ovo"):
        read_weights(COLOURS, str(tmp_path / "a.pth"))
    assert (f"give --base_models {COLOURS}.mae" in caplog.text) is told


# --- folders


def test_a_results_folder_is_its_checkpoint(tmp_path, build_small, save_network):
    specs = branch_specs("ovo", "shared", 5, [(0, 1)])
    built = build_small(SMALL, specs=specs)
    save_network(tmp_path / "models", built.network, specs, leaky=True)
    for path in (tmp_path, tmp_path / "models"):
        backbone = create_backbone(SMALL, 64, read_weights(SMALL, str(path)))
        assert same(backbone.state_dict(), built.backbone.state_dict())
        assert are_marked_leaky(SMALL, str(path)) is True
    with pytest.raises(UserError, match="do not fit resnet18: it is a network of test_efficientn"):
        read_weights("resnet18", str(tmp_path))


def test_a_folder_with_several_networks_asks_for_one(tmp_path, build_small, save_network):
    specs = branch_specs("ovo", "independent", 3, [(0, 1), (0, 2)])
    save_network(tmp_path / "models", build_small(SMALL, specs=specs).network, specs)
    with pytest.raises(UserError, match=r"2 networks: name one of models/best_test_eff.*_0_1\.pth"):
        read_weights(SMALL, str(tmp_path))


def test_a_folder_of_the_hub_is_its_weights(tmp_path):
    state = state_of(SMALL)
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    assert same(read_weights(SMALL, str(tmp_path)), state)


def test_a_folder_of_results_folders_names_them(tmp_path, build_small, save_network):
    specs = branch_specs("softmax", "shared", 5, [])
    network = build_small(SMALL, specs=specs).network
    for number in (1, 2, 10):
        save_network(tmp_path / f"fold_{number}" / "models", network, specs, head="softmax")
    (tmp_path / "ensemble").mkdir()
    with pytest.raises(UserError, match="holds 3 results folders, each with a network") as refused:
        read_weights(SMALL, str(tmp_path))
    assert str(refused.value).endswith(f"{tmp_path}/fold_1, {tmp_path}/fold_2, {tmp_path}/fold_10.")
    assert read_weights(SMALL, str(tmp_path / "fold_2"))
