"""Those who want to know: called in turn, and free to leave at any time."""

import logging
from collections.abc import Callable

type Unsubscribe = Callable[[], None]

_LOGGER = logging.getLogger(__name__)


class Listeners[**P]:
    """Callbacks for one kind of news. One that fails does not keep it from the others."""

    __slots__ = ("_calls", "_failed")

    def __init__(self) -> None:
        self._calls: tuple[_Call[P], ...] = ()
        self._failed = False

    def add(self, callback: Callable[P, None]) -> Unsubscribe:
        """Call back from now on, until the returned function is called."""
        call = _Call(callback)
        self._calls = (*self._calls, call)

        def remove() -> None:
            call.callback = None
            self._calls = tuple(each for each in self._calls if each is not call)

        return remove

    def __len__(self) -> int:
        return len(self._calls)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Tell everybody who has not left."""
        for call in self._calls:
            if (callback := call.callback) is None:
                continue
            try:
                callback(*args, **kwargs)
            except Exception:
                if not self._failed:
                    self._failed = True
                    _LOGGER.exception("A listener failed; later failures here are not logged")


class _Call[**P]:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[P, None]) -> None:
        self.callback: Callable[P, None] | None = callback
