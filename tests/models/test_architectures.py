import pytest

from dr_ovo.errors import UserError
from dr_ovo.models.architectures import (
    ARCHITECTURES,
    CHANNELS_LAST,
    CONTIGUOUS,
    FASTER_IN_CHANNELS_LAST,
    SEVEN,
    alias_of,
    memory_format,
    resolve_architecture,
)


def test_the_seven_come_first_and_by_these_names():
    assert SEVEN == (
        "coatnet",
        "convnext",
        "swinv2",
        "densenet121",
        "efficientnetb2",
        "resnet50",
        "seresnext50",
    )


@pytest.mark.parametrize(
    ("alias", "timm_name"),
    [
        ("coatnet", "coatnet_0_rw_224"),
        ("convnext", "convnext_tiny"),
        ("swinv2", "swinv2_tiny_window8_256"),
        ("densenet121", "densenet121"),
        ("efficientnetb2", "efficientnet_b2"),
        ("resnet50", "resnet50"),
        ("seresnext50", "seresnext50_32x4d"),
        ("mobilenet_v2", "mobilenetv2_100"),
        ("efficientnetb5", "efficientnet_b5"),
    ],
)
def test_short_names_and_timm_names_mean_the_same(alias, timm_name):
    assert resolve_architecture(alias) == timm_name
    assert resolve_architecture(timm_name) == timm_name
    assert alias_of(timm_name) == alias


def test_every_short_name_is_one_timm_model():
    assert [row.alias for row in ARCHITECTURES.values()] == list(ARCHITECTURES)
    assert len({row.timm_name for row in ARCHITECTURES.values()}) == len(ARCHITECTURES)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "tf_efficientnet_lite0"])
def test_any_timm_model_keeps_its_name(name):
    assert resolve_architecture(name) == name
    assert alias_of(name) == name


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("coat_net", "coatnet"),
        ("densnet121", "densenet121"),
        ("efficientnet_b22", "efficientnet_b2"),
        ("ResNet50", "resnet50"),
        ("swin_v2", "swinv2"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(wrong, nearest):
    with pytest.raises(UserError) as error:
        resolve_architecture(wrong)
    text = str(error.value)
    assert f"no model '{wrong}'" in text
    assert nearest in text.split("Nearest names: ")[1].split(". Short names")[0].split(", ")


@pytest.mark.parametrize("wrong", ["", "§§§§", "../models"])
def test_a_name_like_no_other_is_answered_with_all_short_ones(wrong):
    with pytest.raises(UserError, match=r"Short names: coatnet, convnext, swinv2"):
        resolve_architecture(wrong)


@pytest.mark.parametrize("place", ["hf-hub:timm/", "hf_hub:timm/", "timm/"])
@pytest.mark.parametrize(
    ("name", "timm_name"),
    [
        ("resnet18", "resnet18"),
        ("resnet18.a1_in1k", "resnet18.a1_in1k"),
        ("vit_small_patch14_dinov2.lvd142m", "vit_small_patch14_dinov2.lvd142m"),
        ("coatnet", "coatnet_0_rw_224"),
        ("convnext.fb_in22k", "convnext_tiny.fb_in22k"),
    ],
)
def test_the_hub_s_way_to_write_a_name_is_the_name(place, name, timm_name):
    assert resolve_architecture(place + name) == timm_name


def test_an_unknown_tag_is_answered_with_the_known_ones():
    for name in ("resnet18.in1k", "timm/resnet18.in1k", "resnet18."):
        with pytest.raises(UserError) as error:
            resolve_architecture(name)
        text = str(error.value)
        assert "resnet18 has no pretrained weights with the tag" in text
        assert "resnet18.a1_in1k" in text
        assert "resnet18.tv_in1k" in text
    with pytest.raises(UserError, match="no tags: use coatnet_0_224"):
        resolve_architecture("coatnet_0_224.x")


@pytest.mark.parametrize("name", ["hf-hub:someone/resnet18", "timm/", "timm/resnet"])
def test_a_place_without_a_model_of_timm_s_is_no_name(name):
    with pytest.raises(UserError, match=f"no model '{name}'"):
        resolve_architecture(name)


@pytest.mark.parametrize(
    ("name", "device", "precision", "expected"),
    [
        ("tf_efficientnet_lite0", "cpu", "float32", CHANNELS_LAST),
        ("tf_efficientnet_lite0.in1k", "cpu", "float32", CHANNELS_LAST),
        ("tf_efficientnet_lite0", "cpu", "bfloat16", CONTIGUOUS),  # slower there
        ("densenet121", "cpu", "bfloat16", CHANNELS_LAST),
        ("tf_efficientnet_lite0", "cuda", "float32", CONTIGUOUS),  # not measured
        ("densenet121", "cuda", "bfloat16", CONTIGUOUS),
        ("densenet121", "mps", "float32", CONTIGUOUS),
        ("swinv2_tiny_window8_256", "cpu", "float32", CONTIGUOUS),
        ("vit_tiny_patch16_224", "cpu", "float32", CONTIGUOUS),
    ],
)
def test_the_memory_format_is_the_measured_one(name, device, precision, expected):
    assert memory_format(name, device, precision) == expected


def test_the_table_of_memory_formats_has_timm_s_names_and_gains_worth_having():
    for measured in FASTER_IN_CHANNELS_LAST.values():
        assert all(resolve_architecture(name) == name for name in measured)
        assert all(ratio >= 1.05 for ratio in measured.values())
