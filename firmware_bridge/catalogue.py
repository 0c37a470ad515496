"""The devices that are on offer, as they are described to the outside; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from .driver import Offer
from .link.codec import Key, Value
from .link.describe import (
    DescriptionError,
    DescriptionIssue,
    DeviceDescription,
    PointDescription,
    WriteService,
    describe,
    parse_device,
)
from .link.path import Path
from .link.quantity import Kind
from .outlet import DEFAULT_FILTER, Outlet, make_outlets

DEVICES = Path("device")
SET = "set"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One device: as it is described, and where its values go."""

    driver: str
    description: DeviceDescription
    points: Mapping[str, PointDescription]
    outlets: Mapping[str, Outlet]
    events: frozenset[str]
    """The keys of the points where something happens."""

    @property
    def path(self) -> Path:
        """Return where the description is published."""
        return DEVICES / self.description.id

    @property
    def value(self) -> dict[Key, Value]:
        """Return the description as it is published."""
        return describe(self.description)

    @property
    def state_paths(self) -> frozenset[Path]:
        """Return every path that this device publishes values at."""
        return frozenset(point.path for point in self.points.values() if point.path is not None)

    @property
    def all_outlets(self) -> tuple[Outlet, ...]:
        """Return every outlet once."""
        return tuple(dict.fromkeys(self.outlets.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is different since the driver was asked last."""

    published: tuple[Entry, ...] = ()
    removed: tuple[Entry, ...] = ()
    problems: tuple[str, ...] = ()  # that were not told before


class Catalogue:
    """All devices of all drivers."""

    def __init__(self, prefix: Path, service: Path) -> None:
        """Publish values below `prefix`; `service` is where the bridge announces itself."""
        self._prefix = prefix
        self._service = service
        self._entries: dict[str, Entry] = {}
        self._offers: dict[str, tuple[Offer, ...]] = {}
        self._told: dict[str, tuple[str, ...]] = {}

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return every device."""
        return tuple(self._entries.values())

    def get(self, device: str) -> Entry | None:
        """Return a device if there is one with this id."""
        return self._entries.get(device)

    def replace(self, driver: str, offers: tuple[Offer, ...]) -> Changes:
        """Take what a driver offers now instead of what it offered before."""
        if self._offers.get(driver) is offers:
            return Changes()
        self._offers[driver] = offers
        problems: list[str] = []
        fresh: dict[str, Entry] = {}
        taken = {
            path for each in self.entries if each.driver != driver for path in each.state_paths
        }
        for offer in offers:
            entry = self._entry(driver, offer, problems)
            if entry is None:
                continue
            owner = self._entries.get(entry.description.id)
            if (owner and owner.driver != driver) or entry.description.id in fresh:
                problems.append(f"{entry.path}: another device has this id")
            elif entry.state_paths & taken:
                shared = min(map(str, entry.state_paths & taken))
                problems.append(f"{entry.path}: another device publishes at {shared}")
            else:
                fresh[entry.description.id] = entry
                taken |= entry.state_paths
        return self._swap(driver, fresh, tuple(problems))

    def _swap(self, driver: str, fresh: Mapping[str, Entry], problems: tuple[str, ...]) -> Changes:
        mine = {each.description.id: each for each in self.entries if each.driver == driver}
        published = []
        for device, entry in fresh.items():
            former = mine.get(device)
            if former is None or former.description != entry.description:
                self._entries[device] = entry
                published.append(entry)
                _adopt(entry, former)
        removed = tuple(self._entries.pop(device) for device in mine if device not in fresh)
        new = tuple(each for each in problems if each not in self._told.get(driver, ()))
        self._told[driver] = problems
        return Changes(published=tuple(published), removed=removed, problems=new)

    def _entry(self, driver: str, offer: Offer, problems: list[str]) -> Entry | None:
        """Complete a description and prove that readers will understand it."""
        raw = offer.description
        complete = replace(
            raw,
            alive=self._service,
            points=tuple(self._point(raw.id, point) for point in raw.points),
        )
        issues: Iterable[DescriptionIssue]
        try:
            description, issues = parse_device(raw.id, describe(complete))
        except DescriptionError as err:
            problems.append(str(err))
            return None
        problems += [f"{DEVICES / raw.id}: {each.key}: {each.problem}" for each in issues]
        usable = {point.key for point in description.points}
        points = {point.key: point for point in complete.points if point.key in usable}
        filters = ((each, offer.filters.get(each.key, DEFAULT_FILTER)) for each in points.values())
        return Entry(
            driver=driver,
            description=complete,
            points=points,
            outlets=make_outlets(filters),
            events=frozenset(key for key, each in points.items() if each.info.kind is Kind.EVENT),
        )

    def _point(self, device: str, point: PointDescription) -> PointDescription:
        return replace(
            point,
            path=None if point.path is None else self._prefix / point.path,
            write=WriteService(service=self._service, command=(SET,), args=(device, point.key))
            if point.writable
            else None,
        )


def _adopt(entry: Entry, former: Entry | None) -> None:
    """Keep the values of a device whose description changed."""
    before = {each.path: each for each in former.all_outlets} if former is not None else {}
    for outlet in entry.all_outlets:
        if outlet.path in before:
            outlet.adopt(before[outlet.path])
