"""The way of a call to another client, here or at another server."""

from ..link.codec import Value
from ..link.connection import Answer, Request
from ..link.errors import ConnectionLostError, RemoteError
from .clients import Clients
from .peers import Peers
from .relay import relay


class Routes:
    """Finds who is meant by `cl` and `srv`, and has them asked."""

    def __init__(self, name: str, clients: Clients, peers: Peers) -> None:
        """Take our own name, and whom we know."""
        self._name = name
        self._clients = clients
        self._peers = peers

    async def forward(self, route: tuple[Value, ...], request: Request) -> Answer:
        """Have another client or server carry a command out. RefusedError and its kin."""
        match route:
            case ("cl", name, *rest):
                client = self._clients.find(name)
                if client is None:
                    raise RemoteError("_EKyErr", (name,))
                return await relay(request, client.connection, rest)
            case ("srv", self._name, "cl"):
                return len(self._clients.names)
            case ("srv", self._name, "cl", *rest):
                return await self.forward(("cl", *rest), request)
            case ("srv", self._name, name, *_):
                raise RemoteError("_KyErr", (name, "Server", list(route), []))
            case ("srv", str(other), *rest) if rest:
                try:
                    connection = self._peers.connection(other)
                except ConnectionLostError:
                    down = f"Server link {other!r} down"
                    raise RemoteError("_rErr", ("RuntimeError", down)) from None
                return await relay(request, connection, rest)
            case ("srv",):
                raise RemoteError("_IdxErr", ("pop from empty list",))
        raise RemoteError("_SCmdErr", (list(route),))
