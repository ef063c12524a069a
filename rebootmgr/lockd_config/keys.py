"""Every key there is of the lock server, and its rule."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from rebootmgr.config import schema, values
from rebootmgr.config.base_url import fault_of, redact
from rebootmgr.config.grammar import Grammar, tables_of
from rebootmgr.config.rules import Check
from rebootmgr.config.schema import MINUTES_OF_A_WEEK
from rebootmgr.config.values import UnfitError, shown
from rebootmgr.text import harmless

MOST_SLOTS: Final = 100_000
LONGEST_NAME: Final = 64
SQLITE: Final = "sqlite"
ETCD: Final = "etcd"

_NAME: Final = re.compile(r"[a-zA-Z0-9.-]{1,253}")
_TCP: Final = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]{1,5})")
_UNIX: Final = "unix:"
_LOCAL: Final = "localhost"
_ENDPOINT_CURE: Final = 'write URLs without a path, as ["https://etcd-1.example.com:2379"]'
_ADDRESS_CURE: Final = 'write one like "0.0.0.0:3333", "[::]:3333" or "unix:/run/lock.sock"'


@dataclass(frozen=True, slots=True)
class Tcp:
    """An address and a port to listen at."""

    host: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if self.host.version == 6 else str(self.host)
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Unix:
    """The path of a socket to listen at."""

    path: str

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"


Address: TypeAlias = Tcp | Unix


def listen(value: object) -> tuple[Address, ...]:
    """Take the addresses to listen at."""
    if not isinstance(value, list):
        raise UnfitError(f"must be an array, not {shown(value)}", _ADDRESS_CURE)
    if not value:
        raise UnfitError("is empty: nobody could ask", _ADDRESS_CURE)
    found = tuple(address for each in value for address in _addresses(each))
    if len(set(found)) < len(found):
        raise UnfitError("names an address twice", "remove one of them")
    return found


def _addresses(value: object) -> tuple[Address, ...]:
    written = values.text(value)
    if written.startswith(_UNIX):
        return (Unix(absolute_path(written.removeprefix(_UNIX))),)
    parts = _TCP.fullmatch(written)
    if parts is None or not 0 < int(parts["port"]) < 65536:
        raise UnfitError(f"{shown(written)} is no address with a port", _ADDRESS_CURE)
    port, host = int(parts["port"]), parts["six"] or parts["host"] or ""
    if host == _LOCAL:
        return (Tcp(IPv4Address("127.0.0.1"), port), Tcp(IPv6Address("::1"), port))
    try:
        address = ip_address(host)
    except ValueError as error:
        raise UnfitError(f"{shown(host)} is no IP address", _ADDRESS_CURE) from error
    if (address.version == 6) != (parts["six"] is not None):
        raise UnfitError(f"{shown(written)} is no address with a port", _ADDRESS_CURE)
    return (Tcp(address, port),)


def absolute_path(value: object) -> str:
    """Take the absolute path of a file."""
    path = values.text(value)
    if path.startswith("/") and path.isprintable():
        return path
    raise UnfitError(f"{shown(path)} is no absolute path", 'write a path that starts with "/"')


def name(value: object) -> str:
    """Take a name of a group, of a host's id, or of a label or its value."""
    written = values.text(value)
    if _NAME.fullmatch(written):
        return written
    cure = "use letters, digits, dots and dashes, 253 at most"
    raise UnfitError(f"{shown(written)} is no name", cure)


def name_or_none(value: object) -> str:
    """Take a name, or "" for none."""
    return name(value) if value != "" else ""


def names(value: object) -> tuple[str, ...]:
    """Take some names, in order."""
    if not isinstance(value, list):
        raise UnfitError(f"must be an array, not {shown(value)}", 'write them as ["one", "two"]')
    return tuple(dict.fromkeys(name(each) for each in value))


def host_name(value: object) -> str:
    """Take what people call a host."""
    return harmless(values.text(value), longest=LONGEST_NAME)


