"""From the server's drop-ins to what it does, with every error at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from pathlib import Path
from typing import Final

from rebootmgr.config.base_url import is_in_clear
from rebootmgr.config.drop_ins import read_drop_ins
from rebootmgr.config.fragment import Fragment
from rebootmgr.config.grammar import dotted
from rebootmgr.config.identity import read_localtime
from rebootmgr.config.merged import (
    Merged,
    Zones,
    decode_items,
    in_reading_order,
    problem_at,
    read_fragments,
    with_values,
)
from rebootmgr.config.windows import decode_blackout, decode_window
from rebootmgr.core.window import Calendar
from rebootmgr.errors import ConfigError, Problem
from rebootmgr.lending.terms import Rules, Terms
from rebootmgr.lockd_config.keys import BLACKOUT, ETCD, LOCKD, WINDOW, Tcp, Unix
from rebootmgr.lockd_config.wanted import (
    DEFAULT_GROUP,
    GroupWanted,
    HostWanted,
    StoreWanted,
    Wanted,
)

DIRECTORIES: Final = (  # the first has the last word
    "etc/rebootmgr-lockd/config.d",
    "run/rebootmgr-lockd/config.d",
    "usr/lib/rebootmgr-lockd/config.d",
)

_LISTEN: Final = "server.listen"
_CERT: Final = "server.tls_cert_file"
_KEY: Final = "server.tls_key_file"
_CA: Final = "server.client_ca_file"
_TOKENS: Final = "server.authorization_file"
_KIND: Final = "store.kind"
_ENDPOINTS: Final = "store.etcd_endpoints"
_ETCD_CA: Final = "store.etcd_ca_file"
_ETCD_CERT: Final = "store.etcd_client_cert_file"
_ETCD_KEY: Final = "store.etcd_client_key_file"
_ETCD_CREDENTIALS: Final = "store.etcd_credentials_file"
_LABELS: Final = "labels"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One reading of the drop-ins. With any error `wanted` is not fit for use."""

    wanted: Wanted
    merged: Merged = field(repr=False)
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def rules(self) -> Rules:
        """What the groups lend on."""
        groups = {name: _terms(group) for name, group in self.wanted.groups.items()}
        return Rules(groups=groups, any_group=self.wanted.any_group)

    def check(self) -> None:
        """Raise ConfigError with all that is wrong."""
        if self.errors:
            raise ConfigError(self.errors)


def load_configuration(root: Path, *, directories: Sequence[str] = DIRECTORIES) -> Configuration:
    """Read and judge the drop-ins below `root`; what is wrong is inside."""
    localtime = read_localtime(root)
    found = decode_configuration(read_drop_ins(root, directories), localtime=localtime)
    return replace(found, wanted=_below(root, found.wanted))


def unused_listen(configuration: Configuration, why: str) -> Iterator[Problem]:
    """Yield that addresses are written which the server does not listen at, and why that is."""
    if found := configuration.merged.values.get(_LISTEN):
        hint = "remove it; systemd's are ListenStream= of the socket unit"
        yield problem_at(found.place, _LISTEN, f"is not used: {why}", hint)


def _below(root: Path, wanted: Wanted) -> Wanted:
    """Take every path below `root`."""

    def below(path: str) -> str:
        return str(root / path.lstrip("/")) if path else ""

    server = wanted.server
    server = replace(
        server,
        listen=tuple(
            Unix(below(one.path)) if isinstance(one, Unix) else one for one in server.listen
        ),
        tls_cert_file=below(server.tls_cert_file),
        tls_key_file=below(server.tls_key_file),
        client_ca_file=below(server.client_ca_file),
        authorization_file=below(server.authorization_file),
    )
    store = wanted.store
    store = replace(
        store,
        path=below(store.path),
        etcd_ca_file=below(store.etcd_ca_file),
        etcd_client_cert_file=below(store.etcd_client_cert_file),
        etcd_client_key_file=below(store.etcd_client_key_file),
        etcd_credentials_file=below(store.etcd_credentials_file),
    )
    return replace(wanted, server=server, store=store)


