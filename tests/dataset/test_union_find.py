"""Union-find."""

from dr_ovo.dataset.union_find import UnionFind


def test_sets_by_hand():
    sets = UnionFind(6)
    assert sets.join(4, 2)
    assert sets.join(5, 4)
    assert not sets.join(2, 5)
    assert sets.join(1, 0)
    assert sets.labels() == [0, 0, 2, 3, 2, 2]
    assert sets.joined(5, 2)
    assert not sets.joined(5, 3)


def test_a_copy_goes_its_own_way():
    sets = UnionFind(3)
    sets.join(0, 1)
    duplicate = sets.copy()
    duplicate.join(1, 2)
    assert duplicate.labels() == [0, 0, 0]
    assert sets.labels() == [0, 0, 2]


def test_a_long_chain_takes_no_time():
    sets = UnionFind(200_000)
    for one in range(199_999, 0, -1):
        sets.join(one - 1, one)
    assert set(sets.labels()) == {0}
