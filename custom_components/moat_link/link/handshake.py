"""Who are you: the opening of a direct connection, for either side, old and new."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .connection import Answer, Connection, Handler, no_command
from .errors import (
    AuthenticationError,
    ConnectionLostError,
    LinkError,
    NoAnswerError,
    RefusedError,
    RemoteError,
    TokenNeededError,
)
from .flow import Pending, Request
from .frames import Reply
from .meta import fit_as_origin
from .remote import encode_error, original

if TYPE_CHECKING:
    from .codec import Value

_HELLO: Final = (None,)
_LEGACY_HELLO: Final = ("i", "hello")
_VERSION: Final = 1
_LINK_VERSION: Final = 0
_BY_TOKEN: Final = "token"  # noqa: S105
_ANONYMOUS: Final = "anon"
_LONGEST_NAME: Final = 255
_ALPHABET: Final = "23456789BCDFGHJKLMNPQRSTVWXYZbcdfghjkmnpqrstvwxyz"  # no look-alikes


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """Who answered: the server's name, the name it gave us, and how we got in."""

    name: str
    assigned: str
    method: str
    legacy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdentity:
    """Who called: the client's own name, and how it got in."""

    name: str
    method: str


def fresh_id() -> str:
    """Return a new name for a client: `_` and twelve characters."""
    return "_" + "".join(secrets.choice(_ALPHABET) for _ in range(12))


class ClientLogin:
    """The client's part. Give `handle` to the connection, then await `run`.

    The server speaks first; its first frame tells which of the two ways it knows.
    """

    def __init__(
        self, *, name: str, token: str | None = None, handler: Handler = no_command
    ) -> None:
        """Take our name, the token if there is one, and who handles everything else."""
        self._name = name
        self._token = token
        self._handler = handler
        self._token_needed = False
        loop = asyncio.get_running_loop()
        self._greeted: asyncio.Future[Request] = loop.create_future()
        self._verdict: asyncio.Future[Answer] = loop.create_future()

    def handle(self, request: Request) -> Awaitable[Answer]:
        """Answer the server's greeting; pass on what else it asks."""
        if request.path in (_HELLO, _LEGACY_HELLO) and not self._greeted.done():
            self._greeted.set_result(request)
            return asyncio.shield(self._verdict)
        return self._handler(request)

    async def greeted(self, connection: Connection, *, timeout: float) -> str:
        """Return how the server calls itself, and do not log in. The same errors as `run`."""
        try:
            async with asyncio.timeout(timeout):
                greeting = await _unless_closed(connection, self._greeted)
        except TimeoutError:
            raise NoAnswerError(f"no handshake within {timeout} s") from None
        finally:
            self._verdict.cancel()
        if greeting.path == _HELLO:
            return _read_greeting(greeting, from_server=True)[0]
        return _read_legacy_greeting(greeting)[0]

    async def run(self, connection: Connection, *, timeout: float = 10) -> ServerIdentity:
        """Get in, or AuthenticationError, NoAnswerError, ConnectionLostError.

        TokenNeededError if there is no other way in.
        """
        try:
            async with asyncio.timeout(timeout):
                greeting = await _unless_closed(connection, self._greeted)
                if greeting.path == _HELLO:
                    return await self._log_in(connection, greeting)
                return await self._log_in_legacy(connection, greeting)
        except TimeoutError:
            raise NoAnswerError(f"no handshake within {timeout} s") from None
        except (AuthenticationError, RefusedError) as err:
            self._greeted.result().exchange.fail(encode_error(original(err)))
            if self._token_needed:
                raise TokenNeededError("nobody gets in without a token") from err
            raise AuthenticationError(str(err)) from err
        finally:
            self._verdict.cancel()

    async def _log_in(self, connection: Connection, greeting: Request) -> ServerIdentity:
        server, offered, assigned = _read_greeting(greeting, from_server=True)
        wanted = ([_BY_TOKEN] if self._token is not None else []) + [_ANONYMOUS]
        self._token_needed = self._token is None and offered == {_BY_TOKEN}
        ours = connection.begin(
            _HELLO,
            (_VERSION, False, self._name, frozenset(wanted)),
            {"moat.link": {"version": _LINK_VERSION, "rname": server}},
        )
        try:
            method = await self._authenticate(
                connection, ours, [method for method in wanted if method in offered]
            )
            self._verdict.set_result(method)
            reply = await ours.future
        finally:
            ours.discard()
        given = reply.keywords.get("name")
        return ServerIdentity(
            name=server, assigned=given if isinstance(given, str) else assigned, method=method
        )

    async def _authenticate(
        self, connection: Connection, ours: Pending, methods: Sequence[str]
    ) -> str:
        """Go through all methods, as the server may wait for each; the first success counts."""
        winner = None
        reason: LinkError = _denied()
        for method in methods:
            arguments = (self._token,) if method == _BY_TOKEN else ()
            try:
                await connection.request((None, method), arguments, timeout=None)
            except ConnectionLostError:
                break
            except LinkError as err:
                reason = err
            else:
                winner = winner or method
        if winner is not None:
            return winner
        if ours.future.done():
            await ours.future  # raises the server's own words
        raise AuthenticationError(str(reason)) from reason

    async def _log_in_legacy(self, connection: Connection, greeting: Request) -> ServerIdentity:
        server, assigned = _read_legacy_greeting(greeting)
        self._verdict.set_result(True)
        reply = await connection.request(
            _LEGACY_HELLO, (_LINK_VERSION, False, self._name, server, True), timeout=None
        )
        match reply.value:
            case {"name": str(given)}:
                assigned = given
            case False:
                raise _denied()
        return ServerIdentity(name=server, assigned=assigned, method=_ANONYMOUS, legacy=True)


