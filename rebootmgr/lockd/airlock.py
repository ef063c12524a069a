"""`rebootmgr-lockd import airlock`: those that hold a slot of airlock hold one of ours, once."""

import asyncio
import http.client
import sys
from argparse import Namespace
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from ssl import SSLError
from typing import Final
from urllib.parse import urlsplit

from rebootmgr.config.values import UnfitError
from rebootmgr.errors import ConfigError, RebootmgrError
from rebootmgr.instants import encode_instant
from rebootmgr.lending.group import Fleet
from rebootmgr.lending.history import happened
from rebootmgr.lending.terms import Moment
from rebootmgr.lockd.airlock_words import MARK, PREFIX, Semaphore, decode_semaphores, taken_over
from rebootmgr.lockd.check import INVALID
from rebootmgr.lockd.http.watched_file import KeyFileError
from rebootmgr.lockd.key_material import open_key_material
from rebootmgr.lockd.stores.choosing import store_of
from rebootmgr.lockd.stores.etcd_secrets import watch_login, watch_trust
from rebootmgr.lockd.stores.gateway import EtcdGateway
from rebootmgr.lockd.stores.gateway_words import decode_page, everything_request, mark_request
from rebootmgr.lockd_config.configuration import load_configuration
from rebootmgr.lockd_config.keys import ETCD, endpoints
from rebootmgr.lockd_config.wanted import StoreWanted

ANSWER_S: Final = 5.0
_NOBODY_BEHIND: Final = {
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class NotImportedError(RebootmgrError):
    """Nothing was taken over; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """An airlock, and how its etcd is reached."""

    url: str
    etcd: StoreWanted


def source_of(said: Namespace) -> Source:
    """Read the command line; NotImportedError."""
    try:
        members = endpoints([one.strip() for one in said.endpoints.split(",") if one.strip()])
    except UnfitError as error:
        raise NotImportedError(f"--endpoints {error} ({error.hint})") from error
    etcd = StoreWanted(
        kind=ETCD,
        etcd_endpoints=members,
        etcd_ca_file=said.ca_file,
        etcd_client_cert_file=said.client_cert_file,
        etcd_client_key_file=said.client_key_file,
        etcd_credentials_file=said.credentials_file,
    )
    return Source(said.airlock_url, etcd)


def import_airlock(root: Path, said: Namespace) -> int:
    """Take over what it lent, and say what that is; 0 where that was done."""
    try:
        told = asyncio.run(_import(root, source_of(said)))
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        return INVALID
    except RebootmgrError as error:
        sys.stderr.write(f"rebootmgr-lockd: {error}\n")
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in told))
    return 0


async def _import(root: Path, source: Source) -> list[str]:
    """Read airlock's store, write ours, then mark airlock's; if that fails it is done again."""
    configuration = load_configuration(root)
    configuration.check()
    if (answer := await asyncio.to_thread(_answer_of, source.url)) is not None:
        raise NotImportedError(
            f"{source.url} still answers ({answer}): stop airlock first, or both lend one slot"
        )
    theirs = _gateway_of(source.etcd)
    ours = store_of(configuration.wanted.store, open_key_material(configuration))
    try:
        semaphores = await _read(theirs)
        saved = await ours.open()
        at = Moment(datetime.now(UTC), 0.0)
        taken = taken_over(semaphores, saved, configuration.rules, at.wall)
        if taken.changes:
            await ours.write(taken.changes, happened(Fleet(), taken.changes, at))
        mark = mark_request(MARK, encode_instant(at.wall, timespec="seconds") or "")
        await theirs.call("kv/put", mark, repeatable=True)
    finally:
        await ours.close()
        await theirs.close()
    return [*taken.told, f"{len(taken.changes)} of them hold a slot here from now on"]


async def _read(theirs: EtcdGateway) -> tuple[Semaphore, ...]:
    marked = await theirs.call("kv/range", everything_request(MARK), repeatable=True)
    found = await theirs.call("kv/range", everything_request(PREFIX), repeatable=True)
    try:
        for mark in decode_page(marked, "").pairs:
            raise NotImportedError(
                f"it was taken over at {mark.value}: to do that again, delete the key {MARK} there"
            )
        semaphores = decode_semaphores(decode_page(found, PREFIX).pairs)
    except ValueError as error:
        raise NotImportedError(f"{error}: is it airlock's etcd?") from error
    if not semaphores:
        raise NotImportedError(f"there is nothing below {PREFIX}: is it airlock's etcd?")
    return semaphores


def _gateway_of(etcd: StoreWanted) -> EtcdGateway:
    try:
        return EtcdGateway(etcd.etcd_endpoints, watch_trust(etcd), watch_login(etcd))
    except KeyFileError as error:
        key, _, rest = str(error).partition(": ")
        option = key.removeprefix("store.etcd_").replace("_", "-")
        raise NotImportedError(f"--{option}: {rest}") from error


def _answer_of(url: str) -> str | None:
    """Say how a server answers; None: it does not, or what stands before it says so."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise NotImportedError(f"--airlock-url {url} is no URL (write http://HOST:PORT/)")
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    line = kind(parts.hostname, parts.port, timeout=ANSWER_S)
    try:
        line.request("GET", f"{parts.path.rstrip('/')}/v1/steady-state")
        status = line.getresponse().status
    except (SSLError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    except OSError:
        return None
    finally:
        line.close()
    return None if status in _NOBODY_BEHIND else f"HTTP {status}"
