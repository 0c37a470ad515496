"""All devices of an installation as they are now; `Site.apply` is the one door for state."""

from collections.abc import Callable, Iterable
from typing import Final

from ..link.clock import Clock
from ..link.codec import ABSENT, Value
from ..link.describe import (
    DescriptionError,
    DescriptionIssue,
    DeviceDescription,
    PointDescription,
    parse_device,
)
from ..link.message import Message
from ..link.path import Path
from ..link.watch import FUTURE
from .claims import LOCAL, PATIENCE, Contest, Known, Said, claim_of, judge
from .deadlines import Deadlines
from .device import Device
from .listeners import Listeners, Unsubscribe
from .owners import Owners, is_announced
from .point import Point
from .prefixes import covering

DEVICES: Final = Path("device")
HOSTS: Final = Path("run", "host")
PINGS: Final = Path("run", "ping", "id")

_DEVICE: Final = f"{DEVICES.topic}/"
_PING: Final = f"{PINGS.topic}/"
_WATCHED: Final = (_DEVICE, _PING, f"{HOSTS.topic}/")

type Lookup = Callable[[str], Message | None]


class Site:
    """The devices, made from descriptions and fed with messages.

    `lookup` returns the last message of a topic, if whoever feeds us knows one: a description may
    come after its values. A message is live if it came after the snapshot of its subtree: what a
    snapshot brings is as old as its own time says, and nothing that happened just now.
    """

    def __init__(self, clock: Clock, lookup: Lookup) -> None:
        """Start empty and disconnected."""
        self.devices: dict[str, Device] = {}
        self.issues: dict[str, list[DescriptionIssue]] = {}
        """What is wrong with descriptions, by device id; never an empty list."""
        self.connected = False
        self._clock = clock
        self._lookup = lookup
        self._latest = clock.time() + FUTURE
        self._followers: dict[str, list[Point]] = {}
        self._known: dict[str, Known] = {}
        self._contests: dict[str, Contest] = {}
        self._owners = Owners()
        self._deadlines = Deadlines()
        self._device_added: Listeners[[Device]] = Listeners()
        self._device_changed: Listeners[[Device]] = Listeners()
        self._device_removed: Listeners[[Device]] = Listeners()
        self._point_added: Listeners[[Point]] = Listeners()
        self._point_removed: Listeners[[Point]] = Listeners()
        self._issues_changed: Listeners[[str]] = Listeners()

    def on_device_added(self, callback: Callable[[Device], None]) -> Unsubscribe:
        """Call back with every new device; its points are there already."""
        return self._device_added.add(callback)

    def on_device_changed(self, callback: Callable[[Device], None]) -> Unsubscribe:
        """Call back when a device's description has changed, after its points have."""
        return self._device_changed.add(callback)

    def on_device_removed(self, callback: Callable[[Device], None]) -> Unsubscribe:
        """Call back when a device is gone, after its points."""
        return self._device_removed.add(callback)

    def on_point_added(self, callback: Callable[[Point], None]) -> Unsubscribe:
        """Call back with every new point."""
        return self._point_added.add(callback)

    def on_point_removed(self, callback: Callable[[Point], None]) -> Unsubscribe:
        """Call back when a point is gone; a changed one goes and comes as another."""
        return self._point_removed.add(callback)

    def on_issues_changed(self, callback: Callable[[str], None]) -> Unsubscribe:
        """Call back with a device's id when its description's issues have changed."""
        return self._issues_changed.add(callback)

    def apply(self, message: Message, *, live: bool | None = None) -> None:
        """Take a message; `live` if it is no part of a snapshot, by default if connected."""
        topic = message.topic
        if live is None:
            live = self.connected
        if (followers := self._followers.get(topic)) is not None:
            self._update(followers, message, live=live)
        if topic in self._owners:
            self._refresh(self._owners.announce(topic, message.value))
        if topic.startswith(_DEVICE):
            self._describe(topic.removeprefix(_DEVICE), message)
        elif topic.startswith(_PING):
            name = topic.removeprefix(_PING)
            self._refresh(self._owners.ping(name, message.value, self._clock.monotonic()))

    def put(self, description: DeviceDescription, issues: Iterable[DescriptionIssue] = ()) -> None:
        """Add or change a device that is described here instead of on the link."""
        said = Said(claim=LOCAL, origin="", description=description, issues=tuple(issues))
        self._known[description.id] = Known(said=said)
        self._accept(description)
        self._report(description.id, said.issues)

    def remove(self, device_id: str) -> None:
        """Forget a device and its issues."""
        self._known.pop(device_id, None)
        self._contests.pop(device_id, None)
        self._report(device_id, ())
        if (device := self.devices.pop(device_id, None)) is None:
            return
        self._depend(device, None)
        points = list(device.points.values())
        for point in points:
            self._drop(point)
        self._tell(points, [])
        self._device_removed(device)

    def set_connected(self, connected: bool) -> None:
        """Tell whether the link is up; to be called after the snapshot, not before."""
        if connected and not self.connected:
            self._owners.restart(self._clock.monotonic())
        self.connected = connected
        self._refresh(self.devices.values())

    def tick(self, now: float | None = None) -> None:
        """Notice what has not come: values too old, owners gone. To be called about every second."""
        now = self._clock.monotonic() if now is None else now
        self._latest = self._clock.time() + FUTURE
        expired = [point for point in self._deadlines.due(now) if point.expire()]
        for point in expired:
            point.notify()
        if self.connected:
            self._refresh(self._owners.tick(now))
            for device_id in list(self._contests):
                self._settle(device_id, now)

    def wanted_prefixes(self) -> frozenset[Path]:
        """Return the subtrees whose messages matter; changes with the devices."""
        topics = {*self._followers, *self._owners.topics()}
        others = {topic for topic in topics if not topic.startswith(_WATCHED)}
        return frozenset({DEVICES, HOSTS, PINGS, *map(Path.from_topic, covering(others))})

    def _update(self, followers: list[Point], message: Message, *, live: bool) -> None:
        now = self._clock.monotonic()
        received = now if live else self._arrival(message, now)
        latest = self._latest
        news = [
            point
            for point in followers
            if point.take(message, now, received, live=live, latest=latest)
        ]
        for point in followers:
            if point.ages and not point.scheduled:
                self._deadlines.watch(point)
        for point in news:
            point.notify()

    def _arrival(self, message: Message, now: float) -> float:
        """Guess when a message of a snapshot would have come, had we been there."""
        return now - max(0.0, self._clock.time() - message.time)

    def _describe(self, device_id: str, message: Message) -> None:
        if "/" in device_id:
            return
        known = self._known.get(device_id)
        if message.value is ABSENT:
            if known is not None and _withdraws_rival(known, message.meta.origin):
                self._end_contest(device_id, known)
            elif known is None or known.said.claim != LOCAL:
                self.remove(device_id)
            return
        try:
            description, issues = parse_device(device_id, message.value)
        except DescriptionError as err:
            self._report(device_id, (err.issue,))
            return
        origin = message.meta.origin
        said = Said(
            claim=claim_of(description, origin),
            origin=origin,
            description=description,
            issues=tuple(issues),
        )
        self._decide(device_id, known, said)

    def _decide(self, device_id: str, known: Known | None, said: Said) -> None:
        alive = known is not None and self._owners.is_alive(known.said.claim[1])
        known = judge(known, said, holder_alive=alive)
        self._known[device_id] = known
        if known.rival is None:
            self._contests.pop(device_id, None)
        else:
            now = self._clock.monotonic()
            self._contests.setdefault(device_id, Contest(now, now)).rival_seen = now
        if known.said is said:
            self._accept(said.description)
        self._report(device_id, known.issues)

    def _settle(self, device_id: str, now: float) -> None:
        """End a contest when one of the two is gone for good."""
        contest, known = self._contests[device_id], self._known[device_id]
        (kind, holder), rival = known.said.claim, known.rival
        assert rival is not None
        if kind != "owner" or self._owners.is_alive(holder):
            contest.holder_seen = now
        if rival.claim[0] != "owner" or is_announced(self._last(rival.claim[1])):
            contest.rival_seen = now
        if now - contest.rival_seen > PATIENCE:
            self._end_contest(device_id, known)
        elif now - contest.holder_seen > PATIENCE:
            self._decide(device_id, None, rival)

    def _end_contest(self, device_id: str, known: Known) -> None:
        self._known[device_id] = known = Known(said=known.said)
        self._contests.pop(device_id, None)
        self._report(device_id, known.issues)

    def _report(self, device_id: str, issues: Iterable[DescriptionIssue]) -> None:
        new = list(issues)
        if new == self.issues.get(device_id, []):
            return
        if new:
            self.issues[device_id] = new
        else:
            del self.issues[device_id]
        self._issues_changed(device_id)

    def _accept(self, description: DeviceDescription) -> None:
        device = self.devices.get(description.id)
        if device is None:
            device = Device(description)
            added, removed = self._shape(device, description)
            self._depend(device, description.alive)
            device.available = self._is_available(device)
            self.devices[description.id] = device
            self._device_added(device)
            self._tell(removed, added)
        elif device.description != description:
            added, removed = self._shape(device, description)
            if device.description.alive != description.alive:
                self._depend(device, description.alive)
            device.description = description
            self._refresh([device])
            self._tell(removed, added)
            self._device_changed(device)

    def _tell(self, removed: list[Point], added: list[Point]) -> None:
        for point in removed:
            self._point_removed(point)
        for point in added:
            self._point_added(point)

    def _shape(
        self, device: Device, description: DeviceDescription
    ) -> tuple[list[Point], list[Point]]:
        """Give a device the points of a description; return the new ones and the old ones."""
        old = device.points
        device.points = {}
        added: list[Point] = []
        for row in description.points:
            point = old.get(row.key)
            if point is not None and point.description == row:
                device.points[row.key] = old.pop(row.key)
            else:
                device.points[row.key] = new = self._follow(device, row, point)
                added.append(new)
        removed = list(old.values())
        for point in removed:
            self._drop(point)
        return added, removed

    def _follow(self, device: Device, row: PointDescription, before: Point | None) -> Point:
        point = Point(device, row)
        if (topic := point.topic) is None:
            return point
        self._followers.setdefault(topic, []).append(point)
        if (message := self._lookup(topic)) is not None:
            now = self._clock.monotonic()
            received = self._arrival(message, now)
            if before is not None and before.reading is not None and before.topic == topic:
                received = max(received, before.reading.received)
            point.take(message, now, received, live=False, latest=self._latest)
            self._deadlines.watch(point)
        return point

    def _drop(self, point: Point) -> None:
        point.removed = True
        self._deadlines.forget(point)
        if (topic := point.topic) is not None:
            followers = self._followers[topic]
            followers.remove(point)
            if not followers:
                del self._followers[topic]

    def _depend(self, device: Device, alive: Path | None) -> None:
        """Make a device depend on the owner whose announcement is at this path, if any."""
        if (before := device.owner) is not None:
            self._owners.leave(before, device)
        device.owner = None if alive is None else alive.topic
        if device.owner is not None:
            self._owners.follow(device.owner, device, self._last(device.owner))

    def _last(self, topic: str) -> Value:
        message = self._lookup(topic)
        return ABSENT if message is None else message.value

    def _refresh(self, devices: Iterable[Device]) -> None:
        """Tell those whose availability has changed."""
        changed = [device for device in devices if self._judge(device)]
        for device in changed:
            device.notify()
            for point in list(device.points.values()):
                if point.current:
                    point.notify()

    def _judge(self, device: Device) -> bool:
        was_available = device.available
        device.available = self._is_available(device)
        return device.available is not was_available

    def _is_available(self, device: Device) -> bool:
        owner = device.owner
        device.alive = None if owner is None else self._owners.is_alive(owner)
        return self.connected and device.alive is not False


def _withdraws_rival(known: Known, origin: str) -> bool:
    return known.rival is not None and origin == known.rival.origin != known.said.origin
