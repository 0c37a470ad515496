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
        reason = (err.reason or "").replace("_", " ").lower()
        if not reason and key is None:
            reason = "there is no certificate with its key in it; a key in another file needs --key"
        raise CertificateError(f"{file}: not usable: {reason or 'no certificate'}") from err
    except OSError as err:
        files = f"{file} or {key}" if key is not None else file
        raise CertificateError(f"{files}: {err.strerror}") from err
    return context
