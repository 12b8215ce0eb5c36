"""Splits: groups stay together in any order of photographs; official splits are kept."""

import random
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dr_ovo.copies.near_duplicates import Pair
from dr_ovo.dataset.photograph import Photograph
from dr_ovo.errors import UserError
from dr_ovo.prepare.options import Fractions
from dr_ovo.prepare.planning.grouping import relate
from dr_ovo.prepare.planning.splits import Plan, deal_units, make_plan

SHARES = Fractions(0.1, 0.2)


def photograph(name: str, grade: int, **facts: str) -> Photograph:
    return Photograph(Path(name), name, grade, **facts)


def both_eyes(patients: int = 200) -> list[Photograph]:
    return [
        photograph(f"{patient}_{eye}.jpeg", patient % 5, patient=str(patient), eye=eye)
        for patient in range(patients)
        for eye in ("left", "right")
    ]


def plan_of(
    photographs: list[Photograph],
    pairs: tuple[Pair, ...] = (),
    contents: list[str] | None = None,
    seed: int = 42,
) -> Plan:
    contents = contents or [str(number) for number in range(len(photographs))]
    return make_plan(photographs, relate(photographs, contents, pairs), SHARES, seed)


def by_name(photographs: list[Photograph], plan: Plan) -> dict[str, str]:
    return {photographs[one].name: split for one, split in plan.split.items()}


def test_shares_by_grade_and_no_patient_twice():
    eyes = both_eyes()
    plan = plan_of(eyes)
    patients = defaultdict(set)
    for one, name in plan.split.items():
        patients[eyes[one].patient].add(name)
    assert all(len(names) == 1 for names in patients.values())
    for grade in range(5):
        found = Counter(*[[name for one, name in plan.split.items() if eyes[one].grade == grade]])
        assert found == {"train": 56, "val": 8, "test": 16}


PEOPLE = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["", "p", "q", "r"]), st.sampled_from("uvw ")),
    min_size=1,
    max_size=30,
)


