"""A private certificate authority, made by the `openssl` command."""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate and its key, both as PEM text."""

    certificate: str
    key: str = field(repr=False)


class Authority:
    """Signs certificates for servers and clients; `certificate` is what they are checked with."""

    def __init__(self, name: str = "Test authority") -> None:
        """Make the key and the certificate of the authority itself."""
        with tempfile.TemporaryDirectory(prefix="moat-ca-") as folder:
            here = Path(folder)
            command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7 -sha256"
            command += " -addext basicConstraints=critical,CA:TRUE"
            command += " -addext keyUsage=critical,keyCertSign,cRLSign"
            arguments = [*command.split(), "-keyout", "ca.key", "-out", "ca.pem"]
            _openssl(here, [*arguments, "-subj", f"/CN={name}"])
            self.certificate = (here / "ca.pem").read_text()
            self._key = (here / "ca.key").read_text()

    def issue(
        self,
        name: str = "127.0.0.1",
        *,
        alternatives: Sequence[str] = ("IP:127.0.0.1", "DNS:localhost"),
        expired: bool = False,
    ) -> Identity:
        """Sign a certificate for `name`; clients need no `alternatives`."""
        with tempfile.TemporaryDirectory(prefix="moat-ca-") as folder:
            here = Path(folder)
            (here / "ca.pem").write_text(self.certificate)
            (here / "ca.key").write_text(self._key)
            extensions = "authorityKeyIdentifier=keyid\n"
            if alternatives:
                extensions += f"subjectAltName={','.join(alternatives)}\n"
            (here / "extensions").write_text(extensions)
            (here / "index").touch()
            (here / "ca.conf").write_text(_CA_CONFIGURATION)
            command = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem"
            _openssl(here, [*command.split(), "-out", "request.pem", "-subj", f"/CN={name}"])
            end = "20200102000000Z" if expired else "20990101000000Z"
            command = "ca -batch -notext -config ca.conf -in request.pem -out certificate.pem"
            command += f" -startdate 20200101000000Z -enddate {end} -extfile extensions"
            _openssl(here, command.split())
            certificate = (here / "certificate.pem").read_text()
            return Identity(certificate=certificate, key=(here / "key.pem").read_text())


_CA_CONFIGURATION = """
[ca]
default_ca = private
[private]
database = index
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
"""


def _openssl(folder: Path, arguments: Sequence[str]) -> None:
    result = subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
