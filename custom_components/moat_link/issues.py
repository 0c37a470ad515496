"""Repair issues: exactly those that hold now, each with what the user can do about it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from homeassistant.const import CONF_TOKEN
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir

from .const import DOMAIN
from .feed import DEVICES
from .link.errors import AuthenticationError, NoServerError, NotAuthorizedError, TokenNeededError
from .plain import to_markdown
from .problem import HIGHEST_LEVEL, Problem

if TYPE_CHECKING:
    from .hub import Hub, MoatConfigEntry

SERVER_PATIENCE: Final = 300.0
"""Seconds without a server before that is worth an issue."""
MOST_SKEW: Final = 5.0
"""Seconds that two clocks may differ: from there on, newer values may lose against older ones."""
MOST: Final = 10
"""Issues of one sort; more are summed up in one."""
LONGEST: Final = 200
ID_KEY: Final = "(id)"

DATA_ENTRY: Final = "entry_id"
DATA_PATH: Final = "path"
STOPPED: Final = "stopped"
LINK_ERROR: Final = "link_error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """What the registry is to show."""

    key: str
    placeholders: dict[str, str]
    severity: ir.IssueSeverity = ir.IssueSeverity.WARNING
    fixable: bool = False
    data: dict[str, str | int | float | None] = field(default_factory=dict)


class Issues:
    """The repair issues of one entry; `Hub` has them looked at about every second."""

    def __init__(self, hass: HomeAssistant, entry: MoatConfigEntry, hub: Hub) -> None:
        """Start without any."""
        self._hass = hass
        self._entry = entry
        self._hub = hub
        self._shown: dict[str, Issue] = {}
        self._stopped: str | None = None
        self._server: str | None = None
        self._missing_since: float | None = None
        self._skew: int | None = None

    @callback
    def tick(self, now: float) -> None:
        """Show what holds at this time (monotonic s), and nothing else."""
        self.look(now)
        self._show(dict(self._wanted(now)))

    @callback
    def look(self, now: float) -> None:
        """Remember of the link's status what it does not tell later."""
        status = self._hub.link.status
        if status.skew is not None:
            self._skew = round(status.skew) if abs(status.skew) > MOST_SKEW else None
        if status.server is not None:
            self._server = status.server
        if not status.degraded or not self._hub.link.config.use_server:
            self._missing_since = None
        elif self._missing_since is None:
            self._missing_since = now

    @property
    def refusal(self) -> str | None:
        """What to tell the user about a server that does not let us in, if so."""
        error = self._hub.link.status.server_error
        if not isinstance(error, AuthenticationError):
            return None
        if CONF_TOKEN not in self._entry.data:
            return "server_token_needed"
        return "server_not_trusted" if isinstance(error, TokenNeededError) else "server_wrong_token"

    @callback
    def stopped(self, reason: str) -> None:
        """From now on, all there is to say is that somebody stopped us."""
        self._stopped = reason
        self.close()

    @callback
    def close(self) -> None:
        """Nothing is known any more, except that somebody stopped us if so."""
        self._show(dict(self._about_stop()))

    @callback
    def clear(self) -> None:
        """The entry is not there any more, and nor are its issues."""
        self._show({})

    def _show(self, wanted: dict[str, Issue]) -> None:
        for name in self._shown.keys() - wanted.keys():
            ir.async_delete_issue(self._hass, DOMAIN, f"{name}_{self._entry.entry_id}")
        for name, issue in wanted.items():
            if self._shown.get(name) != issue:
                ir.async_create_issue(
                    self._hass,
                    DOMAIN,
                    f"{name}_{self._entry.entry_id}",
                    is_fixable=issue.fixable,
                    severity=issue.severity,
                    translation_key=issue.key,
                    translation_placeholders={"name": self._entry.title, **issue.placeholders},
                    data={DATA_ENTRY: self._entry.entry_id, **issue.data},
                )
        self._shown = wanted

    def _wanted(self, now: float) -> Iterator[tuple[str, Issue]]:
        yield from self._about_stop()
        yield from self._about_server(now)
        yield from self._about_clocks()
        yield from self._about_rights()
        yield from self._about_errors()
        yield from self._about_descriptions()

    def _about_stop(self) -> Iterator[tuple[str, Issue]]:
        if self._stopped is not None:
            yield (
                STOPPED,
                Issue(
                    key=STOPPED,
                    placeholders={"reason": plain(self._stopped)},
                    severity=ir.IssueSeverity.ERROR,
                    fixable=True,
                ),
            )

    def _about_server(self, now: float) -> Iterator[tuple[str, Issue]]:
        """Tell of a server that was there, or says that it is; one that never was is no issue."""
        if self._missing_since is None:
            return
        error = self._hub.link.status.server_error
        reason = {"reason": plain(str(error))}
        if (refusal := self.refusal) is not None:
            yield "server_refused", Issue(key=refusal, placeholders=reason)
        elif now - self._missing_since < SERVER_PATIENCE:
            return
        elif self._server is not None:
            yield (
                "server_gone",
                Issue(key="server_gone", placeholders={"server": plain(self._server), **reason}),
            )
        elif error is not None and not isinstance(error, NoServerError):
            yield "degraded", Issue(key="degraded", placeholders=reason)

    def _about_clocks(self) -> Iterator[tuple[str, Issue]]:
        if self._skew is not None:
            about = {"seconds": f"{self._skew:+d}", "server": plain(str(self._server))}
            yield "clock_skew", Issue(key="clock_skew", placeholders=about)

    def _about_rights(self) -> Iterator[tuple[str, Issue]]:
        status = self._hub.link.status
        if status.connected and isinstance(status.error, NotAuthorizedError):
            about = {"topic": plain(status.error.topic), "reason": plain(str(status.error))}
            yield "not_authorized", Issue(key="not_authorized", placeholders=about)

    def _about_errors(self) -> Iterator[tuple[str, Issue]]:
        """Tell of errors of the highest level that nobody has acknowledged."""
        fatal = {
            f"error_{topic}": problem
            for topic, problem in self._hub.problems.open.items()
            if problem.level >= HIGHEST_LEVEL and not problem.acknowledged
        }
        if len(fatal) > MOST:
            newest = max(fatal.values(), key=lambda problem: problem.time)
            about = {"count": str(len(fatal)), **_texts(newest)}
            error = ir.IssueSeverity.ERROR
            yield "many_errors", Issue(key="many_errors", placeholders=about, severity=error)
        else:
            yield from ((name, _link_error(problem)) for name, problem in fatal.items())

    def _about_descriptions(self) -> Iterator[tuple[str, Issue]]:
        """Tell of devices that are not shown as they should be."""
        concerned = self._hub.site.issues
        if len(concerned) > MOST:
            about = {"count": str(len(concerned)), "paths": _list(concerned)}
            yield "many_descriptions", Issue(key="many_descriptions", placeholders=about)
            return
        for device_id, problems in concerned.items():
            known = device_id in self._hub.site.devices
            rivals = [each for each in problems if known and each.key == ID_KEY]
            broken = [each for each in problems if each not in rivals]
            about = {"path": plain(str(DEVICES / device_id))}
            if rivals:
                rival = about | {"problem": to_markdown(plain(rivals[0].problem))}
                yield (
                    f"duplicate_{device_id}",
                    Issue(key="duplicate_device", placeholders=rival),
                )
            if broken:
                first = {"key": plain(broken[0].key), "problem": plain(broken[0].problem)}
                count = {"count": str(len(broken))}
                yield (
                    f"description_{device_id}",
                    self._broken(device_id, about | first | count),
                )

    def _broken(self, device_id: str, about: dict[str, str]) -> Issue:
        """Tell of a description; one that the user made is corrected elsewhere."""
        if (subentry_id := self._hub.devices.subentry_of(device_id)) is None:
            return Issue(key="broken_description", placeholders=about)
        title = self._entry.subentries[subentry_id].title
        return Issue(key="broken_value", placeholders=about | {"path": plain(title)})


def plain(text: str) -> str:
    """Return what came over the wire as one short line that ends no quotation in Markdown."""
    line = " ".join(text.replace("`", "'").split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _texts(problem: Problem) -> dict[str, str]:
    return {"path": plain(str(problem.path)), "message": plain(problem.message) or "—"}


def _link_error(problem: Problem) -> Issue:
    return Issue(
        key=LINK_ERROR,
        placeholders=_texts(problem),
        severity=ir.IssueSeverity.ERROR,
        fixable=True,
        data={DATA_PATH: str(problem.path)},
    )


def _list(device_ids: Iterable[str]) -> str:
    return plain(", ".join(str(DEVICES / device_id) for device_id in islice(device_ids, MOST)))
