"""The table `[server]` of the configuration: the bridge as the installation's server."""

from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import voluptuous as vol

from .server.config import (
    ELECTION,
    MOST_DATA,
    STAND_BACK,
    ServerConfigError,
    ServerOptions,
    parse_place,
)
from .server.retention import Keep, make_rule, parse_size


def server_table(
    directory: FilePath, secret: Callable[[object], str | None]
) -> Callable[[object], ServerOptions]:
    """Return what checks the table; file names start at `directory`."""
    text = vol.All(str, vol.Length(min=1, max=255))
    file = vol.All(text, lambda name: directory / name)
    schema = vol.Schema(
        {
            vol.Optional("name", default=None): vol.Any(None, text),
            vol.Optional("listen", default=None): vol.Any(None, [vol.All(text, _place)]),
            vol.Optional("listen_tls", default=None): vol.Any(None, [vol.All(text, _place)]),
            vol.Optional("unix", default=None): vol.Any(None, [text]),
            vol.Optional("tokens", default=dict): {text: vol.All(secret, str, vol.Length(min=12))},
            vol.Optional("token_file", default=None): vol.Any(None, file),
            vol.Optional("announce", default=None): vol.Any(None, text),
            vol.Optional("anonymous", default=True): bool,
            vol.Optional("announce_token", default=True): bool,
            vol.Optional("forget_errors", default=30.0): vol.All(vol.Coerce(float), vol.Range(0)),
            vol.Optional("most_data", default=MOST_DATA): _valid(parse_size),
            vol.Optional("save", default=None): vol.Any(None, file),
            vol.Optional("history", default=dict): {text: _rule},
            vol.Optional("history_size", default=1 << 30): _valid(parse_size),
            vol.Optional("sync", default=1.0): vol.All(vol.Coerce(float), vol.Range(0.01, 3600)),
            vol.Optional("election", default=STAND_BACK): vol.In(ELECTION),
            vol.Optional("cycle", default=50.0): vol.Coerce(float),
            vol.Optional("gap", default=5.0): vol.Coerce(float),
            vol.Optional("certificate", default=None): vol.Any(None, file),
            vol.Optional("key", default=None): vol.Any(None, file),
            vol.Optional("server_ca", default=None): vol.Any(None, file),
            vol.Optional("peer_token", default=None): vol.Any(None, text),
        }
    )
    return lambda table: ServerOptions(**schema(table))


def _rule(value: object) -> Keep:
    """Read days, or a table of days and size."""
    if isinstance(value, dict) and not set(value) - {"days", "size"}:
        return _valid(lambda rule: make_rule(rule.get("days"), rule.get("size")))(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _valid(lambda days: make_rule(days, None))(value)
    raise vol.Invalid('must be days, or { days = 30, size = "500M" }')


def _valid[T](read: Callable[[Any], T]) -> Callable[[Any], T]:
    """Make what raises ValueError fit for a schema."""

    def check(value: Any) -> T:
        try:
            return read(value)
        except (ValueError, TypeError) as err:
            raise vol.Invalid(str(err)) from err

    return check


def _place(text: str) -> str:
    try:
        parse_place(text)
    except ServerConfigError as err:
        raise vol.Invalid(str(err)) from err
    return text
