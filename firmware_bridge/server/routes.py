"""The way of a call to another client, here or at another server."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from ..link.codec import Value
from ..link.connection import Answer, Connection, Request
from ..link.errors import ConnectionLostError, RefusedError, RemoteError
from .clients import Clients
from .peers import Peers
from .relay import relay

_HOPS: Final = 8  # servers that a call may pass through
_FREE: Final = 16  # calls under way to the same place that everybody may have


class Routes:
    """Finds who is meant by `cl` and `srv`, and has them asked."""

    def __init__(self, name: str, clients: Clients, peers: Peers) -> None:
        """Take our own name, and whom we know."""
        self._name = name
        self._clients = clients
        self._peers = peers
        self._under_way: Counter[tuple[Connection, Connection]] = Counter()
        """Calls, by who made them and who is to answer."""

    async def forward(self, route: tuple[Value, ...], request: Request) -> Answer:
        """Have another client or server carry a command out. RefusedError and its kin."""
        match route:
            case ("cl", name, *rest):
                client = self._clients.find(name)
                if client is None:
                    raise RemoteError("_EKyErr", (name,))
                return await self._pass_on(request, client.connection, rest)
            case ("srv", self._name, "cl"):
                return len(self._clients.names)
            case ("srv", self._name, "cl", *rest):
                return await self.forward(("cl", *rest), request)
            case ("srv", self._name, name, *_):
                raise RemoteError("_KyErr", (name, "Server", list(route), []))
            case ("srv", str(other), *rest) if rest:
                self._check(rest)
                try:
                    connection = self._peers.connection(other)
                except ConnectionLostError:
                    down = f"Server link {other!r} down"
                    raise RemoteError("_rErr", ("RuntimeError", down)) from None
                return await self._pass_on(request, connection, rest)
            case ("srv",):
                raise RemoteError("_IdxErr", ("pop from empty list",))
        raise RemoteError("_SCmdErr", (list(route),))

    def _check(self, rest: Sequence[Value]) -> None:
        """Refuse a way that leads back to us, or through too many servers. RefusedError."""
        hops = 1
        while rest[:1] == ["srv"]:
            hops += 1
            if hops > _HOPS or rest[1:2] == [self._name]:
                raise RefusedError("the way leads in a circle, or through too many servers")
            rest = rest[2:]

    async def _pass_on(self, request: Request, target: Connection, path: Sequence[Value]) -> Answer:
        """Relay a call; nobody may use up all that somebody else can be asked. RefusedError."""
        way = request.connection, target
        there = self._under_way[way]
        if there >= _FREE and there >= target.room // 2:
            raise RefusedError("too many calls to the same place are under way")
        self._under_way[way] += 1
        try:
            return await relay(request, target, path)
        finally:
            self._under_way[way] -= 1
            if not self._under_way[way]:
                del self._under_way[way]
