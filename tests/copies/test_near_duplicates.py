from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.alterations import ALTERATIONS, another_exposure, half
from dr_ovo.copies import near_duplicates
from dr_ovo.copies.descriptor_cache import describe_files
from dr_ovo.copies.near_duplicates import (
    MIN_SCORE,
    MIN_SIDE,
    Pair,
    clusters,
    find_pairs,
    too_small,
)
from dr_ovo.errors import MachineError
from dr_ovo.photographs.image_decoding import decode_image
from tests.fixtures.slow import slow

ALTERED = 5  # photographs per alteration
OFTEN = ("CLAHE 3.0", "cropped by 5 % at two sides", "flipped horizontally")
SELDOM = [name for name in ALTERATIONS if name not in OFTEN]
# Alterations that change the orientation -> how a pair's description must begin.
ORIENTED = {
    "flipped horizontally": "flipped left to right",
    "flipped vertically": "flipped top to bottom",
    "turned by 90 degrees": "turned by 90 degrees counterclockwise",
    "turned by 270 degrees": "turned by 90 degrees clockwise",
}


@pytest.fixture(scope="module")
def photographs(idrid_small) -> list[Path]:
    return sorted(idrid_small.glob("test/*/*.jpg"))


def altered(
    paths: list[Path], folder: Path, alter: Callable[[np.ndarray], np.ndarray]
) -> list[Path]:
    made = []
    for path in paths:
        made.append(folder / f"{path.stem}_altered.png")
        cv2.imwrite(str(made[-1]), alter(decode_image(path, 4096))[..., ::-1])
    return made


@pytest.fixture(scope="module")
def pairs_of(tmp_path_factory) -> Callable[[list[Path]], list[Pair]]:
    """Finds pairs; what was described once is not described again."""
    kept = tmp_path_factory.mktemp("descriptors")

    def find(paths: list[Path]) -> list[Pair]:
        return find_pairs(paths, describe_files(paths, kept))

    return find


def test_different_photographs_are_no_pairs(photographs, pairs_of):
    assert len(photographs) == 25
    assert pairs_of(photographs) == []


@pytest.mark.parametrize("name", [*OFTEN, *slow(*SELDOM)])
def test_altered_copies_are_found_and_nothing_else(photographs, tmp_path, name, pairs_of):
    copies = altered(photographs[:ALTERED], tmp_path, ALTERATIONS[name])
    pairs = pairs_of([*photographs, *copies])
    assert [(p.first, p.second) for p in pairs] == [(i, 25 + i) for i in range(ALTERED)]
    for pair in pairs:
        assert not pair.exact
        assert MIN_SCORE <= pair.score <= 1
        assert pair.how.split(",")[0] == ORIENTED.get(name, "the same orientation")


def test_the_copy_may_stand_first(photographs, tmp_path, pairs_of):
    copies = altered(photographs[:3], tmp_path, ALTERATIONS["turned by 90 degrees"])
    pairs = pairs_of([*copies, *photographs])
    assert [(p.first, p.second) for p in pairs] == [(0, 3), (1, 4), (2, 5)]
    assert {p.how for p in pairs} == {"turned by 90 degrees clockwise"}


