"""What is dropped because of official splits, and the reasons given."""

import time
from pathlib import Path

from dr_ovo.copies.near_duplicates import Pair
from dr_ovo.dataset.photograph import Dropped, Photograph
from dr_ovo.prepare.planning.grouping import relate
from dr_ovo.prepare.planning.official_splits import leaks_into_official


def photographs(*rows: tuple[str, str, str]) -> list[Photograph]:
    """Split, patient and group of each."""
    return [
        Photograph(Path(f"{n}.jpg"), f"{n}.jpg", 0, patient=patient, group=group, split=split)
        for n, (split, patient, group) in enumerate(rows)
    ]


def dropped(rows: list[Photograph], pairs: tuple[Pair, ...] = ()) -> dict[int, Dropped]:
    return leaks_into_official(rows, relate(rows, [str(n) for n in range(len(rows))], pairs))


def test_the_closest_bond_is_told_of():
    rows = photographs(
        ("test", "p", "v"), ("test", "p", "v"), ("test", "", "v"), ("train", "p", "v"),
        ("train", "q", "v"), ("train", "q", ""),
    )  # fmt: skip
    pairs = (Pair(1, 3, 0.9, False, "turned by 180 degrees"),)
    assert {n: (one.other, one.reason) for n, one in dropped(rows, pairs).items()} == {
        3: ("1.jpg", "looks like 1.jpg, which is in test (turned by 180 degrees, score 0.90)"),
        4: ("0.jpg", "shares group v with 0.jpg, which is in test"),
        5: ("0.jpg", "is linked through other photographs to 0.jpg, which is in test"),
    }


def test_a_look_alike_over_others_is_told_as_such():
    rows = photographs(("train", "", ""), ("train", "", ""), ("test", "", ""))
    pairs = (Pair(0, 1, 0.9, False, "scaled"), Pair(1, 2, 0.8, False, "scaled"))
    assert {n: one.reason for n, one in dropped(rows, pairs).items()} == {
        0: "looks like 2.jpg, which is in test, through a chain of look-alikes",
        1: "looks like 2.jpg, which is in test (scaled, score 0.80)",
    }


def test_a_large_group_takes_time_in_proportion():
    rows = photographs(*(("test" if n % 5 == 0 else "train", "", "site") for n in range(20_000)))
    start = time.perf_counter()
    assert len(dropped(rows)) == 16_000
    assert time.perf_counter() - start < 5
