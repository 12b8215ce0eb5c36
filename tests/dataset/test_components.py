"""Sets that grow together."""

from dr_ovo.dataset.components import Bonds


def test_sets_by_hand():
    bonds = Bonds(6)
    assert bonds.join(4, 2)
    assert bonds.join(5, 4)
    assert not bonds.join(2, 5)
    assert bonds.join(1, 0)
    assert bonds.labels() == [0, 0, 2, 3, 2, 2]
    assert bonds.joined(5, 2)
    assert not bonds.joined(5, 3)


def test_a_copy_goes_its_own_way():
    bonds = Bonds(3)
    bonds.join(0, 1)
    twin = bonds.copy()
    twin.join(1, 2)
    assert twin.labels() == [0, 0, 0]
    assert bonds.labels() == [0, 0, 2]


def test_a_long_chain_takes_no_time():
    bonds = Bonds(200_000)
    for one in range(199_999, 0, -1):
        bonds.join(one - 1, one)
    assert set(bonds.labels()) == {0}
