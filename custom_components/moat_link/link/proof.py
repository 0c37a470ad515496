"""Prove that a server lets us in, before anybody relies on it."""

import asyncio
import contextlib
from dataclasses import replace
from typing import Final

from .config import LinkConfig
from .direct import Endpoint, connect
from .discover import announced_servers
from .errors import AuthenticationError, LinkError, NoServerError
from .handshake import ServerIdentity, fresh_id

PATIENCE: Final = 10.0  # seconds for all servers together


async def prove_server(config: LinkConfig, *, by_token: bool) -> ServerIdentity:
    """Log in at the configured end point, or where servers announce themselves; raise why not.

    `by_token`: it must be the token that lets us in. AuthenticationError, NoServerError (none
    announces itself), or why none can be reached; of the broker, what `Session.open` raises.
    """
    error: LinkError = NoServerError("no server announces itself")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            for endpoint in await _candidates(config):
                try:
                    return await _log_in(endpoint, config, by_token=by_token)
                except LinkError as err:
                    if not isinstance(error, AuthenticationError):
                        error = err
    raise error


async def _candidates(config: LinkConfig) -> list[Endpoint]:
    """Return where to try, with our token; not in clear where a server encrypts."""
    if config.endpoint is not None:
        found = [config.endpoint]
    else:
        encrypted = config.server_tls is not None
        servers = await announced_servers(config.broker, config.root, encrypted=encrypted)
        found = [
            each
            for server in servers
            for each in server
            if each.tls or not any(other.tls for other in server)
        ]
    mine = [each if config.token is None else replace(each, token=config.token) for each in found]
    return list(dict.fromkeys(mine))


async def _log_in(endpoint: Endpoint, config: LinkConfig, *, by_token: bool) -> ServerIdentity:
    connection, identity = await connect(
        endpoint, name=fresh_id(), tls=config.server_tls, timeout=PATIENCE / 2
    )
    await connection.close()
    if by_token and identity.method != "token":
        raise AuthenticationError(f"{identity.name} does not accept the token")
    return identity
