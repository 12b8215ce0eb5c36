"""Strict loading: names, shapes, kinds of numbers and bytes of weights."""

import logging

import pytest
import timm
import torch
from torch import nn

from dr_ovo.errors import UserError
from dr_ovo.models.backbone import create_backbone
from dr_ovo.models.weights.fitting import fits
from dr_ovo.models.weights.sources import read_weights
from tests.fixtures.slow import slow
from tests.fixtures.weights import SMALL, headless, same, state_of

LOOSE = "dla46x_c"  # a model whose weights timm itself loads loosely


@pytest.fixture(scope="module")
def loose():
    """The weights of LOOSE without a classifier."""
    return state_of(LOOSE, num_classes=0)


def test_a_model_that_timm_loads_loosely_gets_exactly_its_weights(loose):
    assert same(create_backbone(LOOSE, 224, loose).state_dict(), loose)


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        *slow(("inception_v3", "AuxLogits.fc.weight")),
        ("vit_base_patch16_siglip_gap_224", "attn_pool.q.weight"),
        (LOOSE, "fc.weight"),
    ],
)
def test_each_such_model_needs_all_its_names_and_no_others(name, beside):
    with torch.device("meta"):
        state = timm.create_model(name, num_classes=0).state_dict()
    assert fits(name, {**state, beside: torch.ones(2)})
    first = next(name for name in state if name.endswith(".weight"))
    assert not fits(name, {n: t for n, t in state.items() if n != first})
    if name == LOOSE:
        assert not fits(name, {**state, "tower.weight": torch.ones(2)})
        assert not fits(name, {**state, first: torch.ones(2, 2, 7, 7)})


def test_florence_s_davit_has_no_last_norm():
    with torch.device("meta"):
        state = timm.create_model("davit_base_fl", num_classes=0).state_dict()
    without = {n: t for n, t in state.items() if not n.startswith("head.norm.")}
    assert len(without) == len(state) - 2
    assert fits("davit_base_fl", without)
    assert not fits("davit_base_fl", {n: t for n, t in without.items() if n != "stem.norm.bias"})


def test_it_takes_no_other_weights_and_none_that_lack_something(loose, caplog, monkeypatch):
    name, state = LOOSE, loose
    monkeypatch.setattr(logging.getLogger("timm"), "propagate", True)
    with pytest.raises(UserError, match=f"do not fit {name}"):
        create_backbone(name, 224, state_of("test_resnet"))
    last = list(state)[-5]
    with pytest.raises(UserError, match=rf"(?s)missing: {last}"):
        create_backbone(name, 224, {n: t for n, t in state.items() if n != last})
    with pytest.raises(UserError, match=r"left over: tower\.weight"):
        create_backbone(name, 224, {**state, "tower.weight": torch.ones(2)})
    assert "Unexpected keys" not in caplog.text  # many kB of names, by timm


def test_torch_loads_as_before_afterwards():
    create_backbone(SMALL, 64, state_of(SMALL))
    with pytest.raises(UserError):
        create_backbone(SMALL, 64, {"a.b": torch.ones(2)})
    found = nn.Linear(2, 2).load_state_dict({"other": torch.ones(2)}, strict=False)
    assert found.missing_keys == ["weight", "bias"]


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.int64])
def test_whole_numbers_for_fractions_are_refused(kind):
    state = state_of(SMALL)
    state["conv_stem.weight"] = (state["conv_stem.weight"] * 100).to(kind)
    name = str(kind).removeprefix("torch.")
    with pytest.raises(UserError, match=rf"conv_stem\.weight holds whole numbers \({name}\)"):
        create_backbone(SMALL, 64, state)


def test_fractions_for_a_count_are_no_obstacle():
    state = state_of(SMALL)
    counts = [name for name in state if name.endswith("num_batches_tracked")]
    given = {n: t.float() if n in counts else t for n, t in state.items()}
    assert same(create_backbone(SMALL, 64, given).state_dict(), headless(state))


@pytest.mark.parametrize(
    ("number", "said"),
    [("nan", "NaN"), ("inf", "infinite numbers"), ("-inf", "infinite numbers")],
)
@pytest.mark.parametrize("name", ["bn2.bias", "bn1.running_var"])
def test_weights_that_are_not_finite_are_refused_by_name(name, number, said):
    state = state_of(SMALL)
    state[name][3] = float(number)
    with pytest.raises(UserError, match=rf"{name} holds {said}"):
        create_backbone(SMALL, 64, state)


def test_what_is_dropped_may_hold_any_number():
    state = state_of(SMALL) | {"val_loss.min": torch.tensor(float("inf"))}
    state["classifier.weight"].fill_(float("nan"))
    loaded = create_backbone(SMALL, 64, state).state_dict()
    assert same(loaded, {n: state[n] for n in loaded})


@pytest.mark.parametrize("name", ["conv_stem.weight", "extra.weight"])
def test_a_small_file_does_not_ask_for_much_memory(name, tmp_path):
    huge = torch.zeros(1, dtype=torch.float16).expand(200_000, 200_000)
    torch.save({"state_dict": {**state_of(SMALL), name: huge}}, tmp_path / "a.pth")
    assert (tmp_path / "a.pth").stat().st_size < 3 * 2**20
    with pytest.raises(UserError, match=rf"{name} \(200000, 200000\) stands for 74\.5 GiB"):
        read_weights(SMALL, str(tmp_path / "a.pth"))


def test_weights_that_share_their_bytes_are_no_obstacle(tmp_path):
    state = state_of(SMALL)
    both = {f"{p}{n}": t for n, t in state.items() for p in ("net.", "online_encoder.net.")}
    torch.save(both, tmp_path / "a.pth")
    loaded = create_backbone(SMALL, 64, read_weights(SMALL, str(tmp_path / "a.pth")))
    assert same(loaded.state_dict(), headless(state))
