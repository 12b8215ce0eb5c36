"""Groups that must share a split: patients, groups, copies, near-duplicates, and chains of them."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dr_ovo.copies.near_duplicates import Pair
from dr_ovo.dataset.photograph import Photograph
from dr_ovo.dataset.union_find import components
from dr_ovo.prepare.planning.grouping import differing_grades, relate


def photographs(*facts: tuple[int, str, str]) -> list[Photograph]:
    """Grade, patient and group of each."""
    return [
        Photograph(Path(f"{n}.png"), f"{n}.png", grade, patient=patient, group=group)
        for n, (grade, patient, group) in enumerate(facts)
    ]


@given(
    count=st.integers(1, 12),
    links=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=20),
)
def test_components_are_those_of_scipy(count, links):
    links = [(a % count, b % count) for a, b in links]
    found = components(count, links)
    assert sorted(one for same in found for one in same) == list(range(count))
    ones = [1] * len(links)
    ends = [a for a, _ in links], [b for _, b in links]
    number, labels = connected_components(coo_array((ones, ends), (count, count)), directed=False)
    assert len(found) == number
    assert all(len({labels[one] for one in same}) == 1 for same in found)


def test_a_chain_over_patient_group_and_look_alike():
    five = photographs((0, "a", ""), (0, "a", "v1"), (0, "b", "v1"), (0, "b", ""), (0, "", ""))
    pairs = [Pair(3, 4, 0.9, False, "flipped left to right")]
    relations = relate(five, ["1", "2", "3", "4", "5"], pairs)
    assert relations.components == ((0, 1, 2, 3, 4),)
    assert relations.copies == ()
    assert relations.alike == {(3, 4): "flipped left to right, score 0.90"}


def test_unknown_patients_and_groups_bind_nobody():
    relations = relate(photographs((0, "", ""), (1, "", "")), ["1", "2"], [])
    assert relations.components == ((0,), (1,))


def test_equal_contents_are_copies_also_where_no_pair_names_them():
    three = photographs((0, "", ""), (1, "", ""), (0, "", ""))
    relations = relate(three, ["x", "y", "x"], [])
    assert relations.copies == ((0, 2),)
    assert relations.components == ((0, 2), (1,))
    assert differing_grades(three, relations) == []


def test_copies_with_different_grades_are_one_case_and_near_duplicates_one_a_pair():
    four = photographs((0, "", ""), (1, "", ""), (1, "", ""), (3, "", ""))
    pairs = [Pair(0, 1, 1.0, True, "identical"), Pair(0, 3, 0.8, False, "turned by 180 degrees")]
    relations = relate(four, ["x", "x", "x", "z"], pairs)
    assert differing_grades(four, relations) == [
        ((0, 1, 2), "copy"),
        ((0, 3), "turned by 180 degrees, score 0.80"),
    ]
