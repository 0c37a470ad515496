"""Whether there is room for more data: told where errors are told, and taken back."""

import logging
from typing import Final

from ..link.codec import ABSENT
from .store import Levels
from .tree import Tree

_LOGGER = logging.getLogger(__name__)

_ENOUGH: Final = 0.95  # of what there may be, below which all is well again


class Room:
    """Looks after a tree that may be full."""

    def __init__(self, tree: Tree, levels: Levels, name: str) -> None:
        """Take where to report, and as whom."""
        self._tree = tree
        self._levels = levels
        self._name = name
        self._known = 0

    def look(self) -> None:
        """Report that something had no room since the last look, or that there is room again."""
        tree = self._tree
        node = tree.store.find(self._levels)
        told = node is not None and node.alive
        if tree.turned_away > self._known:
            self._known = tree.turned_away
            if not told:
                text = f"the data take all of {tree.most / (1 << 20):.4g} MiB: more is refused"
                _LOGGER.error("No room: %s", text)
                tree.report(self._levels, {"msg": text, "level": 3}, self._name)
        elif told and tree.store.size < _ENOUGH * tree.most:
            _LOGGER.info("There is room for data again")
            tree.report(self._levels, ABSENT, self._name)
