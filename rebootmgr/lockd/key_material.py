"""The files of secrets and certificates that the configuration names, opened together."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from rebootmgr.config.windows import Place
from rebootmgr.errors import ConfigError, Problem
from rebootmgr.lockd.http.letting_in import KEY, Door
from rebootmgr.lockd.http.tls import watch_certificates
from rebootmgr.lockd.http.watched_file import KeyFileError, WatchedFiles
from rebootmgr.lockd.stores.etcd_secrets import CA, CREDENTIALS, Login, watch_login, watch_trust
from rebootmgr.lockd_config.configuration import Configuration
from rebootmgr.lockd_config.keys import ETCD

T = TypeVar("T")

_CURE = "mend the file, or correct its path"


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """Who is let in, and what speaks TLS; None where plain HTTP is spoken.

    To etcd `login` says who we are, None: nobody in particular.
    """

    door: Door
    certificates: WatchedFiles[ssl.SSLContext] | None
    etcd_trust: WatchedFiles[ssl.SSLContext] | None = None
    etcd_login: WatchedFiles[Login] | None = None


def open_key_material(configuration: Configuration) -> KeyMaterial:
    """Read all of it; ConfigError names each file that is not what it has to be."""
    server = configuration.wanted.server
    problems: list[Problem] = []

    def opened(key: str, make: Callable[[], T]) -> T | None:
        try:
            return make()
        except KeyFileError as error:
            found = configuration.merged.values.get(key)
            problems.append(_problem(found.place if found else None, error))
            return None

    door = opened(
        KEY, lambda: Door(server.authorization_file, server.requests_per_second_per_address)
    )
    certificates = opened("server.tls_cert_file", lambda: watch_certificates(server))
    store = configuration.wanted.store
    trust = login = None
    if store.kind == ETCD:
        trust = opened(CA, lambda: watch_trust(store))
        login = opened(CREDENTIALS, lambda: watch_login(store))
    if door is None or problems:
        raise ConfigError(problems)
    return KeyMaterial(door, certificates, trust, login)


def _problem(place: Place | None, error: KeyFileError) -> Problem:
    key, _, message = str(error).partition(": ")
    file, line = (place.file, place.line) if place is not None else ("", None)
    return Problem(file=file, line=line, key=key, message=message, hint=_CURE)
