"""A view of a photograph is decided by its content, the seed and the augmentation."""

from __future__ import annotations

import hashlib

import pytest
import torch

from dr_ovo.batches.augmentation import Augmentation, flipped_views, normalise, to_unit_range
from dr_ovo.batches.features.views import View, Views
from dr_ovo.models.backbone import InputSpec
from dr_ovo.settings.groups.augmentation import AugmentationOptions

SPEC = InputSpec(16, (0.5, 0.4, 0.3), (0.2, 0.2, 0.1))
CPU = torch.device("cpu")
CONTENTS = [hashlib.sha256(text).hexdigest() for text in (b"one", b"two", b"three")]


def views(seed: int = 1, **options: object) -> Views:
    return Views(Augmentation(AugmentationOptions(**options)), seed, SPEC)


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 16, 16, 3), generator=generator, dtype=torch.uint8)


def test_an_augmented_view_is_that_of_the_augmentation(images):
    """Each photograph by itself, whatever is beside it."""
    found = views().inputs(View(True, 4), images, CONTENTS, CPU)
    for row in range(3):
        alone = views().inputs(View(True, 4), images[row : row + 1], CONTENTS[row : row + 1], CPU)
        torch.testing.assert_close(alone[0], found[row], rtol=0, atol=1e-6)
    assert not torch.allclose(found, views().inputs(View(True, 5), images, CONTENTS, CPU))
    other = views().inputs(View(True, 4), images, CONTENTS[::-1], CPU)
    assert not torch.allclose(found[0], other[0])
    torch.testing.assert_close(found[1], other[1], rtol=0, atol=1e-6)


def test_flips_are_those_of_test_time_augmentation(images):
    whole = normalise(to_unit_range(images, CPU), SPEC.mean, SPEC.std)
    for number, expected in enumerate(flipped_views(whole, 4)):
        assert torch.equal(views().inputs(View(False, number), images, CONTENTS, CPU), expected)


def test_rows_have_names_of_their_own():
    looks = [View(augmented, number) for augmented in (True, False) for number in range(3)]
    made = [views(), views(seed=2), views(rotation_range=5.0)]
    names = {one.row_name(look, content) for one in made for look in looks for content in CONTENTS}
    # Flips depend on neither seed nor augmentation.
    assert len(names) == 3 * 3 * 3 + 3 * 3
    assert all(len(name) == 64 and set(name) <= set("0123456789abcdef") for name in names)
    assert views().row_name(looks[0], CONTENTS[0]) == views().row_name(looks[0], CONTENTS[0])
