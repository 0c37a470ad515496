"""Which subtrees to watch for a set of topics: few subscriptions, little else in them."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

FAN: Final = 8
"""A node with so many wanted branches is watched as a whole."""
MOST: Final = 500
"""Subtrees to watch: with more of them, only the first level of each topic counts."""

type _Tree = dict[str, _Tree]


def covering(topics: Iterable[str]) -> Iterator[str]:
    """Yield the topics whose subtrees hold all these topics; never the root.

    At most MOST of them: what lies below more different first levels than that is left out.
    """
    wanted = set(topics)
    found = list(islice(_covering(wanted), MOST + 1))
    if len(found) > MOST:
        first = {topic.partition("/")[0] for topic in wanted} - {""}
        found = sorted(first)[:MOST]
    yield from found


def _covering(wanted: set[str]) -> Iterator[str]:
    tree: _Tree = {}
    for topic in wanted:
        node = tree
        for level in topic.split("/"):
            node = node.setdefault(level, {})
    waiting = [(level, node) for level, node in tree.items()]
    while waiting:
        topic, node = waiting.pop()
        if topic in wanted or (topic and len(node) >= FAN):
            yield topic
        else:
            waiting.extend((f"{topic}/{level}", below) for level, below in node.items())
