"""When which value becomes too old. Cheap: a value that keeps coming costs nothing."""

import heapq
from itertools import count

from .point import Point


class Deadlines:
    """Points by the time their value will be too old; each at most once.

    A newer value does not move its point; that happens when the old time has come.
    """

    def __init__(self) -> None:
        """Start with nothing to wait for."""
        self._heap: list[tuple[float, int, Point]] = []
        self._number = count()
        self._removed = 0

    def __len__(self) -> int:
        return len(self._heap)

    def watch(self, point: Point) -> None:
        """Wait for a point's value to become too old, if it can."""
        if not point.scheduled and (deadline := point.deadline) is not None:
            point.scheduled = True
            heapq.heappush(self._heap, (deadline, next(self._number), point))

    def forget(self, point: Point) -> None:
        """Note that a point is gone."""
        if not point.scheduled:
            return
        self._removed += 1
        self._tidy()

    def due(self, now: float) -> list[Point]:
        """Return the points whose value is too old by now."""
        due: list[Point] = []
        while self._heap and self._heap[0][0] <= now:
            point = heapq.heappop(self._heap)[2]
            if point.removed:
                self._removed -= 1
                continue
            point.scheduled = False
            if (deadline := point.deadline) is not None and deadline <= now:
                due.append(point)
            else:
                self.watch(point)
        self._tidy()
        return due

    def _tidy(self) -> None:
        """Throw points that are gone out when they are the majority."""
        if 2 * self._removed > len(self._heap):
            self._heap = [entry for entry in self._heap if not entry[2].removed]
            heapq.heapify(self._heap)
            self._removed = 0
