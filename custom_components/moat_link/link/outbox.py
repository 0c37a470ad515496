"""What a session has asked the broker, and who waits for the answers."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from .errors import (
    ConnectionLostError,
    LinkError,
    NoAnswerError,
    NotAuthorizedError,
    RefusedError,
)
from .mqtt import Protocol
from .mqtt_codes import Reason, reason_name
from .mqtt_packets import PINGREQ, Acknowledged, Publish
from .transport import Wire

WRITE_LIMIT: Final = 8 << 20

type Requests = Sequence[tuple[int, bytes, Sequence[str]]]


@dataclass(slots=True, eq=False)
class _Publication:
    """A QoS 1 message: waits for a pong, then for its turn, then for its PUBACK."""

    message: Publish
    expiry: int | None
    ping: int
    latest: float
    answer: asyncio.Future[Acknowledged]
    packet_id: int = 0
    packet: bytes = field(default=b"", repr=False)


class Outbox:
    """Everything on its way out; each question ends with its answer, a timeout, or `fail`."""

    def __init__(self, protocol: Protocol, wire: Wire) -> None:
        """Send through this wire, in the protocol's words."""
        self._protocol = protocol
        self._wire = wire
        self._loop = asyncio.get_running_loop()
        self._answers: dict[int, asyncio.Future[Acknowledged]] = {}
        self._line: deque[_Publication] = deque()
        self._pings: deque[asyncio.Future[None] | None] = deque()
        self._pinged = self._ponged = 0
        self._ping_time = 0.0

    @property
    def asked(self) -> float | None:
        """Since when (monotonic) a ping is without an answer; None if there is none."""
        return self._ping_time if self._pings else None

    def publish_nowait(self, message: Publish) -> None:
        """Send at QoS 0 and forget."""
        packet = self._protocol.publish_unconfirmed(message)
        if self._wire.queued + len(packet) > WRITE_LIMIT:
            raise ConnectionLostError("the broker does not take what we send")
        self._wire.send(packet)

    async def publish(self, message: Publish, expiry: int | None, timeout: float) -> bool:
        """Send at QoS 1 once a ping is answered; whether somebody is subscribed.

        It leaves in the first half of its time or not at all: what could arrive only after its
        sender has given up is not sent.
        """
        if not self._pings:
            self.ping()
        answer: asyncio.Future[Acknowledged] = self._loop.create_future()
        latest = monotonic() + timeout / 2
        publication = _Publication(message, expiry, self._pinged, latest, answer)
        self._line.append(publication)
        try:
            async with asyncio.timeout(timeout):
                result = await answer
        except TimeoutError:
            raise NoAnswerError(f"{message.topic}: not confirmed within {timeout:g} s") from None
        finally:
            if answer.cancelled():
                self._withdraw(publication)
        _check(message.topic, result.reasons[0], result.text)
        return result.reasons[0] != Reason.NO_SUBSCRIBERS

    async def ask(self, requests: Requests, timeout: float) -> None:
        """Send SUBSCRIBE or UNSUBSCRIBE packets and look at the answer for each filter."""
        answers: list[asyncio.Future[Acknowledged]] = []
        for packet_id, packet, _ in requests:
            answers.append(self._loop.create_future())
            self._answers[packet_id] = answers[-1]
            self._wire.send(packet)
        try:
            async with asyncio.timeout(timeout):
                results = await asyncio.gather(*answers)
        except TimeoutError:
            raise NoAnswerError(f"the broker did not answer within {timeout:g} s") from None
        for (_, _, filters), result in zip(requests, results, strict=True):
            for name, reason in zip(filters, result.reasons, strict=True):
                _check(name, reason, result.text)

    def ping(self, pong: asyncio.Future[None] | None = None) -> None:
        """Send PINGREQ; `pong` is resolved by its answer."""
        if not self._pings:
            self._ping_time = monotonic()
        self._pings.append(pong)
        self._pinged += 1
        self._wire.send(PINGREQ)

    def acknowledged(self, event: Acknowledged) -> None:
        """Wake who waits for this answer, and send what waited for its turn."""
        answer = self._answers.pop(event.packet_id)
        if not answer.done():
            answer.set_result(event)
        self._pump()

    def ponged(self) -> None:
        """Wake who waits for the oldest ping, and send what waited for it."""
        if not self._pings:
            return
        pong = self._pings.popleft()
        self._ponged += 1
        if pong is not None and not pong.done():
            pong.set_result(None)
        self._pump()

    def fail(self, reason: str) -> None:
        """Everything without an answer fails with ConnectionLostError."""
        waiting: list[asyncio.Future[Any]] = [publication.answer for publication in self._line]
        waiting += self._answers.values()
        waiting += (pong for pong in self._pings if pong is not None)
        self._line.clear()
        self._answers.clear()
        self._pings.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(ConnectionLostError(reason))

    def _pump(self) -> None:
        protocol, line = self._protocol, self._line
        while line and line[0].ping <= self._ponged and protocol.can_publish:
            publication = line.popleft()
            if publication.answer.done():
                continue
            if monotonic() > publication.latest:
                late = NoAnswerError(
                    f"{publication.message.topic}: the broker is too slow; not sent"
                )
                publication.answer.set_exception(late)
                continue
            try:
                publication.packet_id, publication.packet = protocol.publish(
                    publication.message, expiry=publication.expiry
                )
            except LinkError as error:
                publication.answer.set_exception(error)
            else:
                self._answers[publication.packet_id] = publication.answer
                self._wire.send(publication.packet)

    def _withdraw(self, publication: _Publication) -> None:
        """Nobody waits any more: do not send it if that is still possible."""
        if not publication.packet_id:
            with contextlib.suppress(ValueError):
                self._line.remove(publication)
        elif self._wire.withdraw(publication.packet):
            del self._answers[publication.packet_id]
            self._protocol.withdraw(publication.packet_id)
            self._pump()


def _check(topic: str, reason: int, text: str) -> None:
    if reason == Reason.NOT_AUTHORIZED:
        raise NotAuthorizedError(topic, text or reason_name(reason))
    if reason >= 0x80:
        raise RefusedError(f"{topic}: {text or reason_name(reason)}")