class ServerLogin:
    """The server's part. Give `handle` to the connection, then await `run`.

    Nothing but the handshake reaches the real handler before a method has succeeded.
    """

    def __init__(
        self,
        *,
        name: str,
        assigned: str,
        handler: Handler,
        check: Callable[[str], bool] | None = None,
        anonymous: bool = True,
    ) -> None:
        """Take our name, the client's name to be, who judges tokens, and who handles the rest."""
        self._name = name
        self._assigned = assigned
        self._handler = handler
        self._check = check
        self._methods = ([_BY_TOKEN] if check is not None else []) + (
            [_ANONYMOUS] if anonymous else []
        )
        self._open_methods: set[str] = set()
        self._client = ""
        self._waiting: Request | None = None
        self._winner: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def settled(self) -> bool:
        """Whether a method has succeeded, or all have failed: others do not count any more."""
        return self._winner.done()

    def handle(self, request: Request) -> Awaitable[Answer]:
        """Answer the client's part of the handshake; pass on the rest afterwards."""
        if request.path and request.path[0] is None:
            return self._authenticate(request)
        if not self._winner.done() or self._winner.exception() is not None:
            return _not_yet(request)
        return self._handler(request)

    async def run(self, connection: Connection, *, timeout: float = 10) -> ClientIdentity:
        """Let the client in, or AuthenticationError, NoAnswerError, ConnectionLostError."""
        greeting = connection.begin(
            _HELLO,
            (_VERSION, True, self._name, frozenset(self._methods)),
            {"moat.link": {"version": _LINK_VERSION, "rname": self._assigned}},
        )
        try:
            async with asyncio.timeout(timeout):
                method = await _unless_closed(connection, self._winner)
                await greeting.future
                return ClientIdentity(name=self._client, method=method)
        except TimeoutError:
            raise NoAnswerError(f"no handshake within {timeout} s") from None
        finally:
            greeting.discard()
            if not self._winner.done():
                self._fail(_denied())

    async def _authenticate(self, request: Request) -> Answer:
        match request.path:
            case (None,):
                return await self._greet(request)
            case (None, "token") if self._check is not None:
                token = request.arguments[0] if request.arguments else None
                self._judge(_BY_TOKEN, isinstance(token, str) and self._check(token))
            case (None, "anon") if _ANONYMOUS in self._methods:
                self._judge(_ANONYMOUS, True)
            case _:
                raise RemoteError("_AuNR", (request.path[1],) if len(request.path) > 1 else ())
        request.connection.allowance = None  # it may say what it wants, with its last word
        return None

    async def _greet(self, request: Request) -> Answer:
        """Take the client's greeting; the answer waits until one of its methods succeeds."""
        try:
            self._client, offered, _ = _read_greeting(request, from_server=False)
            _check_name(self._client)
            self._open_methods = set(self._methods) & offered
            if not self._open_methods:
                raise _denied()
        except AuthenticationError as err:
            request.exchange.fail(encode_error(original(err)))
            self._fail(err)
            raise
        self._waiting = request
        await asyncio.wait([self._winner])  # a shield would log what becomes of it without us
        return Reply((self._winner.result(),), {"name": self._assigned})

    def _judge(self, method: str, accepted: bool) -> None:
        """Note the outcome of a method; when all have failed, so has the handshake."""
        self._open_methods.discard(method)
        if accepted:
            if not self._winner.done():
                self._winner.set_result(method)
            return
        if not self._open_methods and not self._winner.done():
            self._fail(_denied())
        raise RemoteError("_AuR", (method,))

    def _fail(self, error: AuthenticationError) -> None:
        """Say no, before the connection is closed."""
        if self._waiting is not None:
            self._waiting.exchange.fail(encode_error(error))
        if not self._winner.done():
            self._winner.set_exception(error)
            self._winner.exception()