def store_kind(value: object) -> str:
    """Take where the fleet is kept."""
    if value in {SQLITE, ETCD}:
        return values.text(value)
    raise UnfitError(f'must be "{SQLITE}" or "{ETCD}", not {shown(value)}', "write it in quotes")


def endpoints(value: object) -> tuple[str, ...]:
    """Take the URLs of etcd's members."""
    if not isinstance(value, list):
        raise UnfitError(f"must be an array, not {shown(value)}", _ENDPOINT_CURE)
    return tuple(dict.fromkeys(_endpoint(values.text(each)) for each in value))


def _endpoint(written: str) -> str:
    wrong = UnfitError(f"{shown(redact(written))} is no URL of a member of etcd", _ENDPOINT_CURE)
    if fault_of(written) is not None:
        raise wrong
    parts = urlsplit(written)
    if parts.path not in {"", "/"} or parts.username is not None or "@" in parts.netloc:
        raise wrong
    return f"{parts.scheme}://{parts.netloc}"


def prefix(value: object) -> str:
    """Take what all our keys in etcd begin with; it ends in a slash."""
    written = values.text(value)
    if not re.fullmatch(r"[!-~]{1,200}", written):
        cure = 'write letters, digits and signs, as "/rebootmgr-lockd/"'
        raise UnfitError(f"{shown(written)} is no prefix of keys", cure)
    return written if written.endswith("/") else f"{written}/"


def unsupported(value: object) -> object:
    """Take nothing: whoever sets this counts on what is not there."""
    message = f"is not supported in this version (found {shown(value)})"
    raise UnfitError(message, "remove it, and do not rely on it")


KEYS: Final[Mapping[str, Check]] = {
    "any_group": values.boolean,
    "server.listen": listen,
    "server.plain_http": values.boolean,
    "server.tls_cert_file": values.secret_file,
    "server.tls_key_file": values.secret_file,
    "server.client_ca_file": values.secret_file,
    "server.authorization_file": values.secret_file,
    "server.admin_authorization_file": unsupported,
    "server.max_connections": values.whole(1, 50_000),
    "server.requests_per_second_per_address": values.whole(0, 1_000_000),
    "store.kind": store_kind,
    "store.path": absolute_path,
    "store.etcd_endpoints": endpoints,
    "store.etcd_prefix": prefix,
    "store.etcd_ca_file": values.secret_file,
    "store.etcd_client_cert_file": values.secret_file,
    "store.etcd_client_key_file": values.secret_file,
    "store.etcd_credentials_file": values.secret_file,
    "groups.*.slots": values.whole(0, MOST_SLOTS),
    "groups.*.max_waiting": values.whole(1, 1_000_000),
    "groups.*.max_hold_minutes": values.whole(1, MINUTES_OF_A_WEEK),
    "groups.*.halt_after": values.whole(0, MOST_SLOTS),
    "groups.*.settle_minutes": values.whole(0, MINUTES_OF_A_WEEK),
    "groups.*.after": names,
    "groups.*.soak_minutes": values.whole(0, MINUTES_OF_A_WEEK),
    "groups.*.spread": name_or_none,
    "groups.*.spread_slots": values.whole(1, MOST_SLOTS),
    "hosts.*.name": host_name,
    "hosts.*.labels.*": name,
}

WINDOW: Final = "window"
BLACKOUT: Final = "blackout"
ITEMS: Final[Mapping[str, Mapping[str, Check]]] = {
    f"groups.*.{WINDOW}": schema.ITEMS[schema.WINDOW],
    f"groups.*.{BLACKOUT}": schema.ITEMS[schema.BLACKOUT],
}

LOCKD: Final = Grammar(
    keys=KEYS,
    items=ITEMS,
    tables=tables_of((*KEYS, *ITEMS)),
    names={"groups": name, "hosts": name, "hosts.*.labels": name},
)
