"""What the link says, brought to the model: which subtrees are followed, and what is believed."""

import asyncio
from collections.abc import Callable
from typing import Final

from .link.client import Link, Watch
from .link.clock import Clock
from .link.codec import ABSENT
from .link.message import Message
from .link.path import Path
from .model import Device, Point, Site
from .problem import ERRORS, Problems

DEVICES: Final = Path("device")
PATIENCE: Final = 60.0
"""Seconds for which a server may not know a device before it counts as gone."""


class Feed:
    """Feeds a site and a list of problems from a link.

    A description that merely is not there any more, without anybody having deleted it, is doubted:
    a broker that was started empty has forgotten everything, and everything will come back. Only
    when a server, which keeps what it knows, goes on not knowing the device, it is removed.
    """

    def __init__(self, link: Link, clock: Clock, problems: Problems) -> None:
        """Prepare; nothing is followed before `start`."""
        self.site = Site(clock, self._last_message)
        self._link = link
        self._clock = clock
        self._problems = problems
        self._doubts: dict[str, tuple[Message, float]] = {}
        self._watches: dict[Path, Watch] = {}
        self._stops: list[Callable[[], None]] = []
        self._next: asyncio.Handle | None = None

    def start(self) -> None:
        """Follow what the site wants, and the errors."""
        errors = self._link.watch(ERRORS, self._problems.apply, on_mark=self._problems.mark)
        self._stops += [
            self.site.on_point_added(self._wants_changed),
            self.site.on_point_removed(self._wants_changed),
            self.site.on_device_added(self._wants_changed),
            self.site.on_device_changed(self._wants_changed),
            self.site.on_device_removed(self._wants_changed),
            errors.close,
        ]
        self._follow()

    def stop(self) -> None:
        """Follow nothing."""
        while self._stops:
            self._stops.pop()()
        if self._next is not None:
            self._next.cancel()
        while self._watches:
            self._watches.popitem()[1].close()

    def tick(self) -> None:
        """Look at the time: values grow old, doubts become certain."""
        now = self._clock.monotonic()
        self.site.tick(now)
        status = self._link.status
        if status.ready and not status.degraded:
            for device_id, (_, since) in list(self._doubts.items()):
                if now - since > PATIENCE:
                    self.forget(device_id)

    def doubts(self, device_id: str) -> bool:
        """Tell whether a device is shown only because it may come back."""
        return device_id in self._doubts

    def forget(self, device_id: str) -> None:
        """Let go of a device that is in doubt."""
        message, _ = self._doubts.pop(device_id)
        self.site.apply(message)

    def _follow(self) -> None:
        """Watch exactly the subtrees that are wanted."""
        self._next = None
        wanted = self.site.wanted_prefixes()
        for prefix in wanted - self._watches.keys():
            self._watches[prefix] = self._watch(prefix)
        for prefix in self._watches.keys() - wanted:
            self._watches.pop(prefix).close()

    def _watch(self, prefix: Path) -> Watch:
        def deliver(message: Message) -> None:
            self.site.apply(message, live=watch.complete)

        def describe(message: Message) -> None:
            if not self._is_doubtful(message):
                self.site.apply(message, live=watch.complete)

        if prefix == DEVICES:
            watch = self._link.watch(prefix, describe, on_mark=self._follow)
        else:
            watch = self._link.watch(prefix, deliver)
        return watch

    def _is_doubtful(self, message: Message) -> bool:
        """Note a description that has only been missed, and one that is back."""
        device_id = message.topic.removeprefix(f"{DEVICES.topic}/")
        self._doubts.pop(device_id, None)
        if message.value is not ABSENT or message.meta.origin != self._link.id:
            return False
        self._doubts[device_id] = message, self._clock.monotonic()
        return True

    def _wants_changed(self, _what: Point | Device) -> None:
        """Look at the subtrees soon; during a snapshot, at its end."""
        if self._next is None and self._watches[DEVICES].complete:
            self._next = asyncio.get_running_loop().call_soon(self._follow)

    def _last_message(self, topic: str) -> Message | None:
        """Return what is known at a topic."""
        for watch in self._watches.values():
            if (message := watch.messages.get(topic)) is not None:
                return message
        return None