def decode_configuration(
    fragments: Sequence[Fragment], *, localtime: tzinfo | None
) -> Configuration:
    """Make a configuration of drop-ins, in order; `localtime` is this host's zone, if known."""
    read = read_fragments(fragments, LOCKD)
    merged = read.merged
    typed = {key: found.value for key, found in merged.values.items()}
    wanted: Wanted = with_values(Wanted(), "", typed)
    dated, date_errors = _dates(merged, Zones(localtime))
    typed |= dated
    wanted = replace(wanted, groups=_groups(merged, typed), hosts=_hosts(merged, typed))
    errors = [*read.errors, *date_errors, *_conflicts(merged, wanted), *_circles(merged, wanted)]
    warnings = [*read.warnings, *(() if errors else _advice(merged, wanted))]
    return Configuration(
        wanted=wanted,
        merged=merged,
        errors=in_reading_order(errors, fragments),
        warnings=in_reading_order(warnings, fragments),
    )


def _dates(merged: Merged, zones: Zones) -> tuple[dict[str, object], list[Problem]]:
    """Read the windows and blackouts of every group."""
    found: dict[str, object] = {}
    errors: list[Problem] = []
    for group in merged.names.get("groups", ()):
        window, blackout = (dotted(dotted("groups", group), key) for key in (WINDOW, BLACKOUT))
        found[window], wrong = decode_items(merged, window, decode_window, zones)
        found[blackout], more = decode_items(merged, blackout, decode_blackout, zones)
        errors += [*wrong, *more]
    return found, errors


def _groups(merged: Merged, typed: Mapping[str, object]) -> dict[str, GroupWanted]:
    names = dict.fromkeys((DEFAULT_GROUP, *merged.names.get("groups", ())))
    return {name: with_values(GroupWanted(), dotted("groups", name), typed) for name in names}


def _hosts(merged: Merged, typed: Mapping[str, object]) -> dict[str, HostWanted]:
    hosts = {}
    for name in merged.names.get("hosts", ()):
        table = dotted("hosts", name)
        labelled = dotted(table, _LABELS)
        labels = {
            label: typed[key]
            for label in merged.names.get(labelled, ())
            if (key := dotted(labelled, label)) in typed
        }
        hosts[name] = with_values(HostWanted(), table, {**typed, labelled: labels})
    return hosts


def _terms(group: GroupWanted) -> Terms:
    return Terms(
        slots=group.slots,
        max_waiting=group.max_waiting,
        max_hold_s=group.max_hold_minutes * 60.0,
        calendar=_calendar(group),
        halt_after=group.halt_after,
        settle_s=group.settle_minutes * 60.0,
        after=group.after,
        soak_s=group.soak_minutes * 60.0,
        spread=group.spread,
        spread_slots=group.spread_slots,
    )


def _calendar(group: GroupWanted) -> Calendar | None:
    if not (group.window or group.blackout):
        return None
    return Calendar(
        periodic=bool(group.window), windows=group.window, blackouts=group.blackout, fit=False
    )


def _circles(merged: Merged, wanted: Wanted) -> Iterator[Problem]:
    """Yield where a group would wait for one that there is not, or for itself."""
    for name, group in wanted.groups.items():
        key = dotted(dotted("groups", name), "after")
        for before in group.after:
            if before not in wanted.groups:
                message, hint = f'names "{before}", of which there is no table', "add one"
                yield problem_at(merged.values[key].place, key, message, f"{hint}, or remove it")
        if name in _all_before(name, wanted):
            message, hint = "would have this group wait for itself", "remove the circle"
            yield problem_at(merged.values[key].place, key, message, hint)


