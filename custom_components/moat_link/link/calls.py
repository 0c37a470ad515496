"""Calling services of others: find where they are, and the way to get there."""

from collections.abc import Callable, Mapping, Sequence

from .codec import Value
from .data import Data
from .errors import NotFoundError, RefusedError, RemoteError
from .identity import IDS
from .path import Path
from .requests import Requester
from .rpc import Reply
from .server import Server
from .watch import Watches


class Calls:
    """Makes calls, for the life of one session."""

    def __init__(
        self,
        data: Data,
        watches: Watches,
        server: Callable[[], Server | None],
        requester: Requester,
    ) -> None:
        """Look services up in `watches` or `data`; call through the server or by request."""
        self._data = data
        self._watches = watches
        self._server = server
        self._requester = requester

    async def call(
        self,
        service: Path,
        command: Sequence[Value],
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
    ) -> Reply:
        """Call a command of the service announced at a path; there is no time limit in here."""
        announced = await self._look_up(service)
        match announced:
            case {"id": str(owner), "path": Path() | [*_] as prefix, **rest}:
                route = [*prefix, *command]
                requestable = rest.get("request") is True
            case {"id": str()}:
                raise RefusedError(f"{service} takes no commands")
            case _:
                raise NotFoundError(f"no service at {service}")
        try:
            if (server := self._server()) is not None and (name := await self._server_of(owner)):
                try:
                    return await server.call(name, owner, route, arguments, keywords)
                except NotFoundError as err:
                    if str(err) != owner:
                        raise
                    # the record is out of date: the owner is not connected to that server
            if requestable:
                return await self._requester.ask(owner, route, arguments, keywords)
        except RemoteError as err:
            if err.name == "_ValErr" and len(err.arguments) == 1:  # how MoaT says: refused
                raise RefusedError(str(err.arguments[0])) from err
            raise
        raise RefusedError(f"no way to {service}: no server connects us")

    async def _server_of(self, client_id: str) -> str | None:
        """Return the name of the server that a client is connected to."""
        try:
            record = await self._look_up(IDS / client_id)
        except NotFoundError:
            return None
        match record:
            case {"srv": str(name)}:
                return name
        return None

    async def _look_up(self, path: Path) -> Value:
        message = self._watches.known(path.topic) or await self._data.get(path)
        return message.value
