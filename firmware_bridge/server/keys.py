"""What lets clients in and what connections are encrypted with: read again whenever it changes."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from .certificate import Certificate, CertificateError
from .config import ServerConfig
from .files import Watcher
from .tokens import TokenError, Tokens

_LOGGER = logging.getLogger(__name__)


class Keys:
    """Keeps `tokens` and the listeners' certificates up to date.

    `revoked` is told whose token is not good any more, `report` what is wrong (None: nothing any
    more) with `tokens` or `certificate`; the former ones are used on then.
    """

    def __init__(
        self,
        config: ServerConfig,
        tokens: Tokens,
        *,
        revoked: Callable[[set[str]], None],
        report: Callable[[str, str | None], None],
    ) -> None:
        self._config = config
        self._tokens = tokens
        self._revoked = revoked
        self._report = report
        self._files = Watcher()

    async def read(self) -> None:
        """Read everything for the first time. OSError."""
        try:
            self._tokens.named = await asyncio.to_thread(self._config.all_tokens)
        except TokenError as err:
            raise OSError(str(err)) from err
        if self._config.token_file is not None:
            self._files.add([self._config.token_file], self._read_tokens)
        for certificate in {each.certificate for each in self._config.listeners}:
            if certificate is not None:
                files = filter(None, (certificate.file, certificate.key))
                self._files.add(files, partial(self._read_certificate, certificate))

    def ask(self) -> None:
        """Have everything read again now."""
        self._files.ask()

    async def run(self) -> None:
        """Follow the files, for ever."""
        await self._files.run()

    async def _read_tokens(self) -> None:
        """Take what the file says now; a file that is gone says that there are none."""
        try:
            named = await asyncio.to_thread(self._config.all_tokens)
        except FileNotFoundError:
            named = dict(self._config.tokens)
        except (OSError, TokenError) as err:
            self._report("tokens", f"{err}; those known before are used on")
            return
        self._report("tokens", None)
        self._revoked(self._tokens.replace(named))
        _LOGGER.info("Those with a token: %s", ", ".join(named) or "nobody")

    async def _read_certificate(self, certificate: Certificate) -> None:
        try:
            await asyncio.to_thread(certificate.renew)
        except CertificateError as err:
            self._report("certificate", f"{err}; the one known before is used on")
            return
        self._report("certificate", None)
        _LOGGER.info("Took the certificate in %s", certificate.file)
