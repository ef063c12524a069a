"""A lock server elsewhere, asked over TCP for what it shows to whoever is let in."""

import asyncio
import json
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Final

from rebootmgr.cli.fleet_order import read_server
from rebootmgr.cli.verb import Context
from rebootmgr.config.base_url import fault_of, is_in_clear, variables_of
from rebootmgr.control.described import Record
from rebootmgr.errors import RebootmgrError, UsageError
from rebootmgr.fleetlock.admin_names import STATUS
from rebootmgr.fleetlock.client import LockClient
from rebootmgr.fleetlock.words import REDIRECTS, Answer, Server, Silence, decode_error
from rebootmgr.table import finite, is_deep
from rebootmgr.text import harmless

PATIENCE_S: Final = 60.0
_CURES: Final = {
    "client_failed_build": "mend that, or name another file with --authorization-file",
    "client_refused_certificate": (
        "write the name that the certificate has, and let SSL_CERT_FILE or"
        " updates.fleet_lock.ca_file name the CA that signed it"
    ),
}
_REACH: Final = "check the URL, and that rebootmgr-lockd listens there (server.listen)"
_LET_IN: Final = "a line of the server's server.authorization_file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Afar:
    """Which server, and what it is shown of us. `in_clear`: credentials, whoever reads them."""

    url: str
    authorization_file: str | None
    in_clear: bool


def look_afar(afar: Afar, context: Context, path: str) -> Record:
    """Read what the server shows; UsageError for the URL, RebootmgrError with the cure."""
    server = _server(afar, context)
    client = LockClient(observed=lambda *_: None)
    where = server.public_url
    match asyncio.run(client.look(path.lstrip("/"), server, PATIENCE_S)):
        case Silence(detail=detail, cause=cause):
            raise RebootmgrError(f"{where}: {detail}; {_CURES.get(cause, _REACH)}")
        case Answer(appoints=False) as answer:
            raise RebootmgrError(f"{where}: {_stranger(answer)}")
        case Answer(status=HTTPStatus.OK, body=body):
            return _decoded(body, where, "groups" if path.startswith(STATUS) else "history")
        case Answer() as answer:
            raise RebootmgrError(f"{where}: {_refusal(answer, server)}")


def _server(afar: Afar, context: Context) -> Server:
    url = afar.url
    if fault := fault_of(url):
        raise UsageError(f"--url {fault[0]}; {fault[1]}")
    if variables_of(url):
        raise UsageError("--url has a variable; write the value itself")
    server = read_server(url.rstrip("/"), context)
    if afar.authorization_file is not None:
        file = str(Path(afar.authorization_file).absolute())
        server = replace(server, authorization_file=file)
    has_secret = server.authorization_file or "@" in url
    if has_secret and is_in_clear(url) and not afar.in_clear:
        what = "everybody on the way would read the credentials, which plain http does not hide"
        raise UsageError(f"{server.public_url}: {what}; write https, or give --plain-http")
    return server


def _stranger(answer: Answer) -> str:
    """Say that something else answered, be it a proxy before the server."""
    if answer.status in REDIRECTS:
        return f"HTTP {answer.status}: redirects are not followed; write the URL where it leads"
    via = f" through {answer.via}" if answer.via else ""
    cure = "check the URL, and the proxies on the way; only rebootmgr-lockd shows its fleet"
    return f"HTTP {answer.status}{via} is no answer of a rebootmgr-lockd; {cure}"


def _refusal(answer: Answer, server: Server) -> str:
    """Give the server's words, and what to do about them."""
    kind, value = decode_error(answer.body)
    said = harmless(value) or f"HTTP {answer.status} {harmless(kind)}".rstrip()
    if answer.status != HTTPStatus.UNAUTHORIZED:
        return said
    if server.authorization_file:
        return f"{said}: {server.authorization_file} has to hold {_LET_IN}"
    return f"{said}: give --authorization-file FILE, in which is {_LET_IN}"


def _decoded(body: str, where: str, name: str) -> Record:
    try:
        match json.loads(body, parse_float=finite, parse_constant=finite):
            case dict() as members if not is_deep(members) and isinstance(members.get(name), list):
                return Record(members)
            case _:
                what = f"no {name} in it"
    except (ValueError, RecursionError):
        what = "no JSON"
    raise RebootmgrError(f"{where}: no usable answer ({what}); is it of a later version?")