def _read_greeting(request: Request, *, from_server: bool) -> tuple[str, set[Value], str]:
    """Return the other side's name, its methods, and the name it has for us."""
    match request.arguments:
        case (int(version), *_) if version != _VERSION:
            raise AuthenticationError(
                f"authentication protocol {version} is not supported"
            ) from RemoteError("_AuV", (_VERSION, _VERSION))
        case (_, bool(is_server), *_) if is_server is not from_server:
            raise AuthenticationError("both sides have the same role") from RemoteError("_AuC")
        case (_, bool(), str(name), list() | tuple() | set() | frozenset() as methods, *_) if (
            _is_name(name)
        ):
            match request.keywords.get("moat.link"):
                case {"rname": str(assigned)}:
                    return name, {each for each in methods if isinstance(each, str)}, assigned
            return name, {each for each in methods if isinstance(each, str)}, ""
    raise AuthenticationError("the greeting makes no sense") from RemoteError("_AuE")


def _read_legacy_greeting(request: Request) -> tuple[str, str]:
    """Return the server's name, and the name it has for us."""
    match request.arguments:
        case (_, True, str(server), *more) if _is_name(server):
            return server, more[0] if more and isinstance(more[0], str) else ""
    raise AuthenticationError("not a server") from RemoteError("_AuC")


def _check_name(name: str) -> None:
    """Refuse a client that nobody could name as an origin; one without a name gets one."""
    if name and not fit_as_origin(name):
        text = f"{name!r} is not fit as a name: it could not be published"
        raise AuthenticationError(text) from RemoteError("_AuE", (text,))


def _is_name(text: str) -> bool:
    """Tell whether people can be shown this as a name."""
    return len(text) <= _LONGEST_NAME and text.isprintable()


async def _unless_closed[T](connection: Connection, future: asyncio.Future[T]) -> T:
    """Wait for something that will never come once the connection is closed."""
    futures: list[asyncio.Future[Any]] = [future, connection.closed]
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    if future.done():
        return future.result()
    raise ConnectionLostError(str(connection.closed.result()))


def _denied() -> AuthenticationError:
    return AuthenticationError("No auth method worked.")


async def _not_yet(request: Request) -> Answer:
    raise RemoteError("_ValErr", ("No Auth",))
