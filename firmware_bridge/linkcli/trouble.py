"""Errors for people: what failed, and what to do about it."""

import argparse
import contextlib
import difflib
from typing import Final

from ..link.client import Link, LinkConfig
from ..link.direct import Endpoint
from ..link.errors import (
    AuthenticationError,
    ConnectionLostError,
    LinkError,
    NoAnswerError,
    NoHistoryError,
    NotFoundError,
    NotMqtt5Error,
    RefusedError,
    TlsError,
    TokenNeededError,
)
from ..link.identity import HOSTS
from ..link.path import Element, Path
from ..link.transport import BrokerConfig, speaks_tls
from ..terminal import shown
from .show import when

_MOST: Final = 8  # names that are offered


class FailedError(LinkError):
    """It failed; the text is for people."""


def unreachable(error: LinkError, config: LinkConfig) -> FailedError:
    """Say why there is no connection to the broker."""
    broker = config.broker
    place = f"the broker at {broker.host}:{broker.port}"
    match error:
        case TlsError():
            return FailedError(f"{place}: no encrypted connection: {error}\nSee --tls and --ca.")
        case NotMqtt5Error():
            return FailedError(f"{place} does not speak MQTT 5: {error}")
        case AuthenticationError():
            return FailedError(
                f"{place} refuses the credentials: {error}\nSee --username and --password-file."
            )
        case NoAnswerError():
            return FailedError(f"{place}: {error}\nSee --timeout.")
    return FailedError(f"cannot reach {place}: {error}\nSee --host and --port.")


async def no_server(endpoint: Endpoint, error: LinkError | None, timeout: float) -> FailedError:
    """Say why the one server that was asked for does not serve us."""
    if isinstance(error, AuthenticationError | TlsError):
        return kept_out(error, endpoint)
    place = None if endpoint.path or endpoint.tls else (endpoint.host, endpoint.port)
    if place and await speaks_tls(BrokerConfig(host=place[0], port=place[1])):
        return FailedError(
            f"the server at {endpoint} encrypts its connections: write --server tls://{endpoint}"
        )
    reason = str(error or f"it does not answer within {timeout:g} s")
    return FailedError(
        f"no connection to the server at {endpoint}: {reason.removeprefix(f'{endpoint}: ')}"
    )


def kept_out(
    error: LinkError, endpoint: Endpoint | None = None, *, token: str | None = None
) -> FailedError:
    """Say that a server does not let us in, was not told our `token`, is not trusted; what helps."""
    server = f"The server at {endpoint}" if endpoint else "The server"
    if isinstance(error, TlsError):
        return FailedError(
            f"No encrypted connection to the server: {error}\n"
            "Nothing was sent to it in clear. See --server-ca, or --no-server."
        )
    if isinstance(error, TokenNeededError) and token is not None:
        return FailedError(
            f"{server} was not told the token: nothing shows that it is on the broker's machine: "
            f"{error}\nIf the address is right, name it with --server."
        )
    return FailedError(f"{server} does not let us in: {error}\nSee --token-file, or --no-server.")


async def explained(error: LinkError, link: Link, options: argparse.Namespace) -> LinkError:
    """Add what helps to understand an error: near names, who was faster."""
    match error:
        case FailedError():
            return error
        case NotFoundError() if "service" in options:
            return FailedError(await _no_service(link, options))
        case NotFoundError() if isinstance(getattr(options, "path", None), Path):
            return FailedError(await missing(link, options.path))
        case NoHistoryError() if error.server is not None:
            return FailedError(
                f"{error}\nA server keeps what it is told to: see `moat-bridge server --history`."
            )
        case ConnectionLostError():
            return FailedError(f"the connection was lost: {error}")
    return error


async def missing(link: Link, path: Path, prefix: Path | None = None, what: str = "nothing") -> str:
    """Say that there is nothing at a path, and which names are near; paths are told below `prefix`."""
    near: list[Path] = []
    for depth in range(len(path), -1, -1):
        above = path[:depth]
        names = await _children(link, above)
        if not names:
            continue
        near = [above / each for each in names]
        if depth < len(path):
            by_text = {str(Path(each)): above / each for each in names}
            close = difflib.get_close_matches(str(Path(path[depth])), by_text, _MOST, 0.6)
            near = [by_text[each] for each in close] or near
        break
    told = [str(each.relative_to(prefix or Path())) for each in (path, *near)]
    text = f"{what} at {told.pop(0)}"
    if not told:
        return text
    more = f" and {len(told) - _MOST} more" if len(told) > _MOST else ""
    return f"{text}; there is {', '.join(told[:_MOST])}{more}"


async def _children(link: Link, path: Path) -> list[Element]:
    try:
        return await link.list(path)
    except LinkError:
        return []


async def _no_service(link: Link, options: argparse.Namespace) -> str:
    """Say that there is no such service, or that it has no such command."""
    service = options.service
    found: list[Path] = []
    with contextlib.suppress(LinkError):
        found = [
            each.path
            async for each in link.walk(HOSTS)
            if isinstance(each.value, dict) and "path" in each.value
        ]
    if service in found:
        return f"{service} has no command {options.command}"
    text = f"no service at {service}"
    if not found:
        return f"{text}, nor anywhere else"
    return "\n  ".join([f"{text}; there is", *map(str, found)])


async def in_the_way(link: Link, path: Path, what: str) -> str:
    """Say why something was not done: what is there, or that there is nothing."""
    try:
        there = await link.get(path)
    except RefusedError:
        return f"{path} was not {what}: there is no value"
    return (
        f"{path} was not {what}: there is {shown(there.value)} of {there.meta.origin}, "
        f"time {there.time!r} ({when(there.time)})"
    )
