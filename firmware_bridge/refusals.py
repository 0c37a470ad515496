"""Tells in the log why the server that is there does not serve us."""

import logging

from .link.client import Link
from .link.errors import AuthenticationError, TlsError, TokenNeededError

_LOGGER = logging.getLogger(__name__)


class Refusals:
    """Tells of each reason once, and that it is over."""

    def __init__(self, link: Link) -> None:
        """Look at the link's status whenever it changes."""
        self._link = link
        self._told: str | None = None

    def look(self) -> None:
        """Look at it now."""
        status = self._link.status
        if status.server is not None and self._told is not None:
            self._told = None
            _LOGGER.info("Server %s lets us in now", status.server)
        error = status.server_error
        if not isinstance(error, AuthenticationError | TlsError):
            return
        if (reason := self._reason(error)) != self._told:
            self._told = reason
            _LOGGER.warning("Going on with the broker alone: %s", reason)

    def _reason(self, error: AuthenticationError | TlsError) -> str:
        if isinstance(error, TlsError):
            return f"no encrypted connection to the server: {error}"
        if isinstance(error, TokenNeededError) and self._link.config.token is not None:
            return (
                f"the server was not told the token, as it may be a stranger's: {error}; "
                "if the address is right, name it: --server, or server in [link]"
            )
        return f"the server does not let us in: {error}"
