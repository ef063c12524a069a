"""TLS: our certificate, and whose certificates we take; both are read again when they changed."""

import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rebootmgr.lockd.http.watched_file import KeyFileError, WatchedFiles
from rebootmgr.lockd_config.wanted import ServerWanted


def watch_certificates(server: ServerWanted) -> WatchedFiles[ssl.SSLContext] | None:
    """Give what speaks TLS as `server` wants it; None for plain HTTP. KeyFileError."""
    if not server.tls_cert_file:
        return None
    files = [("server.tls_cert_file", server.tls_cert_file)]
    if server.tls_key_file:
        files.append(("server.tls_key_file", server.tls_key_file))
    if server.client_ca_file:
        files.append(("server.client_ca_file", server.client_ca_file))
    has_key, has_ca = bool(server.tls_key_file), bool(server.client_ca_file)

    def make(contents: Sequence[bytes]) -> ssl.SSLContext:
        key = contents[1] if has_key else contents[0]
        return make_context(contents[0], key, contents[-1] if has_ca else None)

    return WatchedFiles(files, make)


def make_context(cert: bytes, key: bytes, client_ca: bytes | None) -> ssl.SSLContext:
    """Make what speaks TLS with this certificate; hosts must have one of `client_ca`, if given.

    KeyFileError where they do not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    try:
        with path_of(cert) as cert_path, path_of(key) as key_path:
            context.load_cert_chain(cert_path, key_path, password="")  # or it asks the terminal
        if client_ca is not None:
            context.load_verify_locations(cadata=client_ca.decode("ascii"))
            context.verify_mode = ssl.CERT_REQUIRED
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as the agent judges servers
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or "not PEM"
        raise KeyFileError(f"certificate and key cannot be used together ({why})") from error
    return context


@contextmanager
def path_of(content: bytes) -> Iterator[str]:
    """Give a path to this content, for `ssl` takes none."""
    with os.fdopen(os.memfd_create("pem"), "wb") as copy:
        copy.write(content)
        copy.flush()
        yield f"/proc/self/fd/{copy.fileno()}"
