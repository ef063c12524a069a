"""What check-config says of the lock server's files: certificates, keys, credentials."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

from rebootmgr.config.checked import Config
from rebootmgr.config.readable import User, find_obstacle, is_open_to_all, place_of
from rebootmgr.core.policy import Strategy
from rebootmgr.errors import Problem
from rebootmgr.fleetlock.certificate_words import certificates_in, old_fashions
from rebootmgr.fleetlock.secret_files import UnusableFileError, read_file
from rebootmgr.text import harmless

_KEYS: Final = ("ca_file", "client_cert_file", "client_key_file", "authorization_file")
_SECRET: Final = {"client_key_file", "authorization_file"}
_MOST_SAID: Final = 3
_MAKE_ANEW: Final = (
    "rebootmgr takes it, as curl does; stricter programs refuse it:"
    " make a new one when it is renewed (openssl req -x509)"
)


def review_key_files(root: Path, config: Config, user: User | None) -> Iterator[Problem]:
    """Yield what is wrong with each below `root`; `user` is the daemon's, None if not known."""
    if config.errors or Strategy.FLEET_LOCK not in config.settings.updates.strategy:
        return
    for key in _KEYS:
        found = config.merged.values.get(f"updates.fleet_lock.{key}")
        if found is None or not found.value:
            continue
        where, path = found.place, PurePosixPath(found.value)
        for what, cure in _faults(root, key, path, user):
            yield Problem(
                file=where.file,
                line=where.line,
                key=f"updates.fleet_lock.{key}",
                message=f"{harmless(str(path))}: {what}",
                hint=cure,
            )


def _faults(
    root: Path, key: str, path: PurePosixPath, user: User | None
) -> Iterator[tuple[str, str]]:
    if user is not None and (obstacle := find_obstacle(root, path, user)):
        yield obstacle
    if key in _SECRET and is_open_to_all(root, path):
        name = harmless(str(path))
        yield "every user of this host may read it", f"chgrp rebootmgr {name} && chmod 0640 {name}"
    if (place := place_of(root, path)) is None:
        return
    try:
        content = read_file(key, str(place))
    except UnusableFileError as error:
        what, _, cure = str(error).partition(": ")
        yield what, cure
    except OSError:
        pass  # whoever may not read it cannot judge it
    else:
        yield from _old_fashioned(content) if key == "ca_file" else ()


def _old_fashioned(pem: bytes) -> Iterator[tuple[str, str]]:
    """Yield one fault that says it of the first few certificates that have any."""
    cas = certificates_in(pem)
    faults = {
        number: found
        for number, der in enumerate(cas, 1)
        if (found := old_fashions(der, at=datetime.now(UTC)))
    }
    if not faults:
        return
    said = [
        f"{f'certificate {number} ' if len(cas) > 1 else 'the certificate '}{', '.join(found)}"
        for number, found in list(faults.items())[:_MOST_SAID]
    ]
    more = f"; so do {len(faults) - _MOST_SAID} more" if len(faults) > _MOST_SAID else ""
    yield "; ".join(said) + more, _MAKE_ANEW
