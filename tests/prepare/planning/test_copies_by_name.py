"""Copies recognised by file name are grouped with their originals."""

from __future__ import annotations

from pathlib import Path

from dr_ovo.copies.near_duplicates import Pair
from dr_ovo.dataset.photograph import Photograph
from dr_ovo.prepare.file_names import placed_names
from dr_ovo.prepare.options import Fractions
from dr_ovo.prepare.planning.copies_by_name import bind_copies_by_name
from dr_ovo.prepare.planning.grouping import relate
from dr_ovo.prepare.planning.splits import make_plan


def photographs(*names: str, official: bool = False) -> list[Photograph]:
    return [
        Photograph(Path(name), name, 0, split=name.split("/")[0] if official else "")
        for name in names
    ]


def bound(found: list[Photograph], pairs=()):
    relations = relate(found, [p.name for p in found], pairs)
    return bind_copies_by_name(found, relations, placed_names(found, shrunken=False))


def test_a_family_is_one_unit():
    names = ("eye1.jpg", "eye1_aug0.jpg", "eye1 (1).jpg", "eye2.jpg", "eye3_aug1.jpg")
    relations = bound(photographs(*names))
    assert relations.components == ((0, 1, 2), (3,), (4,))
    how = "named as copies of eye1"
    assert relations.alike == {(0, 1): how, (0, 2): how}


def test_names_that_tell_little_go_together_and_are_no_look_alikes():
    relations = bound(photographs("7.jpg", "flip_7.jpg", "8.jpg"))
    assert relations.components == ((0, 1), (2,))
    assert relations.alike == {}


def test_nothing_of_an_official_split_is_dropped_for_such_a_name():
    found = photographs("test/flip_7.jpg", "train/7.jpg", official=True)
    assert bound(found).components == ((0,), (1,))
    assert bound(found, [Pair(0, 1, 0.9, False, "flipped")]).components == ((0, 1),)


def test_what_is_bound_to_test_is_dropped_and_named():
    names = ("test/eye1_aug0.jpg", "train/eye1.jpg", "train/eye1_aug1.jpg", "train/eye2.jpg")
    found = photographs(*names, "val/eye1_aug2.jpg", "val/eye3.jpg", official=True)
    plan = make_plan(found, bound(found), Fractions(0.1, 0.2), 42)
    assert plan.split == {0: "test", 3: "train", 5: "val"}
    assert {dropped.other for dropped in plan.dropped.values()} == {"test/eye1_aug0.jpg"}
    for dropped in plan.dropped.values():
        assert dropped.kind == "shares_with_test"
        assert "named as copies of eye1" in dropped.reason


def test_the_names_that_they_get_bind_as_well():
    # `left.jpg` repeats, so its folder becomes part of its name, which may show that it is a copy.
    found = photographs("scan9/left.jpg", "scan9_left_flip.jpg", "scan8/left.jpg")
    assert bound(found).components == ((0, 1), (2,))


def test_generic_names_bind_nobody():
    found = photographs(*(f"p{n}/fundus.jpg" for n in range(5)), "p0/fundus_aug.jpg")
    assert bound(found).components == tuple((n,) for n in range(6))
