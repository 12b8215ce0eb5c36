"""Union-find and connected components, for deciding which photographs belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable


class UnionFind:
    """Disjoint sets of 0 .. count-1 (Tarjan 1975), each labelled by its smallest member."""

    def __init__(self, count: int) -> None:
        self._root = list(range(count))

    def find(self, element: int) -> int:
        """The smallest member of the set that `one` is in."""
        root = self._root
        while root[element] != element:
            root[element] = root[root[element]]  # halves the path for later look-ups
            element = root[element]
        return element

    def join(self, element: int, other: int) -> bool:
        """Merges the sets of the two; False where they were in one set already."""
        low, high = sorted((self.find(element), self.find(other)))
        self._root[high] = low
        return low != high

    def joined(self, element: int, other: int) -> bool:
        """Whether the two are in one set."""
        return self.find(element) == self.find(other)

    def labels(self) -> list[int]:
        """For each element, the smallest member of its set."""
        return [self.find(element) for element in range(len(self._root))]

    def copy(self) -> UnionFind:
        """An independent copy."""
        result = UnionFind(0)
        result._root = self._root.copy()
        return result


def components(count: int, links: Iterable[tuple[int, int]]) -> list[tuple[int, ...]]:
    """The connected components of 0 .. count-1, each ascending, ordered by first member."""
    sets = UnionFind(count)
    for first, second in links:
        sets.join(first, second)
    members = defaultdict(list)
    for element, label in enumerate(sets.labels()):
        members[label].append(element)
    return [tuple(component) for component in members.values()]
