"""Listings of what is in a dict."""

import gc

from firmware_bridge.server.listing import Listings


def test_shared() -> None:
    """Many who go through the same get the same, without a copy each; what changes is seen later."""
    listings: Listings[int] = Listings()
    there = {f"n{number}": number for number in range(100)}
    one, two = listings.of(there), listings.of(there)
    assert next(one) == next(two) == ("n0", 0)
    (known,) = listings._known.values()
    there["new"] = 5
    three = listings.of(there)
    assert len(list(one)) == len(list(two)) == 99
    assert len(list(three)) == 101
    del known, one, two, three
    gc.collect()
    assert not listings._known


def test_removed() -> None:
    """As many as before, but others: only after `forget` they are told apart."""
    listings: Listings[int] = Listings()
    there = {f"n{number}": number for number in range(100)}
    one = listings.of(there)
    assert next(one)
    del there["n5"]
    listings.forget(there)
    there["new"] = 5
    assert ("new", 5) in list(listings.of(there))
    assert ("new", 5) not in list(one)


def test_few() -> None:
    """Those are simply copied."""
    listings: Listings[int] = Listings()
    there = {"a": 1}
    one = listings.of(there)
    there["b"] = 2
    assert list(one) == [("a", 1)]
