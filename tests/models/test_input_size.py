import time

import pytest
import torch

from dr_ovo.errors import UserError
from dr_ovo.models import input_size
from dr_ovo.models.backbone import create_backbone
from dr_ovo.models.input_size import check_size
from tests.fixtures.slow import slow


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("coatnet_0_rw_224", 192),
        ("coatnet_0_rw_224", 224),
        ("coatnet_0_rw_224", 384),
        ("swinv2_tiny_window8_256", 224),
        *slow(("swinv2_tiny_window8_256", 256)),
        ("convnext_tiny", 100),
        *slow(("densenet121", 384), ("efficientnet_b2", 384)),
        ("resnet50", 225),
        ("vit_tiny_patch16_224", 64),
    ],
)
def test_sizes_that_work_pass(name, size):
    check_size(name, size)


@pytest.mark.parametrize(
    ("name", "wrong", "nearest"),
    [
        ("coatnet_0_rw_224", 200, "160, 192, 224"),
        *slow(("coatnet_0_rw_224", 1, "32, 64, 96"), ("convnext_tiny", 16, "32, 48, 64")),
    ],
)
def test_a_size_that_does_not_work_is_answered_with_those_that_do(name, wrong, nearest):
    with pytest.raises(UserError) as error:
        check_size(name, wrong)
    text = str(error.value)
    assert f"--img_size {wrong}: {name}" in text
    for size in text.split("Nearest: ")[1].rstrip(".").split(", "):
        check_size(name, int(size))
    assert text.endswith(f"Nearest: {nearest}.")


def test_looking_for_a_size_computes_nothing():
    input_size._probe.cache_clear()
    start = time.process_time()
    check_size("convnext_tiny", 1024)
    assert time.process_time() - start < 5  # a forward pass takes longer, and 2 GB


@pytest.mark.parametrize(
    ("name", "wrong", "patch", "unseen", "nearest"),
    [
        ("test_vit3", 40, 16, 8, "32, 48"),
        *slow(
            ("vit_small_patch14_dinov2", 512, 14, 8, "504, 518"),
            ("mixer_b16_224", 230, 16, 6, "224, 240"),
            ("convnext_tiny", 101, 4, 1, "100, 104"),
        ),
    ],
)
def test_a_size_that_the_patch_does_not_divide_leaves_no_edge_unseen(
    name, wrong, patch, unseen, nearest
):
    with pytest.raises(UserError) as error:
        check_size(name, wrong)
    text = str(error.value)
    assert f"--img_size {wrong}: {name}" in text
    assert f"patches of {patch} pixels" in text
    assert f"the last {unseen} at" in text
    assert text.endswith(f"Nearest: {nearest}.")
    check_size(name, wrong, whole_input=False)  # as in a folder that was made before


def test_the_edge_that_the_check_calls_unseen_is_what_the_network_does_not_see():
    network = create_backbone("test_vit3", 40, None).eval()
    image = torch.rand(1, 3, 40, 40, requires_grad=True)
    network(image).square().sum().backward()
    reached = image.grad[0].abs().sum(dim=(0, 1)) > 0  # by column
    assert reached.tolist() == [True] * 32 + [False] * 8
