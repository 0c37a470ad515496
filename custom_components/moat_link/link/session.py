"""One open MQTT 5 connection: it never reconnects, and nothing is ever replayed."""

import asyncio
import ssl
from collections.abc import Callable
from time import monotonic
from typing import Final, Self

from .errors import (
    AuthenticationError,
    CannotConnectError,
    ConnectionLostError,
    LinkError,
    NotMqtt5Error,
    TlsError,
)
from .mqtt import Protocol
from .mqtt_codes import Reason, reason_name
from .mqtt_packets import (
    DISCONNECT,
    Acknowledged,
    Connected,
    Disconnected,
    Pong,
    ProtocolError,
    Publish,
    encode_disconnect,
)
from .outbox import Outbox
from .transport import BrokerConfig, Wire, dial, speaks_tls, tls_context, tls_error

__all__ = ["BrokerConfig", "Publish", "Session", "tls_context"]

SLICE: Final = 0.005
READ_HIGH: Final = 64 << 20
READ_LOW: Final = 32 << 20
_AUTHENTICATION: Final = frozenset(
    (
        Reason.BAD_CREDENTIALS,
        Reason.NOT_AUTHORIZED,
        Reason.BANNED,
        Reason.BAD_AUTHENTICATION,
    )
)


class Session:
    """An open connection to a broker; get one with `open`.

    Callbacks run in the event loop, in the order of the broker's packets, in slices of at most
    5 ms. `on_closed` is called exactly once: with None after `close`, else with the reason.
    """

    def __init__(
        self,
        config: BrokerConfig,
        on_publish: Callable[[Publish], None],
        on_closed: Callable[[LinkError | None], None],
    ) -> None:
        """Prepare; `open` connects."""
        self._config = config
        self._on_publish = on_publish
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._protocol = Protocol()
        self._wire = Wire(self._data_received, self._connection_lost)
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._outbox = Outbox(self._protocol, self._wire)
        self._heard = 0.0
        self._keep_alive = 0
        self._ticker: asyncio.TimerHandle | None = None
        self._scheduled = False
        self._reading = True
        self._lost: LinkError | None = None
        self._established = False
        self._closed = False
        self._error: LinkError | None = None

    @classmethod
    async def open(
        cls,
        config: BrokerConfig,
        *,
        client_id: str,
        will: Publish | None = None,
        on_publish: Callable[[Publish], None],
        on_closed: Callable[[LinkError | None], None],
        timeout: float = 10,
    ) -> Self:
        """Connect, or raise CannotConnectError, TlsError, NotMqtt5Error or AuthenticationError."""
        session = cls(config, on_publish, on_closed)
        try:
            async with asyncio.timeout(timeout):
                await session._connect(client_id, will)
        except TimeoutError:
            session._abandon()
            raise CannotConnectError(f"no answer within {timeout:g} s") from None
        except BaseException:
            session._abandon()
            raise
        return session

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._closed or self._lost is not None

    @property
    def error(self) -> LinkError | None:
        """Why the session ended; None while it lives, and after `close`."""
        return self._error

    @property
    def server(self) -> Connected:
        """What the broker said about itself and its limits."""
        assert self._protocol.server is not None, "never connected"
        return self._protocol.server

    @property
    def max_packet_size(self) -> int:
        """The largest packet that the broker takes."""
        return self.server.max_packet_size

    @property
    def unreadable(self) -> int:
        """How many messages were dropped because their topic or metadata is not text."""
        return self._protocol.unreadable

    def publish_nowait(self, message: Publish) -> None:
        """Send at QoS 0 and forget.

        ConnectionLostError when there is no connection or the broker takes too little of what we
        send; EncodeError or RefusedError when it could not take this message at all.
        """
        self._check_open()
        self._outbox.publish_nowait(message)

    async def publish(
        self, message: Publish, *, expiry: int | None = None, timeout: float = 5
    ) -> bool:
        """Send at QoS 1 and wait until the broker has it; False if nobody is subscribed there.

        The message leaves only after the broker has answered a ping, and only in the first half
        of its time, so a broker that is not there does not get it later either. NoAnswerError
        after `timeout` at most; NotAuthorizedError or RefusedError if the broker refuses it.
        """
        self._check_open()
        return await self._outbox.publish(message, expiry, timeout)

    @property
    def peer(self) -> str | None:
        """The address of the broker's machine, if it is known."""
        return self._wire.peer

    async def subscribe(
        self,
        *filters: str,
        qos: int = 0,
        retain_handling: int = 0,
        no_local: bool = False,
        timeout: float = 10,
    ) -> None:
        """Subscribe to all filters; the retain flag arrives as it was published.

        NotAuthorizedError or RefusedError for the first filter that was refused; the others hold.
        """
        self._check_open()
        options = qos | no_local << 2 | 1 << 3 | retain_handling << 4
        await self._outbox.ask(self._protocol.subscribe(filters, options), timeout)

    async def unsubscribe(self, *filters: str, timeout: float = 10) -> None:
        """Unsubscribe from all filters; it does not matter if there was no such subscription."""
        self._check_open()
        await self._outbox.ask(self._protocol.unsubscribe(filters), timeout)

    async def barrier(self) -> None:
        """Wait until everything that the broker had for us by now has been delivered."""
        self._check_open()
        pong: asyncio.Future[None] = self._loop.create_future()
        self._outbox.ping(pong)
        await pong

    async def close(self) -> None:
        """Take leave orderly: what is queued is sent, the will is not."""
        if self._closed:
            return
        self._finish("the session was closed")
        self._wire.send(DISCONNECT)
        try:
            await self._wire.close()
        finally:
            self._on_closed(None)

    # Opening

    async def _connect(self, client_id: str, will: Publish | None) -> None:
        config = self._config
        packet = self._protocol.connect(
            client_id,
            keep_alive=min(config.keep_alive, 65535),
            will=will,
            username=config.username,
            password=config.password,
        )
        await dial(config, self._wire)
        self._wire.send(packet)
        try:
            await self._opened
        except NotMqtt5Error:
            plain_tcp = config.tls is None and config.unix_path is None
            if plain_tcp and not self._heard and await speaks_tls(config):
                raise TlsError("the other side expects TLS") from None
            raise
        if self._error is not None:
            raise CannotConnectError(str(self._error))
        self._established = True

    def _abandon(self) -> None:
        self._finish("the session was never opened")
        self._wire.abort()

    def _connected(self, answer: Connected) -> None:
        if self._opened.cancelled():  # nobody waits any more, `_abandon` follows
            return
        if answer.reason != Reason.SUCCESS:
            self._end(_connect_error(answer))
            return
        limits = (self._config.keep_alive, answer.keep_alive)
        self._keep_alive = min((limit for limit in limits if limit), default=0)
        self._opened.set_result(None)
        if self._keep_alive:
            self._tick()

    # Receiving

    def _data_received(self, data: bytes) -> None:
        self._heard = monotonic()
        self._protocol.feed(data)
        if self._reading and self._protocol.buffered > READ_HIGH:
            self._reading = False
            self._wire.pause_reading()
        if not self._scheduled:
            self._work()

    def _work(self) -> None:
        """Deliver for one slice; the rest in the next turn of the loop, whatever happens."""
        self._scheduled = False
        done = False
        try:
            done = self._deliver(monotonic() + SLICE)
        except ProtocolError as error:
            self._end(self._broken(error), encode_disconnect(error.code))
        except Exception as error:  # noqa: BLE001 - a callback must not close the connection
            self._loop.call_exception_handler({"message": "MQTT callback", "exception": error})
        self._after_slice(done)

    def _deliver(self, deadline: float) -> bool:
        next_event, on_publish = self._protocol.next_event, self._on_publish
        while not self._closed and (event := next_event()) is not None:
            if isinstance(event, Publish):
                on_publish(event)
            else:
                self._handle(event)
            if monotonic() > deadline:
                return False
        return True

    def _after_slice(self, done: bool) -> None:
        if self._closed:
            return
        if replies := self._protocol.replies():
            self._wire.send(replies)
        if not self._reading and self._protocol.buffered < READ_LOW:
            self._reading = True
            self._wire.resume_reading()
        if not done:
            self._scheduled = True
            self._loop.call_soon(self._work)
        elif self._lost is not None:
            self._end(self._lost)

    def _handle(self, event: Acknowledged | Connected | Disconnected | Pong) -> None:
        match event:
            case Acknowledged():
                self._outbox.acknowledged(event)
            case Pong():
                self._outbox.ponged()
            case Connected():
                self._connected(event)
            case _:
                self._end(_hung_up(event))

    def _connection_lost(self, error: Exception | None) -> None:
        if self._closed:
            return
        self._lost = self._why_lost(error)
        if not self._scheduled:
            self._work()

    def _why_lost(self, error: Exception | None) -> LinkError:
        if self._protocol.server is None:
            if isinstance(error, ssl.SSLError):
                return tls_error(error)
            return NotMqtt5Error("the other side hung up instead of answering to MQTT 5")
        return ConnectionLostError(f"the broker is gone: {error or 'end of connection'}")

    def _broken(self, error: ProtocolError) -> LinkError:
        if self._protocol.server is None:
            return NotMqtt5Error(f"the other side does not speak MQTT 5: {error}")
        return ConnectionLostError(f"the broker broke the protocol: {error}")

    # Ending

    def _check_open(self) -> None:
        if self.closed or not self._established:
            raise ConnectionLostError("not connected")

    def _tick(self) -> None:
        """Ping when one side has been silent; give up when the broker stays silent."""
        now = monotonic()
        if self._scheduled:
            self._heard = now  # we are behind, not the broker
        silent = now - self._heard
        asked = self._outbox.asked
        if asked is not None and min(2 * (now - asked), silent / 1.25) > self._keep_alive:
            self._end(ConnectionLostError(f"the broker has been silent for {silent:.1f} s"))
            return
        idle = max(silent if asked is None else 0, now - self._wire.sent)
        if idle >= self._keep_alive / 2:
            self._outbox.ping()
        self._ticker = self._loop.call_later(self._keep_alive / 8, self._tick)

    def _end(self, error: LinkError, farewell: bytes = b"") -> None:
        """The connection is no good any more: everything outstanding fails."""
        self._error = error
        self._finish(str(error))
        self._wire.abort(farewell)
        if self._established:
            self._on_closed(error)
        elif not self._opened.done():
            self._opened.set_exception(error)

    def _finish(self, reason: str) -> None:
        self._closed = True
        if self._ticker is not None:
            self._ticker.cancel()
        self._outbox.fail(reason)


def _connect_error(answer: Connected) -> LinkError:
    words = answer.text or reason_name(answer.reason)
    if answer.reason in _AUTHENTICATION:
        return AuthenticationError(words)
    if answer.reason in (Reason.UNSUPPORTED_VERSION, 0x01):  # 0x01: the same in older versions
        return NotMqtt5Error(words)
    return CannotConnectError(f"the broker refuses: {words}")


def _hung_up(event: Disconnected) -> LinkError:
    words = event.text or reason_name(event.reason)
    if event.reason in _AUTHENTICATION:
        return AuthenticationError(words)
    return ConnectionLostError(f"the broker hung up: {words}")
