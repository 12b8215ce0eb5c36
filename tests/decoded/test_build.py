"""What is built is what decoding gives; damage costs single files."""

from __future__ import annotations

import logging
import math
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dr_ovo.decoded import build as building
from dr_ovo.decoded.build import Built, build
from dr_ovo.decoded.decoded_rows import open_rows
from dr_ovo.decoded.places import store_folder, store_name
from dr_ovo.decoded.processes import executor
from dr_ovo.errors import MachineError
from dr_ovo.photographs.damage import Damage
from dr_ovo.photographs.image_decoding import decode_image
from dr_ovo.photographs.preprocessing import Preprocessing
from dr_ovo.photographs.quality import decode_with_quality
from tests.decoded.conftest import COUNT, PREPROCESSING, hashed
from tests.fixtures import decoders
from tests.fixtures.slow import slow


def plain(path, preprocessing=PREPROCESSING) -> np.ndarray:
    return preprocessing.apply(decode_image(path, preprocessing.size))


def all_are_right(cache, files, preprocessing=PREPROCESSING) -> bool:
    with open_rows(cache, preprocessing) as rows:
        return all(
            np.array_equal(rows.get(sha256), plain(path, preprocessing))
            for path, sha256 in files.items()
        )


def marked(path, files):
    """The files, one of which has the mark at which decoders of the tests go wrong."""
    path.write_bytes(path.read_bytes() + decoders.MARK)
    return hashed(list(files))


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(32),
        *slow(
            Preprocessing(40, clahe=False),
            Preprocessing(32, disc_crop=False, clahe_clip_limit=1.5),
            Preprocessing(48, ben_graham=True),
        ),
    ],
    ids=lambda one: ", ".join(one.steps),
)
def test_rows_are_what_decoding_gives(draw, tmp_path, preprocessing):
    files = draw(tmp_path / "drawn", height=144)
    assert build(files, preprocessing, tmp_path / "cache") == Built(added=COUNT)
    assert all_are_right(tmp_path / "cache", files, preprocessing)


@pytest.mark.slow
def test_rows_of_real_photographs_are_what_decoding_gives(idrid_small, tmp_path):
    files = hashed(sorted((idrid_small / "test").rglob("*.jp*g"))[:6])
    preprocessing = Preprocessing(224)
    assert build(files, preprocessing, tmp_path).added == 6
    assert all_are_right(tmp_path, files, preprocessing)


def test_threads_read_at_the_same_time(built):
    cache, files = built
    right = {sha256: plain(path) for path, sha256 in files.items()}
    with open_rows(cache, PREPROCESSING) as rows, ThreadPoolExecutor(4) as pool:
        order = list(files.values()) * 100
        for sha256, pixels in zip(order, pool.map(rows.get, order), strict=True):
            assert np.array_equal(pixels, right[sha256])


def test_quality_is_kept(built):
    cache, files = built
    with open_rows(cache, PREPROCESSING) as rows:
        kept = [rows.quality(sha256) for sha256 in files.values()]
        assert rows.quality("0" * 64) is None
    measured = [decode_with_quality(path.read_bytes(), PREPROCESSING)[1].score for path in files]
    assert [math.isnan(score) for score in kept] == [True] * COUNT + [False]
    assert kept[COUNT] == measured[COUNT]


def test_only_new_photographs_are_decoded(draw, cache, built, tmp_path, monkeypatch):
    monkeypatch.setenv(decoders.NOTES, str(tmp_path / "notes"))
    files = built[1] | draw(tmp_path / "new", count=3, first=10)
    assert build(files, PREPROCESSING, cache, decode=decoders.slow) == Built(added=3)
    assert len((tmp_path / "notes").read_text().splitlines()) == 3
    assert all_are_right(cache, files)


def test_nothing_is_started_where_nothing_is_missing(built, monkeypatch):
    monkeypatch.setattr(building, "DecodingPool", None)
    assert build(built[1], PREPROCESSING, built[0]) == Built()


