import argparse
import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dr_ovo.errors import UserError
from dr_ovo.models.backbone import create_backbone
from dr_ovo.models.network import branch_specs
from dr_ovo.models.weights.sources import are_marked_leaky, read_weights, weights_at_hand
from tests.fixtures.weights import SMALL, headless, same, state_of

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
@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"\x80\x02"])
def test_a_file_of_another_kind_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="not a weights file"):
        read_weights(SMALL, str(tmp_path / name))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_truncated_file_is_refused(tmp_path, suffix):
    path, state = tmp_path / f"a{suffix}", state_of(SMALL)
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UserError, match="not a weights file"):
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


def test_weights_that_are_not_numbers_any_more_are_refused(tmp_path):
    state = state_of(SMALL)
    state["bn2.bias"][3] = float("nan")
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"bn2\.bias holds NaN"):
        read_weights(SMALL, str(tmp_path / "a.pth"))


def test_a_file_with_an_optimizer_alone_says_what_it_holds(tmp_path):
    torch.save({"optimizer": {"state": {}}, "epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"no weights by name \(its entries: optimizer, epoch\)"):
        read_weights(SMALL, str(tmp_path / "a.pth"))


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