@given(people=PEOPLE, seed=st.integers(0, 1000), mixing=st.randoms(use_true_random=False))
def test_the_order_of_photographs_does_not_matter(people, seed, mixing):
    photographs = [
        photograph(f"{number}.png", grade, patient=patient, group=group.strip())
        for number, (grade, patient, group) in enumerate(people)
    ]
    contents = {one.name: str(number // 2) for number, one in enumerate(photographs)}
    mixed = list(photographs)
    mixing.shuffle(mixed)
    plans = [
        plan_of(ordered, contents=[contents[one.name] for one in ordered], seed=seed)
        for ordered in (photographs, mixed)
    ]
    assert by_name(photographs, plans[0]) == by_name(mixed, plans[1])
    dropped = [{one.file: one for one in plan.dropped.values()} for plan in plans]
    assert dropped[0] == dropped[1]


@given(people=PEOPLE, seed=st.integers(0, 1000))
def test_nothing_that_belongs_together_is_divided_and_nothing_is_lost(people, seed):
    photographs = [
        photograph(f"{number}.png", grade, patient=patient, group=group.strip())
        for number, (grade, patient, group) in enumerate(people)
    ]
    relations = relate(photographs, [one.name for one in photographs], [])
    plan = make_plan(photographs, relations, SHARES, seed)
    assert plan.split.keys() == set(range(len(photographs)))
    for together in relations.components:
        assert len({plan.split[one] for one in together}) == 1


def test_another_seed_gives_another_split():
    assert plan_of(both_eyes()).split != plan_of(both_eyes(), seed=1).split


def test_a_new_patient_moves_few_others():
    some, more = both_eyes(200), both_eyes(205)
    before, after = by_name(some, plan_of(some)), by_name(more, plan_of(more))
    assert sum(before[name] != after[name] for name in before) < 20


def test_the_worse_eye_decides_the_stratum():
    pair = [photograph("1_left", 0, patient="1"), photograph("1_right", 4, patient="1")]
    others = [photograph(str(i), 4, patient=str(i)) for i in range(2, 11)]
    units = [[0, 1], *([i] for i in range(2, 11))]
    split = deal_units(pair + others, units, {"test": 0.5}, seed=42)
    assert Counter(split.values())["test"] in (5, 6)  # half of eleven photographs of one stratum


@pytest.mark.parametrize(
    ("units", "expected"),
    [(1, "train"), (2, "train val"), (3, "test train val"), (4, "test train train val")],
)
def test_a_rare_grade_is_in_train_first_then_in_val(units, expected):
    few = [photograph(str(i), 4) for i in range(units)]
    split = deal_units(few, [[i] for i in range(units)], {"test": 0.2, "val": 0.1}, seed=3)
    assert " ".join(sorted(split.values())) == expected


def test_a_large_group_does_not_fill_a_small_split():
    photographs = [photograph(str(i), 0) for i in range(100)]
    units = [list(range(60)), *([i] for i in range(60, 100))]
    for seed in range(10):
        split = deal_units(photographs, units, {"test": 0.2, "val": 0.1}, seed)
        assert Counter(split.values()) == {"train": 70, "test": 20, "val": 10}
        assert split[0] == "train"


@pytest.mark.parametrize(("val", "test"), [(0, 0.2), (0.1, 0), (0.5, 0.5), (-0.1, 0.2)])
def test_shares_that_leave_nothing(val, test):
    with pytest.raises(UserError, match="above 0"):
        Fractions(val, test)


def test_near_duplicates_go_to_one_split():
    for seed in range(8):
        singles = [photograph(f"{i:02}", i % 5) for i in range(50)]
        pairs = tuple(Pair(i, i + 25, 0.9, False, "scale 0.50") for i in range(25))
        split = plan_of(singles, pairs, seed=seed).split
        assert all(split[i] == split[i + 25] for i in range(25))


def test_one_of_several_copies_stays_and_other_grades_stay_beside_it():
    five = [photograph(name, grade) for name, grade in zip("edcba", (1, 1, 1, 2, 0), strict=True)]
    plan = plan_of(five, contents=["x", "x", "x", "x", "y"])
    kept = by_name(five, plan)
    assert kept.keys() == {"a", "b", "c"}
    assert kept["b"] == kept["c"]  # grades 2 and 1 of one picture, in one split
    assert {(one.file, one.kind, one.other) for one in plan.dropped.values()} == {
        ("d", "copy", "c"),
        ("e", "copy", "c"),
    }


# Official splits.


def official(*rows: tuple[str, str, str, str]) -> list[Photograph]:
    """Name, split, patient and group of each."""
    return [photograph(n, 0, split=s, patient=p, group=g) for n, s, p, g in rows]


def test_official_splits_are_kept_and_test_stays_whole():
    rows = official(
        ("a", "train", "p", ""),
        ("b", "test", "p", ""),
        ("c", "val", "", "v"),
        ("d", "test", "", "v"),
        ("e", "train", "", ""),
        ("f", "test", "", ""),
        ("g", "val", "", ""),
        ("h", "test", "", ""),
        ("i", "train", "", ""),
        ("j", "val", "q", ""),
        ("k", "train", "q", ""),
        ("l", "train", "", ""),
        ("m", "test", "", ""),
    )
    pairs = (Pair(4, 5, 0.81, False, "turned by 180 degrees"),)
    contents = list("abcdefgggjklg")  # g and i are copies of h in test, and so is m, within test
    plan = plan_of(rows, pairs, contents)
    assert by_name(rows, plan) == {
        "b": "test", "d": "test", "f": "test", "h": "test", "m": "test", "j": "val", "l": "train",
    }  # fmt: skip
    found = {one.file: (one.kind, one.reason, one.other) for one in plan.dropped.values()}
    assert found == {
        "a": ("shares_with_test", "shares patient p with b, which is in test", "b"),
        "c": ("shares_with_test", "shares group v with d, which is in test", "d"),
        "e": (
            "shares_with_test",
            "looks like f, which is in test (turned by 180 degrees, score 0.81)",
            "f",
        ),
        "g": ("shares_with_test", "is a copy of h, which is in test", "h"),
        "i": ("shares_with_test", "is a copy of h, which is in test", "h"),
        "k": ("shares_with_val", "shares patient q with j, which is in val", "j"),
    }


def test_a_bond_over_others_counts_too():
    rows = official(
        ("a", "train", "p", ""), ("b", "train", "p", "v"), ("c", "test", "", "v"),
        ("d", "train", "", ""), ("e", "val", "", ""),
    )  # fmt: skip
    plan = plan_of(rows)
    assert {one.file: one.reason for one in plan.dropped.values()} == {
        "a": "is linked through other photographs to c, which is in test",
        "b": "shares group v with c, which is in test",
    }


def test_val_is_cut_from_train_where_only_test_is_official():
    eyes = both_eyes(100)
    rows = [replace(one, split="test" if int(one.patient) < 30 else "train") for one in eyes]
    plan = plan_of(rows)
    assert not plan.dropped
    names = by_name(rows, plan)
    assert {name for name, split in names.items() if split == "test"} == {
        one.name for one in rows if one.split == "test"
    }
    counts = Counter(names.values())
    assert (counts["test"], counts["val"]) == (60, 10)  # a tenth of 28 in each of five grades
    patients = defaultdict(set)
    for one in rows:
        patients[one.patient].add(names[one.name])
    assert all(len(splits) == 1 for splits in patients.values())


def test_test_is_cut_from_train_where_only_val_is_official():
    rows = [replace(one, split="val" if int(one.patient) < 30 else "train") for one in both_eyes()]
    counts = Counter(plan_of(rows).split.values())
    assert counts == {"val": 60, "test": 70, "train": 270}


def test_official_splits_without_train_are_refused():
    with pytest.raises(UserError, match="for train"):
        plan_of(official(("a", "val", "", ""), ("b", "test", "", "")))


def test_shuffled_official_splits_drop_the_same():
    rows = official(*((str(i), "train" if i % 3 else "test", str(i // 2), "") for i in range(30)))
    mixed = list(rows)
    random.Random(1).shuffle(mixed)
    assert {one.file for one in plan_of(rows).dropped.values()} == {
        one.file for one in plan_of(mixed).dropped.values()
    }