def test_another_preprocessing_has_a_store_of_its_own(built):
    others = [PREPROCESSING, Preprocessing(33), Preprocessing(32, clahe=False)]
    assert len({store_name(one) for one in others}) == 3
    with open_rows(built[0], Preprocessing(32, clahe=False)) as rows:
        assert len(rows) == 0


def test_a_row_does_not_count_in_another_store(built, cache):
    """Renamed, the pixels would be taken for those of another preprocessing."""
    other = Preprocessing(32, clahe=False)
    store_folder(cache, PREPROCESSING).rename(store_folder(cache, other))
    with open_rows(cache, other) as rows:
        assert all(rows.get(sha256) is None for sha256 in built[1].values())


def test_copies_share_a_row(draw, tmp_path):
    files = draw(tmp_path / "drawn", count=1)
    (first,) = files
    copy = first.with_name("copy.jpeg")
    copy.write_bytes(first.read_bytes())
    assert build(hashed([first, copy]), PREPROCESSING, tmp_path / "cache").added == 1


@pytest.mark.parametrize(
    ("decoder", "reason"),
    [
        pytest.param(decoders.aborting, "crashes the decoder", id="crash", marks=pytest.mark.slow),
        pytest.param(
            decoders.greedy, "needs more memory to be decoded than may be taken", id="memory"
        ),
    ],
)
def test_a_file_that_ends_the_decoder_is_named(draw, tmp_path, decoder, reason):
    files = draw(tmp_path / "drawn", count=7)
    bad = sorted(files)[3]
    files = marked(bad, files)
    built = build(
        files, PREPROCESSING, tmp_path / "cache", workers=2, decode=decoder, memory=1 << 29
    )
    assert built == Built(added=6, damaged=(Damage(bad, reason),))
    del files[bad]
    assert all_are_right(tmp_path / "cache", files)


def test_damaged_changed_and_unreadable_files(draw, tmp_path):
    files = draw(tmp_path / "drawn", count=4)
    cut, changed, unreadable, gone = sorted(files)
    cut.write_bytes(cut.read_bytes()[:500])
    files = hashed(list(files)) | {unreadable: "unreadable"}
    changed.write_bytes(gone.read_bytes())
    gone.unlink()
    os.mkfifo(gone)
    built = build(files, PREPROCESSING, tmp_path / "cache")
    assert built.changed == (changed,)
    damaged = {damage.path: damage.reason for damage in built.damaged}
    assert damaged == {
        cut: "is truncated: the end of the JPEG is missing",
        gone: "is not a regular file",
    }
    assert (built.added, built.refusal) == (0, "")


def test_processes_have_no_torch(draw, tmp_path):
    files = draw(tmp_path / "drawn", count=1)
    built = build(files, PREPROCESSING, tmp_path / "cache", decode=decoders.telling_modules)
    assert [damage.reason for damage in built.damaged] == ["cv2"]


def test_where_no_process_starts_this_one_decodes(draw, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(executor, "start", decoders.not_starting)
    files = draw(tmp_path / "drawn", count=2)
    with caplog.at_level(logging.WARNING, "dr_ovo"):
        assert build(files, PREPROCESSING, tmp_path / "cache") == Built(added=2)
    assert "No process that decodes can be started" in caplog.text
    assert all_are_right(tmp_path / "cache", files)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_that_nobody_foresaw_costs_one_photograph(draw, tmp_path, workers):
    files = draw(tmp_path / "drawn", count=3)
    bad = sorted(files)[1]
    files = marked(bad, files)
    built = build(files, PREPROCESSING, tmp_path / "cache", workers, decode=decoders.odd)
    assert built == Built(added=2, damaged=(Damage(bad, "can't be decoded: ValueError: odd"),))


@pytest.mark.slow
def test_decoding_that_stands_still_ends(draw, tmp_path, monkeypatch):
    monkeypatch.setenv(decoders.NOTES, str(tmp_path / "notes"))
    monkeypatch.setattr(building, "STALLED_SECONDS", 1.0)
    files = draw(tmp_path / "drawn", count=1)
    with pytest.raises(MachineError, match=r"no answer for 1 s: .*eye-0\.jpeg"):
        build(files, PREPROCESSING, tmp_path / "cache", decode=decoders.endless)
