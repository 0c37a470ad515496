"""Which subtrees to watch for a set of topics: few subscriptions, little else in them."""

from collections.abc import Iterable, Iterator
from typing import Final

FAN: Final = 8
"""A node with so many wanted branches is watched as a whole."""

type _Tree = dict[str, _Tree]


def covering(topics: Iterable[str]) -> Iterator[str]:
    """Yield the topics whose subtrees hold all these topics; never the root."""
    wanted = set(topics)
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
