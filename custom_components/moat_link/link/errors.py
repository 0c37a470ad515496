"""What can go wrong on the link, named by who must act."""

import os
import re
from enum import StrEnum
from socket import gaierror
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .meta import Meta

_ERROR_NUMBER: Final = re.compile(r"\[Errno (\d+)\]")


class LinkError(Exception):
    """Anything that goes wrong on the link."""


class CannotConnectError(LinkError):
    """Nobody answers there: wait, or correct the address."""


class TlsError(CannotConnectError):
    """The encrypted connection was refused by either side."""


class NotMqtt5Error(CannotConnectError):
    """Whoever answers does not speak MQTT 5."""


class NoServerError(CannotConnectError):
    """No server has announced itself, and none is configured."""


class ConnectionLostError(LinkError):
    """The connection is not there (any more): wait."""


class NoAnswerError(LinkError):
    """Nothing came back within the time limit."""


class AuthenticationError(LinkError):
    """The credentials were refused: the user must act."""


class TokenNeededError(AuthenticationError):
    """A server lets nobody in without a token, and was told none."""


class NotTrustedError(LinkError):
    """A server is where no token is told to, as anybody can say so: the user must name it."""


class DecodeError(LinkError):
    """These bytes are not what they should be."""


class EncodeError(LinkError):
    """This value cannot be sent."""


class RefusedError(LinkError):
    """The other side said no; the text is its reason."""


class NotFoundError(RefusedError):
    """There is nothing at that path, or no such command."""


class NotAuthorizedError(RefusedError):
    """The broker does not let us publish or subscribe to a topic."""

    def __init__(self, topic: str, reason: str = "not authorized") -> None:
        """Name the topic (or filter) and the broker's reason."""
        super().__init__(f"{topic}: {reason}")
        self.topic = topic


class ServerNeededError(RefusedError):
    """Only a server can do this, and none is connected."""


class NoHistoryError(RefusedError):
    """Nothing remembers what the value was."""

    def __init__(self, reason: str, server: str | None = None) -> None:
        """Name the server that was asked, if there is one."""
        super().__init__(reason)
        self.server = server


class OutOfDateError(RefusedError):
    """Somebody else changed the value first (compare-and-set)."""

    def __init__(self, reason: str, meta: Meta | None = None) -> None:
        """Keep the metadata of the value that is there, if the server told them."""
        super().__init__(reason)
        self.meta = meta


class RemoteError(RefusedError):
    """An exception of the other side that has no name of its own here."""

    def __init__(self, name: str, arguments: tuple[object, ...] = ()) -> None:
        """Take the class reference and the arguments as they came over the wire."""
        super().__init__(f"{name}: {', '.join(map(str, arguments))}" if arguments else name)
        self.name = name
        self.arguments = arguments


class CommandFailure(StrEnum):
    """Why a command was not carried out."""

    OFFLINE = "offline"
    REFUSED = "refused"
    UNCONFIRMED = "unconfirmed"
    TIMEOUT = "timeout"
    NOT_ALLOWED = "not_allowed"
    READ_ONLY = "read_only"
    INVALID = "invalid"


class CommandError(LinkError):
    """A command to a point failed; nothing will happen later."""

    def __init__(self, reason: CommandFailure, detail: str = "") -> None:
        """Take the reason, and the other side's words if there are any."""
        super().__init__(detail or reason.value)
        self.reason = reason


def system_reason(error: Exception) -> str:
    """Return what the system says, once for all addresses that were tried."""
    if isinstance(error, gaierror):
        return "host name not found"
    numbers = dict.fromkeys(_ERROR_NUMBER.findall(str(error)))
    said = ", ".join(os.strerror(int(number)) for number in numbers) or str(error)
    return said or "the other side hung up"