def test_what_makes_the_second_of_the_first_goes_with_their_order(photographs, tmp_path, pairs_of):
    def alter(image: np.ndarray) -> np.ndarray:
        return cv2.rotate(image[24:-24, 24:-24], cv2.ROTATE_90_COUNTERCLOCKWISE)

    copies = altered(photographs[:4], tmp_path, alter)
    scales = {}
    for order, words in ((1, "counterclockwise"), (-1, "clockwise")):
        for pair in pairs_of([*photographs[:4], *copies][::order]):
            turn, _, scale = pair.how.partition(", scaled by ")
            assert turn == f"turned by 90 degrees {words}"
            scales.setdefault((pair.first + pair.second) // 2, []).append(float(scale or 1))
    assert any(scale != 1 for both in scales.values() for scale in both)


def test_identical_files_are_paired_with_the_first_of_them(photographs, tmp_path, pairs_of):
    copies = []
    for number in range(3):
        copies.append(tmp_path / f"{number}.jpg")
        copies[-1].write_bytes(photographs[1].read_bytes())
    small = altered(photographs[1:2], tmp_path, half)
    pairs = pairs_of([*photographs[:3], *copies, *small])
    exact = [p for p in pairs if p.exact]
    assert exact == [Pair(1, 3 + number, 1.0, True, "identical") for number in range(3)]
    assert [(p.first, p.second) for p in pairs if not p.exact] == [(1, 6)]
    assert clusters(pairs, 7) == [[1, 3, 4, 5, 6]]


def test_second_photographs_of_an_eye_are_no_copies(photographs, tmp_path, pairs_of):
    places = [tmp_path / name for name in ("first", "second")]
    made = []
    for place, (shift, turn) in zip(places, ((0, 0), (0.02, 1)), strict=True):
        place.mkdir()
        made += altered(
            photographs[:ALTERED],
            place,
            partial(another_exposure, shift=shift, turn=turn),
        )
    assert pairs_of(made) == []


def test_small_pictures_are_compared_for_identity_alone(photographs, tmp_path):
    def tiny(image: np.ndarray) -> np.ndarray:
        return cv2.resize(image, (MIN_SIDE, MIN_SIDE - 1), interpolation=cv2.INTER_AREA)

    small = altered(photographs[:2], tmp_path, tiny)
    again = tmp_path / "again.png"
    again.write_bytes(small[0].read_bytes())
    paths = [photographs[0], *small, again]
    described = describe_files(paths, None)
    assert too_small(paths, described) == [1, 2, 3]
    assert find_pairs(paths, described) == [Pair(1, 3, 1.0, True, "identical")]


def test_damaged_files_are_in_no_pair(photographs, tmp_path, pairs_of):
    empty = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    for path in empty:
        path.write_bytes(b"")
    small = altered(photographs[:1], tmp_path, half)
    assert [(p.first, p.second) for p in pairs_of([*empty, photographs[0], *small])] == [(2, 3)]
    assert pairs_of(empty) == []


def test_what_was_compared_once_is_not_compared_again(photographs, tmp_path, monkeypatch):
    cache = tmp_path / "descriptors"
    paths = [*photographs[:5], *altered(photographs[:2], tmp_path, half)]
    described = describe_files(paths, cache)
    first = find_pairs(paths, described, cache)
    assert len(first) == 2

    def compare(paths: list[Path], descriptors: list[np.ndarray]) -> list[Pair]:
        raise AssertionError("compared")

    monkeypatch.setattr(near_duplicates, "_look_alikes", compare)
    assert find_pairs(paths, described, cache) == first
    # Nor in another order, as audits and trainings list them.
    other = [(pair.first, pair.second) for pair in find_pairs(paths[::-1], described, cache)]
    assert other == sorted((6 - pair.second, 6 - pair.first) for pair in first)
    with pytest.raises(AssertionError, match="compared"):
        find_pairs(paths[1:], described, cache)


def test_a_file_that_vanishes_meanwhile_is_named(photographs, tmp_path):
    small = altered(photographs[:1], tmp_path, half)
    paths = [photographs[0], *small]
    described = describe_files(paths, None)
    small[0].unlink()
    with pytest.raises(MachineError, match=small[0].name):
        find_pairs(paths, described)


def paired(ends: list[tuple[int, int]]) -> list[Pair]:
    return [Pair(a, b, 1.0, False, "the same orientation") for a, b in ends]


@pytest.mark.parametrize(
    ("ends", "groups"),
    [
        ([], []),
        ([(0, 3)], [[0, 3]]),
        ([(4, 5), (0, 3), (1, 3)], [[0, 1, 3], [4, 5]]),
        ([(1, 2), (2, 3), (3, 5), (0, 4)], [[0, 4], [1, 2, 3, 5]]),
    ],
)
def test_clusters_by_hand(ends, groups):
    assert clusters(paired(ends), 6) == groups


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda e: e[0] < e[1])))
def test_clusters_hold_what_is_connected_and_nothing_else(ends):
    groups = clusters(paired(ends), 12)
    of = {member: number for number, group in enumerate(groups) for member in group}
    assert sum(map(len, groups)) == len(of)  # no file is in two groups
    assert of.keys() == {end for pair in ends for end in pair}
    assert all(of[a] == of[b] for a, b in ends)
    for group in groups:
        reached = {group[0]}
        for _ in group:
            reached |= {x for pair in ends if reached & set(pair) for x in pair}
        assert reached == set(group)
        assert group == sorted(group)
    assert groups == sorted(groups)
