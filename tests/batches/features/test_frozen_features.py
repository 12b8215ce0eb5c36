"""Features of a frozen backbone: the stem's own, read where they are kept, computed where not."""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from dr_ovo.batches.augmentation import Augmentation
from dr_ovo.batches.features.frozen_features import Backbone, FrozenFeatures
from dr_ovo.batches.features.views import View, Views
from dr_ovo.batches.row_source import CacheChoice
from dr_ovo.caches.signed_cache import warn_once
from dr_ovo.commands import cache as command
from dr_ovo.decoded.row_file import RowFile
from dr_ovo.errors import UserError, run
from dr_ovo.models.backbone import input_spec
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.settings.groups.augmentation import AugmentationOptions
from tests.fixtures.networks import Built

CPU = torch.device("cpu")
COUNT, VIEWS = 5, 2
AUGMENTED = [View(True, number) for number in range(VIEWS)]
PLAIN = [View(False, 0), View(False, 1)]


@pytest.fixture(scope="module")
def built(build_small) -> Built:
    return build_small("test_efficientnet", frozen=4, size=32)


@pytest.fixture(autouse=True)
def _new_warnings() -> None:
    warn_once.cache_clear()


def image(position: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(position)
    return torch.randint(0, 256, (1, 32, 32, 3), generator=generator, dtype=torch.uint8)


class Made:
    """Features of drawn images, in a folder; counts what is read for them."""

    def __init__(self, built: Built, folder: Path, mode: str = "on", fill: bool = True) -> None:
        self.read_positions: list[int] = []
        contents = [hashlib.sha256(image(i).numpy()).hexdigest() for i in range(COUNT)]
        contents[4] = contents[3]  # a copy
        backbone = Backbone(built.network, "test_efficientnet", Preprocessing(32), CPU, 256)
        views = Views(Augmentation(AugmentationOptions()), 3, input_spec("test_efficientnet", 32))
        wanted = dict.fromkeys(AUGMENTED, np.arange(3)) | dict.fromkeys(PLAIN, np.arange(2, COUNT))
        choice = CacheChoice(mode, folder, 0, fill=fill)
        self.features = FrozenFeatures(backbone, views, wanted, contents, choice)

    def read(self, positions: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        for start in range(0, len(positions), size):
            part = positions[start : start + size]
            self.read_positions += part.tolist()
            yield part, torch.cat([image(min(p, 3)) for p in part.tolist()])

    def prepared(self, check: Callable[[], object] = bool, changed: tuple[int, ...] = ()) -> Made:
        self.features.prepare(self.read, check, changed)
        return self

    def values(self) -> list[torch.Tensor]:
        assert self.features.tables is not None
        tables = self.features.tables
        return [tables.of(AUGMENTED, np.arange(3)), tables.of(PLAIN, np.arange(2, COUNT))]

    def same_as(self, other: Made) -> bool:
        return all(map(torch.equal, self.values(), other.values()))


@pytest.fixture
def make(built, tmp_path) -> Callable[..., Made]:
    return lambda mode="on", fill=True: Made(built, tmp_path / "cache", mode, fill)


@pytest.fixture
def rows_file(make, tmp_path) -> Path:
    """The rows of features that were kept."""
    make().prepared()
    (path,) = tmp_path.glob("cache/features-*/rows.bin")
    return path


def test_they_are_what_the_backbone_gives(make, built):
    made = make("off").prepared()
    views, plain = made.features.views, made.values()[1]
    for row, position in enumerate(range(2, COUNT)):
        for number, view in enumerate(PLAIN):
            source = image(min(position, 3))
            inputs = views.inputs(view, source, [made.features.contents[position]], CPU)
            with torch.no_grad():
                assert torch.equal(plain[row, number], built.network.stem(inputs)[0])
    assert not torch.allclose(made.values()[0][:, 0], made.values()[0][:, 1])


def test_batches_in_the_order_given(make):
    made = make("off").prepared()
    positions = np.array([2, 0, 1])
    one, two = made.features.batches([AUGMENTED[1]]).batches(positions, 2)
    assert (one[0].tolist(), two[0].tolist()) == ([2, 0], [1])
    assert torch.equal(torch.cat([one[1], two[1]]), made.values()[0][positions, 1])
    ((_, both),) = made.features.batches(PLAIN).batches(np.array([4, 2]), 8)
    assert both.shape == (2, 2, 256)
    assert torch.equal(both[0], made.values()[1][2])


def test_several_images_together(make):
    """As on a GPU, up to rounding: each under the views that are wanted of it."""
    made = make("off").prepared()
    wanted = [[(AUGMENTED[0], "a"), (AUGMENTED[1], "b")], [(AUGMENTED[1], "c")], [(PLAIN[0], "d")]]
    positions = np.array([0, 1, 2])
    images = torch.cat([image(position) for position in positions.tolist()])
    found = made.features.compute(images, positions, wanted)
    assert [*found] == ["a", "b", "c", "d"]
    augmented, plain = made.values()
    expected = [augmented[0, 0], augmented[0, 1], augmented[1, 1], plain[0, 0]]
    for features, alone in zip(found.values(), expected, strict=True):
        np.testing.assert_allclose(features, alone, rtol=1e-4, atol=1e-5 * float(alone.max()))


def test_a_second_run_reads_no_image(make):
    first, second = make().prepared(), make().prepared()
    assert first.read_positions == [0, 1, 2, 3]  # and not the copy
    assert second.read_positions == []
    assert first.same_as(second)
    assert first.same_as(make("off").prepared())
    assert make().features.count_missing() == 0


def test_what_is_missing_is_computed_with_the_same_bits(make, tmp_path):
    whole = make("off").prepared()
    calls = 0

    def stop() -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make().prepared(stop)
    resumed = make()
    assert resumed.features.count_missing() == 10 - 2  # what was under way of the second is lost
    resumed.prepared()
    assert 0 not in resumed.read_positions
    assert resumed.same_as(whole)


def test_damage_is_computed_again(make, rows_file, caplog):
    data = bytearray(rows_file.read_bytes())
    data[4 * 256 + 17] ^= 1
    rows_file.write_bytes(data)
    again = make().prepared()
    assert len(again.read_positions) == 1
    assert "is damaged" in caplog.text
    assert again.same_as(make("off").prepared())
    assert make().prepared().read_positions == []


def test_a_file_that_was_cut_off(make, rows_file):
    rows_file.write_bytes(rows_file.read_bytes()[:1500])
    again = make().prepared()
    assert again.read_positions
    assert again.same_as(make("off").prepared())


def test_rows_of_another_index(make, rows_file):
    """Signatures tell rows that this user did not write."""
    (rows_file.parent / "index.sqlite").unlink()
    again = make().prepared()
    assert again.read_positions == [0, 1, 2, 3]
    assert again.same_as(make("off").prepared())


def test_a_full_disk_loses_nothing_but_the_rows(make, monkeypatch, caplog):
    written = 0

    def write(self: RowFile, position: int, row: np.ndarray) -> None:
        nonlocal written
        written += 1
        if written > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(self, position, row)

    whole = RowFile.write
    monkeypatch.setattr(RowFile, "write", write)
    made = make().prepared()
    assert "can't take more features: No space left on device" in caplog.text
    assert made.same_as(make("off").prepared())
    monkeypatch.undo()
    again = make()
    assert again.features.count_missing() == 7
    assert again.prepared().same_as(made)


def test_no_room_on_the_disk(make, monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)._replace(free=9000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"--cache on: .* needs 10.2 kB, and 9.0 kB are free"):
        make().features.said(10)
    automatic = make("auto")
    assert "The others are not kept: 9.0 kB are free" in automatic.features.said(10)
    automatic.prepared()
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_can_not_be_written(make, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file")
    made = make("auto").prepared()
    assert made.same_as(make("off").prepared())


def test_files_that_changed_are_not_kept(make):
    make().prepared(changed=(1,))
    again = make().prepared()
    assert again.read_positions == [1]


def test_what_may_not_be_filled_is_not(make, tmp_path):
    """A dry run asks what they take."""
    made = make(fill=False)
    assert "10 rows of 256 numbers: 10.2 kB, and as much memory; 0 of them there." in (
        made.features.said(made.features.count_missing())
    )
    assert not (tmp_path / "cache").exists()


def test_the_cache_command_shows_and_deletes_them(rows_file, tmp_path, capsys):
    cache = tmp_path / "cache"
    assert run(lambda: command.main([str(cache)], "cache")) == 0
    shown = capsys.readouterr().out
    assert "features of test_efficientnet at 32 px, disc_crop, clahe 3.0" in shown
    assert re.search(r" 10 +\d+\.\d kB$", shown, re.M)
    assert run(lambda: command.main([str(cache), "--clear"], "cache")) == 0
    assert not cache.exists()
