"""Makes the bridge known on the local network, so that Home Assistant offers to set it up.

Needs the package `zeroconf` (the extra `discovery`); without it nothing is announced.
"""

import contextlib
import importlib.util
import ipaddress
import logging
import socket
from collections.abc import AsyncIterator

from .config import Config

_LOGGER = logging.getLogger(__name__)

SERVICE_TYPE = "_moat-link._tcp.local."
_LOCAL = ("localhost", "::1")


def properties(config: Config) -> dict[str, str]:
    """Return what the announcement tells: enough to connect, nothing that is secret.

    A broker on this machine has no host: whoever hears it takes the address it came from.
    """
    host = {} if _is_loopback(config.broker_host) else {"host": config.broker_host}
    return host | {
        "root": str(config.root),
        "port": str(config.broker_port),
        "tls": "1" if config.tls else "0",
        "name": config.name,
    }


@contextlib.asynccontextmanager
async def announced(config: Config) -> AsyncIterator[None]:
    """Announce the bridge for as long as the context lasts, if that is wanted and possible."""
    if not config.discovery or importlib.util.find_spec("zeroconf") is None:
        yield
        return
    from zeroconf import Error, IPVersion, ServiceInfo
    from zeroconf.asyncio import AsyncZeroconf

    # an interface without a route is nobody's business, and not worth a traceback
    logging.getLogger("zeroconf").setLevel(logging.ERROR)

    info = ServiceInfo(
        SERVICE_TYPE,
        f"{config.name}-{config.host}.{SERVICE_TYPE}",
        port=config.broker_port,
        properties=properties(config),
        server=f"{config.host.partition('.')[0]}.local.",
        parsed_addresses=own_addresses(),
    )
    async with contextlib.AsyncExitStack() as stack:
        try:
            zeroconf = await stack.enter_async_context(AsyncZeroconf(ip_version=IPVersion.All))
            await zeroconf.async_register_service(info, allow_name_change=True)
        except (OSError, Error) as err:
            _LOGGER.warning("The bridge is not announced on the network: %s", err)
        yield


def own_addresses() -> list[str]:
    """Return the addresses others reach this machine at (no packet is sent)."""
    found = []
    for family, beyond in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((beyond, 9))
            found.append(probe.getsockname()[0])
    return found or ["127.0.0.1"]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOCAL
