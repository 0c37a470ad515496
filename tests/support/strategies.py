"""Hypothesis strategies: anything that may be on the link."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from firmware_bridge.link.codec import ABSENT, Opaque, RemoteObject
from firmware_bridge.link.meta import Meta
from firmware_bridge.link.path import ROOT, Path

text = st.text(max_size=12)
names = st.sampled_from(["home", "a", "", ":", "a:hb", "x/y", "+", "#", "a.b c", "\x01-f", "\xa05"])
integers = st.integers(-(2**256) + 1, 2**256 - 1)
numbers = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | integers | numbers | text | st.binary(max_size=12)
elements = st.recursive(
    scalars | names, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=4
)
paths = st.lists(elements, max_size=6).map(lambda items: Path(*items))
rooted = paths.map(lambda path: Path(ROOT, *path))

times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(
    lambda time: time.replace(fold=0)
)
addresses = st.ip_addresses()
keys = text | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=8) | numbers | st.none()
members = text | st.integers(-(2**64), 2**64 - 1) | paths | times | addresses
leaves = (
    scalars
    | paths
    | rooted
    | times
    | addresses
    | st.sampled_from([ABSENT, ROOT])
    | st.frozensets(members, max_size=4)
)


def _containers(inner):
    return (
        st.lists(inner, max_size=4)
        | st.dictionaries(text, inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4)
        | st.builds(
            RemoteObject, text, st.lists(inner, max_size=3).map(tuple), st.dictionaries(text, inner)
        )
        | st.builds(Opaque, st.integers(40_000, 50_000), inner)
    )


values = st.recursive(leaves, _containers, max_leaves=12)
origins = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"], exclude_characters="/\\"), min_size=1
)
metas = st.builds(
    Meta,
    origins,
    numbers,
    st.lists(leaves, max_size=3).map(tuple),
    st.dictionaries(text, leaves, max_size=3),
)
