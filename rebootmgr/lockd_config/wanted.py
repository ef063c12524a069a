"""The server's configuration as typed values, under the names of its keys and with their defaults.

Those of `groups` are lending's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from rebootmgr.core.window import Blackout, Window
from rebootmgr.lending.terms import HALT_AFTER, MAX_HOLD_S, MAX_WAITING, SLOTS, SOAK_S
from rebootmgr.lockd_config.keys import SQLITE, Address, Tcp

PORT: Final = 3333
DEFAULT_GROUP: Final = "default"
MOST_PLAIN: Final = 256
MOST_TLS: Final = 64
"""Connections at once: over TLS each costs 300 KB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerWanted:
    """How the server is reached, and by whom. Paths of files are absolute, "" where there is none.

    `max_connections` None: by whether it speaks TLS.
    """

    listen: tuple[Address, ...] = (
        Tcp(IPv4Address("127.0.0.1"), PORT),
        Tcp(IPv6Address("::1"), PORT),
    )
    plain_http: bool = False
    tls_cert_file: str = ""
    tls_key_file: str = ""
    client_ca_file: str = ""
    authorization_file: str = ""
    max_connections: int | None = None
    requests_per_second_per_address: int = 0

    @property
    def most_connections(self) -> int:
        """How many may be open at once."""
        if self.max_connections is not None:
            return self.max_connections
        return MOST_TLS if self.tls_cert_file else MOST_PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreWanted:
    """Where the fleet is kept. Endpoints are URLs without a path, the prefix ends in "/"."""

    kind: str = SQLITE
    path: str = "/var/lib/rebootmgr-lockd/lockd.sqlite"
    etcd_endpoints: tuple[str, ...] = ()
    etcd_prefix: str = "/rebootmgr-lockd/"
    etcd_ca_file: str = ""
    etcd_client_cert_file: str = ""
    etcd_client_key_file: str = ""
    etcd_credentials_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupWanted:
    """What a group lends, and how."""

    slots: int = SLOTS
    max_waiting: int = MAX_WAITING
    max_hold_minutes: int = int(MAX_HOLD_S / 60)
    halt_after: int = HALT_AFTER
    settle_minutes: int = 0
    after: tuple[str, ...] = ()
    soak_minutes: int = int(SOAK_S / 60)
    spread: str = ""
    spread_slots: int = 1
    window: tuple[Window, ...] = ()
    blackout: tuple[Blackout, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostWanted:
    """What the inventory says of a host."""

    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The whole configuration of the server. A host of the inventory goes by its id."""

    any_group: bool = False
    server: ServerWanted = field(default_factory=ServerWanted)
    store: StoreWanted = field(default_factory=StoreWanted)
    groups: Mapping[str, GroupWanted] = field(
        default_factory=lambda: {DEFAULT_GROUP: GroupWanted()}
    )
    hosts: Mapping[str, HostWanted] = field(default_factory=dict)
