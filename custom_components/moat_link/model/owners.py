"""Who is alive: announcements below `run.host` (or anywhere), and the pings of their ids."""

import re
from collections.abc import Iterable
from typing import Final

from ..link.codec import ABSENT, Value
from .device import Device

SILENCE: Final = 25.0
"""Seconds without a ping after which somebody who used to ping counts as gone."""

_ID = re.compile(r"[\w.-]{1,200}")


class Owner:
    """Somebody who keeps devices up to date, known by the topic of the announcement."""

    __slots__ = ("alive", "announced", "devices", "id")

    def __init__(self) -> None:
        """Start as nobody."""
        self.announced = False
        self.id: str | None = None
        self.alive = False
        self.devices: dict[Device, None] = {}


class _Ping:
    __slots__ = ("last", "up")

    def __init__(self, last: float, *, up: bool) -> None:
        self.last = last
        self.up = up


class Owners:
    """All owners that a device has named, and everybody who pings."""

    def __init__(self) -> None:
        """Start with nobody."""
        self._by_topic: dict[str, Owner] = {}
        self._pings: dict[str, _Ping] = {}

    def __contains__(self, topic: str) -> bool:
        return topic in self._by_topic

    def topics(self) -> Iterable[str]:
        """Return the topics of the announcements that matter."""
        return self._by_topic

    def is_alive(self, topic: str) -> bool:
        """Tell about one of these owners."""
        return topic in self._by_topic and self._by_topic[topic].alive

    def follow(self, topic: str, device: Device, announcement: Value) -> None:
        """Make a device depend on an owner, whose announcement is this for now."""
        if (owner := self._by_topic.get(topic)) is None:
            owner = self._by_topic[topic] = Owner()
            self._announce(owner, announcement)
        owner.devices[device] = None

    def leave(self, topic: str, device: Device) -> None:
        """Make a device independent again."""
        owner = self._by_topic[topic]
        del owner.devices[device]
        if not owner.devices:
            del self._by_topic[topic]

    def announce(self, topic: str, value: Value) -> Iterable[Device]:
        """Take the announcement of one of these; return the devices whose owner came or went."""
        owner = self._by_topic[topic]
        return owner.devices if self._announce(owner, value) else ()

    def ping(self, name: str, value: Value, now: float) -> Iterable[Device]:
        """Take a sign of life; return the devices whose owner came or went."""
        if not isinstance(value, dict):
            return ()
        up = value.get("up") is not False
        ping = self._pings.get(name)
        if ping is not None and ping.up is up:
            ping.last = now
            return ()
        self._pings[name] = _Ping(now, up=up)
        return self._judge_all()

    def tick(self, now: float) -> Iterable[Device]:
        """Notice who has fallen silent; return the devices whose owner went."""
        silent = [name for name, ping in self._pings.items() if now - ping.last > SILENCE]
        if not silent:
            return ()
        wanted = {owner.id for owner in self._by_topic.values()}
        for name in silent:
            if name in wanted:
                self._pings[name].up = False
            else:
                del self._pings[name]
        return self._judge_all()

    def restart(self, now: float) -> None:
        """Start counting anew: while we were away, nobody could be heard."""
        for ping in self._pings.values():
            ping.last = now

    def _announce(self, owner: Owner, value: Value) -> bool:
        owner.announced = is_announced(value)
        owner.id = None
        if isinstance(value, dict):
            name = value.get("id")
            if isinstance(name, str) and _ID.fullmatch(name):
                owner.id = name
        return self._judge(owner)

    def _judge_all(self) -> list[Device]:
        owners = [owner for owner in self._by_topic.values() if self._judge(owner)]
        return [device for owner in owners for device in owner.devices]

    def _judge(self, owner: Owner) -> bool:
        ping = None if owner.id is None else self._pings.get(owner.id)
        was_alive = owner.alive
        owner.alive = owner.announced and (ping is None or ping.up)
        return owner.alive is not was_alive


def is_announced(value: Value) -> bool:
    """Whether an announcement says that somebody is there."""
    if isinstance(value, dict):
        return value.get("up") is not False
    return value is not ABSENT and value is not None and value is not False
