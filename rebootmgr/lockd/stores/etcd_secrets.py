"""Whom we trust to be etcd and who we are to it: files that are read again when they changed."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rebootmgr.lockd.http.tls import path_of
from rebootmgr.lockd.http.watched_file import KeyFileError, WatchedFiles
from rebootmgr.lockd_config.wanted import StoreWanted

CA: Final = "store.etcd_ca_file"
CERT: Final = "store.etcd_client_cert_file"
KEY: Final = "store.etcd_client_key_file"
CREDENTIALS: Final = "store.etcd_credentials_file"


@dataclass(frozen=True, slots=True)
class Login:
    """A user of etcd."""

    user: str
    password: str = field(repr=False)


def watch_trust(store: StoreWanted) -> WatchedFiles[ssl.SSLContext] | None:
    """Give what speaks TLS with etcd; None where no endpoint wants it. KeyFileError."""
    if not any(endpoint.startswith("https:") for endpoint in store.etcd_endpoints):
        return None
    named = (
        (CA, store.etcd_ca_file),
        (CERT, store.etcd_client_cert_file),
        (KEY, store.etcd_client_key_file),
    )
    files = [(key, path) for key, path in named if path]

    def make(contents: Sequence[bytes]) -> ssl.SSLContext:
        found = {key: content for (key, _), content in zip(files, contents, strict=True)}
        return make_trust(found.get(CA), found.get(CERT), found.get(KEY))

    return WatchedFiles(files, make)


def make_trust(ca: bytes | None, cert: bytes | None, key: bytes | None) -> ssl.SSLContext:
    """Trust this CA (None: those of the system), and show this certificate; KeyFileError."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if ca is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_verify_locations(cadata=ca.decode("ascii"))
        if cert is not None:
            with path_of(cert) as cert_path, path_of(key or cert) as key_path:
                context.load_cert_chain(cert_path, key_path, password="")
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or "not PEM"
        raise KeyFileError(f"cannot be used for etcd ({why})") from error
    return context


def watch_login(store: StoreWanted) -> WatchedFiles[Login] | None:
    """Give who we are to etcd; None: nobody in particular. KeyFileError."""
    if not store.etcd_credentials_file:
        return None
    return WatchedFiles([(CREDENTIALS, store.etcd_credentials_file)], make_login)


def make_login(contents: Sequence[bytes]) -> Login:
    """Read `user:password`; KeyFileError."""
    try:
        user, colon, password = contents[0].decode().strip().partition(":")
    except UnicodeDecodeError as error:
        raise KeyFileError("is not text in UTF-8") from error
    if not (user and colon and password) or "\n" in password:
        raise KeyFileError("has to hold one line, user:password")
    return Login(user, password)
