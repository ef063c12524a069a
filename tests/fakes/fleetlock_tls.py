"""Certificates for a lock server on loopback, made with openssl(1)."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


def openssl(*arguments: str | Path) -> None:
    """Run openssl; CalledProcessError when it would not."""
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed certificate for localhost, and its key."""

    cert: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, subject: str = "/CN=localhost") -> "Certificate":
        """Make both in `folder`."""
        made = cls(folder / "cert.pem", folder / "key.pem")
        openssl(
            *("req", "-x509", "-nodes", "-days", "2", "-subj", subject),
            *("-addext", "subjectAltName=DNS:localhost", "-newkey", "ec"),
            *("-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", made.key, "-out", made.cert),
        )
        return made

    def context(self, *, asks_clients: bool = False) -> ssl.SSLContext:
        """Make what a server needs; `asks_clients` for this same certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert, self.key)
        if asks_clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.cert)
        return context


@dataclass(frozen=True, slots=True)
class HomeMade:
    """A CA as people have made them for decades, and a server's certificate of it.

    It lacks what RFC 5280 wants: a critical basicConstraints, a keyUsage, key identifiers.
    """

    ca: Path
    server: Certificate

    @classmethod
    def make(cls, folder: Path) -> "HomeMade":
        """Make all of it in `folder`."""
        folder = folder / "home"
        folder.mkdir()
        config = folder / "openssl.cnf"
        config.write_text(
            "[req]\ndistinguished_name=dn\n[dn]\n"
            "[ca]\nbasicConstraints=CA:true\n[server]\nsubjectAltName=DNS:localhost\n"
        )
        ca, ca_key, asked = folder / "ca.pem", folder / "ca.key", folder / "server.csr"
        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        server = Certificate(folder / "cert.pem", folder / "key.pem")
        openssl(
            *("req", "-x509", "-config", config, "-extensions", "ca", "-days", "2", *new_key),
            *("-subj", "/CN=Home", "-keyout", ca_key, "-out", ca),
        )
        openssl(
            *("req", "-config", config, *new_key, "-subj", "/CN=localhost"),
            *("-keyout", server.key, "-out", asked),
        )
        openssl(
            *("x509", "-req", "-in", asked, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial"),
            *("-extfile", config, "-extensions", "server", "-days", "2", "-out", server.cert),
        )
        return cls(ca, server)
