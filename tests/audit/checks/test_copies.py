"""Groups of pictures that must be in one fold."""

import time
from pathlib import Path

from dr_ovo.audit.checks.copies import look_alike_groups
from dr_ovo.audit.findings import Photograph
from dr_ovo.copies.near_duplicates import Pair


def photograph(number: int, patient: str = "", group: str = "") -> Photograph:
    return Photograph(Path(f"{number}.jpg"), f"{number}.jpg", "train", "0", patient, group)


def alike(first: int, second: int) -> Pair:
    return Pair(first, second, 0.9, False, "the same orientation")


def test_groups_over_looks_patients_and_visits():
    of = ["", "a", "", "a", "b", ""]
    visits = ["v", "", "", "", "v", ""]
    photographs = [photograph(n, *both) for n, both in enumerate(zip(of, visits, strict=True))]
    assert look_alike_groups(photographs, [alike(2, 3)]) == [0, 1, 1, 1, 0, 5]


def test_a_long_chain_takes_no_time():
    photographs = [photograph(n) for n in range(30_000)]
    chain = [alike(n, n + 1) for n in range(len(photographs) - 1)]
    start = time.perf_counter()
    assert set(look_alike_groups(photographs, chain)) == {0}
    assert time.perf_counter() - start < 5
