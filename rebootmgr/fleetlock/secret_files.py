"""Files of certificates and credentials: read whole, within bounds, or not at all.

A path may lead through links, as the secrets of Kubernetes do; at its end is a regular file. What
else could be there blocks whoever opens it (a FIFO), or does something (a device).
"""

import os
import stat
from pathlib import Path
from typing import Final

from rebootmgr.errors import RebootmgrError

LONGEST: Final = {
    "authorization_file": 8 * 1024,
    "client_key_file": 64 * 1024,
    "client_cert_file": 256 * 1024,
    "ca_file": 4 * 1024 * 1024,
    "server.tls_cert_file": 256 * 1024,
    "server.tls_key_file": 64 * 1024,
    "server.client_ca_file": 4 * 1024 * 1024,
    "server.authorization_file": 64 * 1024,
    "store.etcd_ca_file": 4 * 1024 * 1024,
    "store.etcd_client_cert_file": 256 * 1024,
    "store.etcd_client_key_file": 64 * 1024,
    "store.etcd_credentials_file": 8 * 1024,
}
CONTENT: Final = {
    "authorization_file": "one line, the value of the Authorization header",
    "client_key_file": "one private key in PEM",
    "client_cert_file": "a certificate in PEM and those above it",
    "ca_file": "the certificates of CAs in PEM",
    "server.tls_cert_file": "a certificate in PEM and those above it",
    "server.tls_key_file": "one private key in PEM",
    "server.client_ca_file": "the certificates of CAs in PEM",
    "server.authorization_file": "values of the Authorization header, one a line",
    "store.etcd_ca_file": "the certificates of CAs in PEM",
    "store.etcd_client_cert_file": "a certificate in PEM and those above it",
    "store.etcd_client_key_file": "one private key in PEM",
    "store.etcd_credentials_file": "one line, user:password",
}
_KINDS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnusableFileError(RebootmgrError):
    """A file that is not what it has to be. The text names neither file nor key."""


def read_file(key: str, path: str) -> bytes:
    """Read the file that the setting `key` names; UnusableFileError, OSError.

    It never waits for a writer, and never reads more than such a file may have.
    """
    check_file(key, Path(path).stat())  # before it is opened: that alone may do something
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        check_file(key, os.fstat(descriptor))
        content = file.read(LONGEST[key] + 1)
    if len(content) > LONGEST[key]:
        raise _too_long(key)
    return content


def check_file(key: str, found: os.stat_result) -> None:
    """Raise UnusableFileError for what cannot be the file of `key`, by its kind and size."""
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "something else")
        raise UnusableFileError(f"is {kind}, not a regular file: write {CONTENT[key]} into a file")
    if found.st_size > LONGEST[key]:
        raise _too_long(key)


def _too_long(key: str) -> UnusableFileError:
    size = f"{LONGEST[key] // 1024} KiB"
    return UnusableFileError(f"is longer than {size}: it has to hold {CONTENT[key]}, and no more")
