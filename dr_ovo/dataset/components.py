"""Which of many things belong together, as bonds between two of them are learnt one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable


class Bonds:
    """A union-find of 0 .. count-1 (Tarjan 1975): each set is known by its smallest member."""

    def __init__(self, count: int) -> None:
        self._root = list(range(count))

    def find(self, one: int) -> int:
        """The smallest member of the set that `one` is in."""
        root = self._root
        while root[one] != one:
            root[one] = root[root[one]]  # shorter for the next that comes this way
            one = root[one]
        return one

    def join(self, one: int, other: int) -> bool:
        """Puts the two into one set; False where they were in one already."""
        low, high = sorted((self.find(one), self.find(other)))
        self._root[high] = low
        return low != high

    def joined(self, one: int, other: int) -> bool:
        """Whether the two are in one set."""
        return self.find(one) == self.find(other)

    def labels(self) -> list[int]:
        """The smallest member of each one's set."""
        return [self.find(one) for one in range(len(self._root))]

    def copy(self) -> Bonds:
        """The same sets, to be joined further by themselves."""
        twin = Bonds(0)
        twin._root = self._root.copy()
        return twin


def components(count: int, links: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
    """The connected components of 0 .. count-1, each ascending, ordered by their first member."""
    bonds = Bonds(count)
    for first, second in links:
        bonds.join(first, second)
    members = defaultdict(list)
    for one, label in enumerate(bonds.labels()):
        members[label].append(one)
    return [tuple(same) for same in members.values()]
