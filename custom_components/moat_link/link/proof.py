"""Prove that a server lets us in, before anybody relies on it."""

import asyncio
import contextlib
from dataclasses import replace
from typing import Final

from .candidates import candidates
from .config import LinkConfig
from .direct import Endpoint, connect
from .discover import announced_servers
from .errors import (
    AuthenticationError,
    LinkError,
    NoServerError,
    NotTrustedError,
    TokenNeededError,
)
from .handshake import ServerIdentity, fresh_id

PATIENCE: Final = 10.0  # seconds for all servers together


async def prove_server(config: LinkConfig, *, by_token: bool) -> ServerIdentity:
    """Log in at the configured end point, or where servers announce themselves; raise why not.

    `by_token`: it must be our token that lets us in. AuthenticationError, NoServerError (none
    announces itself), NotTrustedError (none that our token is told to; the text is where one is), or
    why none can be reached; of the broker, what `Session.open` raises.
    """
    error: LinkError = NoServerError("no server announces itself")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            for endpoint in await _to_try(config, by_token=by_token):
                try:
                    return await _log_in(endpoint, config, by_token=by_token)
                except LinkError as err:
                    if not isinstance(error, AuthenticationError | NotTrustedError):
                        error = err
    raise error


async def _to_try(config: LinkConfig, *, by_token: bool) -> list[Endpoint]:
    """Return where to try; `by_token`: with our token, whatever is announced."""
    if config.endpoint is not None:
        return candidates(replace(config, only=True), [], None)
    announced = await announced_servers(config.broker, config.root)
    if not by_token:
        return candidates(config, announced.endpoints, announced.peer)
    bare = [replace(each, token=None) for each in announced.endpoints]
    found = candidates(config, bare, announced.peer)
    told = [each for each in found if each.token is not None]
    if found and not told:
        raise NotTrustedError(str(found[0]))
    return told


async def _log_in(endpoint: Endpoint, config: LinkConfig, *, by_token: bool) -> ServerIdentity:
    try:
        connection, identity = await connect(
            endpoint, name=fresh_id(), tls=config.server_tls, timeout=PATIENCE / 2
        )
    except TokenNeededError as err:
        if config.token is None:
            raise
        raise NotTrustedError(str(endpoint)) from err
    await connection.close()
    if by_token and identity.method != "token":
        raise AuthenticationError(f"{identity.name} does not accept the token")
    return identity