def _all_before(name: str, wanted: Wanted) -> set[str]:
    found: set[str] = set()
    todo = [*wanted.groups[name].after]
    while todo:
        before = todo.pop()
        if before not in found and before in wanted.groups:
            found.add(before)
            todo += wanted.groups[before].after
    return found


def _conflicts(merged: Merged, wanted: Wanted) -> Iterator[Problem]:
    """Yield what is wrong between keys."""
    server, values = wanted.server, merged.values
    if server.tls_key_file and not server.tls_cert_file:
        message, hint = "is a key without its certificate", f"set {_CERT}, too"
        yield problem_at(values[_KEY].place, _KEY, message, hint)
    if server.client_ca_file and not server.tls_cert_file:
        message = "asks hosts for certificates, which needs TLS"
        yield problem_at(values[_CA].place, _CA, message, f"set {_CERT}, too")
    yield from _etcd_conflicts(merged, wanted.store)
    told = merged.written - values.keys()
    if not (server.tls_cert_file or server.plain_http or _CERT in told) and (
        open_to_all := _beyond_loopback(wanted)
    ):
        message = f"{open_to_all[0]} is beyond this host, and plain http is read on the way"
        hint = f"set {_CERT}; behind a proxy that speaks TLS, server.plain_http = true"
        yield problem_at(values[_LISTEN].place, _LISTEN, message, hint)


def _etcd_conflicts(merged: Merged, store: StoreWanted) -> Iterator[Problem]:
    values, told = merged.values, merged.written
    if store.kind == ETCD and not store.etcd_endpoints and _ENDPOINTS not in told:
        message, hint = "is etcd, and nothing says where that is", f"set {_ENDPOINTS}, too"
        yield problem_at(values[_KIND].place, _KIND, message, hint)
    if store.etcd_client_key_file and not store.etcd_client_cert_file:
        message, hint = "is a key without its certificate", f"set {_ETCD_CERT}, too"
        yield problem_at(values[_ETCD_KEY].place, _ETCD_KEY, message, hint)
    plain = [one for one in store.etcd_endpoints if not one.startswith("https:")]
    if plain and (key := _first_of(merged, _ETCD_CERT, _ETCD_CA)):
        message = f"is of no use for {plain[0]}, which is plain http"
        yield problem_at(values[key].place, key, message, "write https, or remove it")


def _first_of(merged: Merged, *keys: str) -> str:
    """Give the first of these keys that has a value."""
    return next((key for key in keys if key in merged.values and merged.values[key].value), "")


def _etcd_advice(merged: Merged, store: StoreWanted) -> Iterator[Problem]:
    keys = (_ENDPOINTS, _ETCD_CA, _ETCD_CERT, _ETCD_KEY, _ETCD_CREDENTIALS)
    if store.kind != ETCD and (key := _first_of(merged, *keys)):
        message, hint = f'is not used: {_KIND} is "{store.kind}"', f'set {_KIND} = "{ETCD}"'
        yield problem_at(merged.values[key].place, key, message, hint)
    plain = [one for one in store.etcd_endpoints if is_in_clear(one)]
    if store.kind == ETCD and plain:
        message = f"{plain[0]} is beyond this host: everybody on the way can grant slots"
        yield problem_at(merged.values[_ENDPOINTS].place, _ENDPOINTS, message, "write https")


def _advice(merged: Merged, wanted: Wanted) -> Iterator[Problem]:
    """Yield what is valid and still not what anybody wants."""
    server, values = wanted.server, merged.values
    yield from _etcd_advice(merged, wanted.store)
    if server.authorization_file and not server.tls_cert_file and _beyond_loopback(wanted):
        message = "takes credentials over plain http: everybody on the way reads them"
        yield problem_at(values[_TOKENS].place, _TOKENS, message, f"set {_CERT}")


def _beyond_loopback(wanted: Wanted) -> list[Tcp]:
    return [
        one for one in wanted.server.listen if isinstance(one, Tcp) and not one.host.is_loopback
    ]
