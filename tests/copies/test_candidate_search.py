import numpy as np
import pytest

from dr_ovo.copies import candidate_search
from dr_ovo.copies.candidate_search import MIN_CORRELATION, NEAREST, find_candidates
from dr_ovo.copies.descriptor import DESCRIPTOR_SIDE, turned


def descriptors(number: int, seed: int = 0) -> np.ndarray:
    """(number, D) float32 of norm 1: coarse noise, of which no two are alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(number, DESCRIPTOR_SIDE // 4, DESCRIPTOR_SIDE // 4))
    squares = coarse.repeat(4, axis=1).repeat(4, axis=2).reshape(number, -1)
    return (squares / np.linalg.norm(squares, axis=1, keepdims=True)).astype(np.float32)


def found(base: np.ndarray) -> dict[tuple[int, int], int]:
    """Pair -> orientation."""
    result = find_candidates(base)
    rows = zip(result.first.tolist(), result.second.tolist(), strict=True)
    return dict(zip(rows, result.orientation.tolist(), strict=True))


@pytest.mark.parametrize("block", [7, 1024])
def test_turned_copies_are_found_wherever_they_stand_with_what_makes_the_first_the_second(
    monkeypatch, block
):
    monkeypatch.setattr(candidate_search, "BLOCK", block)
    base = descriptors(40)
    planted = {(orientation, 39 - orientation): orientation for orientation in range(8)}
    for (first, second), orientation in planted.items():
        picture = base[first].reshape(DESCRIPTOR_SIDE, DESCRIPTOR_SIDE)
        base[second] = turned(picture, orientation).ravel()
    assert found(base) == planted


def test_what_is_not_alike_is_no_candidate():
    assert find_candidates(descriptors(30)).first.tolist() == []


@pytest.mark.parametrize("number", [0, 1, 2, NEAREST, 3 * NEAREST])
def test_any_number_of_pictures_of_one_kind(number):
    """All are alike: each has as many partners as possible."""
    base = np.repeat(descriptors(1), number, axis=0)
    pairs = find_candidates(base)
    assert (pairs.first < pairs.second).all()
    partners = np.bincount(np.concatenate([pairs.first, pairs.second]), minlength=number)
    assert (partners >= min(NEAREST, number - 1)).all()


def test_the_nearest_are_those_of_a_plain_search(monkeypatch):
    monkeypatch.setattr(candidate_search, "BLOCK", 16)
    rng = np.random.default_rng(1)
    shared = descriptors(1)
    base = 0.75 * shared + 0.66 * descriptors(60, seed=2) * rng.uniform(0.5, 1.5, (60, 1))
    inside = candidate_search.coarse(base)
    scores = np.max(
        [candidate_search.in_orientation(inside, k) @ inside.T for k in range(8)], axis=0
    )
    np.fill_diagonal(scores, -1)
    expected = {
        (min(one, other), max(one, other))
        for one in range(60)
        for other in np.argsort(-scores[one])[:NEAREST].tolist()
        if scores[one, other] > MIN_CORRELATION
    }
    assert len(expected) > 60
    assert found(base).keys() == expected


def test_those_that_ask_find_the_same_as_when_all_ask(monkeypatch):
    monkeypatch.setattr(candidate_search, "BLOCK", 8)
    base = 0.75 * descriptors(1) + 0.66 * descriptors(60, seed=2)
    wanted = np.isin(np.arange(60), (17, 41))
    whole, some = find_candidates(base), find_candidates(base, wanted)
    assert (whole.nearest[wanted] == some.nearest[wanted]).all()
    assert len(some) < len(whole)
    assert (whole.nearest >= 0).any()


def test_empty_descriptors_are_like_nothing():
    base = np.zeros((4, DESCRIPTOR_SIDE**2), np.float16)
    assert not len(find_candidates(base))
