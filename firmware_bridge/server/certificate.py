"""The certificate that connections are encrypted with."""

import ssl
from dataclasses import dataclass
from pathlib import Path as File


class CertificateError(ValueError):
    """A certificate or its key cannot be used; the text says why."""


@dataclass(slots=True, eq=False)
class Certificate:
    """A certificate, its key, and the context that uses them; may be read again when renewed."""

    file: File
    key: File | None
    context: ssl.SSLContext

    @classmethod
    def read(cls, file: File, key: File | None) -> Certificate:
        """Read certificate and key (blocking). CertificateError."""
        return cls(file, key, _context(file, key))

    def renew(self) -> None:
        """Read both again, for connections to come (blocking). CertificateError: nothing changed."""
        self.context = _context(self.file, self.key)


def _context(file: File, key: File | None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(file, key, password="")
    except ssl.SSLError as err:
        reason = (err.reason or "no certificate, or no key").replace("_", " ").lower()
        raise CertificateError(f"{file}: not usable: {reason}") from err
    except OSError as err:
        raise CertificateError(f"{file} or {key}: {err.strerror}") from err
    return context
