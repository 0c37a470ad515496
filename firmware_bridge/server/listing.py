"""What is in a dict now, for many who go through it slowly, without a copy for each of them."""

from collections.abc import Iterator
from typing import Final
from weakref import WeakValueDictionary

_FEW: Final = 16


class Listing[T]:
    """The items of a dict at one time; lives as long as somebody goes through them."""

    __slots__ = ("__weakref__", "items", "source")

    def __init__(self, source: dict[str, T]) -> None:
        self.source = source  # or another dict might take its place in memory
        self.items = list(source.items())

    def __iter__(self) -> Iterator[tuple[str, T]]:
        """Go through them; this keeps the listing alive."""
        yield from self.items


class Listings[T]:
    """The listings that are in use. Whoever takes names out of a dict calls `forget`."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[int, Listing[T]] = WeakValueDictionary()

    def of(self, source: dict[str, T]) -> Iterator[tuple[str, T]]:
        """Go through what is in a dict now; it may grow meanwhile."""
        if len(source) < _FEW:
            return iter(list(source.items()))
        known = self._known.get(id(source))
        if known is None or len(known.items) != len(source):
            known = self._known[id(source)] = Listing(source)
        return iter(known)

    def forget(self, source: dict[str, T]) -> None:
        """Make a new listing of a dict from now on."""
        self._known.pop(id(source), None)
