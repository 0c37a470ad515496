"""A site with a clock that the test moves and a memory like the hub's."""

from typing import Any

from custom_components.moat_link.link.clock import Clock
from custom_components.moat_link.link.codec import ABSENT
from custom_components.moat_link.link.message import Message
from custom_components.moat_link.link.meta import Meta
from custom_components.moat_link.model import Device, Point, Site

EPOCH = 1_700_000_000.0
OWNER = "run/host/pi/bridge"


class FakeClock(Clock):
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.offset = EPOCH

    def time(self) -> float:
        return self.now + self.offset

    def monotonic(self) -> float:
        return self.now


class World:
    """A site, what was said to it, and what it told."""

    def __init__(self, *, connected: bool = True) -> None:
        self.clock = FakeClock()
        self.messages: dict[str, Message] = {}
        self.site = Site(self.clock, self.messages.get)
        self.told: list[str] = []
        self.site.on_device_added(lambda device: self.told.append(f"+{device.id}"))
        self.site.on_device_changed(lambda device: self.told.append(f"~{device.id}"))
        self.site.on_device_removed(lambda device: self.told.append(f"-{device.id}"))
        self.site.on_point_added(lambda point: self.told.append(f"+{name(point)}"))
        self.site.on_point_removed(lambda point: self.told.append(f"-{name(point)}"))
        self.site.on_issues_changed(lambda device_id: self.told.append(f"!{device_id}"))
        self.site.set_connected(connected)

    def say(
        self,
        topic: str,
        value: Any,
        *,
        age: float = 0.0,
        origin: str = "me",
        live: bool | None = None,
        known: bool = True,
    ) -> None:
        """Deliver a message; unless `known`, the hub does not remember it."""
        message = Message(topic, value, Meta(origin, self.clock.time() - age), retained=True)
        if known:
            self.messages[topic] = message
        self.site.apply(message, live=live)

    def forget(self, topic: str, *, origin: str = "me") -> None:
        """Deliver a deletion."""
        self.say(topic, ABSENT, origin=origin)

    def describe(self, *points: dict[str, Any], id: str = "box", origin: str = "me", **more: Any):
        """Deliver a description."""
        value = {"v": 1, "name": id.title(), "points": list(points)} | more
        self.say(f"device/{id}", value, origin=origin)

    def follow(self, **row: Any) -> tuple[Point, list[Any]]:
        """Describe a device with one point, and note every call of a subscriber."""
        self.describe({"key": "p", "path": "a.b"} | row)
        point = self.point()
        calls: list[Any] = []
        point.subscribe(lambda: calls.append(point.value))
        return point, calls

    def point(self, key: str = "p", id: str = "box") -> Point:
        return self.site.devices[id].points[key]

    def device(self, id: str = "box") -> Device:
        return self.site.devices[id]

    def wait(self, seconds: float) -> None:
        """Let time pass, and the site notice."""
        self.clock.now += seconds
        self.site.tick()

    def heard(self) -> list[str]:
        """Return what was told since the last call."""
        told, self.told = self.told, []
        return told

    def empty(self) -> bool:
        """Whether nothing is left of any device."""
        site = self.site
        return not (
            site.devices
            or site.issues
            or site._followers
            or site._known
            or site._contests
            or list(site._owners.topics())
            or len(site._deadlines)
        )


def name(point: Point) -> str:
    return f"{point.device.id}.{point.description.key}"
