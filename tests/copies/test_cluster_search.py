"""Datasets full of copies: all clusters are found, with no more comparisons than needed."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.alterations import ALTERATIONS
from dr_ovo.copies import candidate_registration, cluster_search
from dr_ovo.copies.descriptor_cache import describe_files
from dr_ovo.copies.near_duplicates import Pair, clusters, find_pairs
from dr_ovo.errors import MachineError
from dr_ovo.photographs.image_decoding import decode_image
from tests.fixtures import decoders

Alteration = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def photographs(idrid_small) -> list[Path]:
    return sorted(idrid_small.glob("test/*/*.jpg"))


def series(folder: Path, source: Path, number: int, kind: str, alter: Alteration) -> list[Path]:
    """`number` copies of a photograph altered in one way, each slightly darker than the last."""
    image = alter(decode_image(source, 4096))
    made = []
    for darker in range(number):
        made.append(folder / f"{source.stem}-{kind}-{darker:02}.jpg")
        shade = cv2.convertScaleAbs(image, beta=-3 * darker)
        cv2.imwrite(str(made[-1]), shade[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 70 + darker])
    return made


def clahe_and_flipped(image: np.ndarray) -> np.ndarray:
    return ALTERATIONS["flipped horizontally"](ALTERATIONS["CLAHE 3.0"](image))


@pytest.fixture(scope="module")
def full_of_copies(photographs, tmp_path_factory) -> list[list[Path]]:
    """Two kinds of copies of two photographs and a third photograph: of the first 12 of each kind,
    more than it is compared with, of the second three."""
    folder = tmp_path_factory.mktemp("copies")
    eyes = []
    for number, source in ((12, photographs[2]), (3, photographs[9])):
        plain = series(folder, source, number, "plain", lambda image: image)
        eyes.append(plain + series(folder, source, number, "clahe", clahe_and_flipped))
    return [*eyes, [photographs[0]]]


def mixed(groups: list[list[Path]], seed: int) -> list[Path]:
    paths = [path for group in groups for path in group]
    random.Random(seed).shuffle(paths)
    return paths


def named(pairs: list[Pair], paths: list[Path]) -> set[frozenset[Path]]:
    return {frozenset((paths[pair.first], paths[pair.second])) for pair in pairs}


@dataclass(frozen=True)
class Search:
    """The paths that were searched, the pairs that were found, and the number of comparisons."""

    paths: list[Path]
    pairs: list[Pair]
    compared: int


@pytest.fixture(scope="module")
def searches(full_of_copies) -> list[Search]:
    """Of the same photographs in two orders: by a single thread, and by four."""
    made = []
    real = cluster_search.register_pairs
    for seed, cores in ((0, 1), (1, 4)):
        compared: list = []

        def register(pairs: list, load: object, kept: list = compared) -> list:
            kept.extend(pairs)
            return real(pairs, load)

        paths = mixed(full_of_copies, seed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("dr_ovo.parallel.available_cores", lambda n=cores: n)
            patch.setattr(cluster_search, "register_pairs", register)
            pairs = find_pairs(paths, describe_files(paths, None))
        made.append(Search(paths, pairs, len(compared)))
    return made


@pytest.mark.parametrize("seed", [0, 1])
def test_many_copies_of_one_kind_do_not_hide_those_of_another(full_of_copies, searches, seed):
    paths, pairs = searches[seed].paths, searches[seed].pairs
    found = {frozenset(paths[n] for n in group) for group in clusters(pairs, len(paths))}
    assert found == {frozenset(eye) for eye in full_of_copies if len(eye) > 1}


def test_neither_order_nor_threads_change_the_pairs(searches):
    one, other = (named(search.pairs, search.paths) for search in searches)
    assert one == other


def test_what_is_connected_is_not_compared(full_of_copies, searches):
    for search in searches:
        # A tree for each eye.
        assert len(search.pairs) == len(search.paths) - len(full_of_copies)
        assert search.compared < 1.2 * len(search.pairs)


def test_a_set_with_few_copies_is_searched_once(photographs, tmp_path, monkeypatch):
    rounds = []
    real = cluster_search.find_candidates

    def find(*args: object, **named: bool) -> object:
        rounds.append(args)
        return real(*args, **named)

    monkeypatch.setattr(cluster_search, "find_candidates", find)
    copies = series(tmp_path, photographs[3], 4, "plain", lambda image: image)
    paths = [*photographs, *copies]
    assert len(find_pairs(paths, describe_files(paths, None))) == 4
    assert len(rounds) == 1


@pytest.mark.usefixtures("in_processes")
def test_a_file_that_crashes_the_decoder_when_it_is_compared_is_named(
    photographs, tmp_path, monkeypatch
):
    paths = series(tmp_path, photographs[0], 2, "plain", lambda image: image)
    described = describe_files(paths, None)
    monkeypatch.setattr(candidate_registration, "_decoded", decoders.crashing)
    with pytest.raises(MachineError, match=r"plain-0[01]\.jpg crashes the decoder, though"):
        find_pairs(paths, described)
