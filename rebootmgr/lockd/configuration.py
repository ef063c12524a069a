"""From the server's drop-ins to what it does, with every error at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from rebootmgr.config.drop_ins import read_drop_ins
from rebootmgr.config.fragment import Fragment
from rebootmgr.config.grammar import dotted
from rebootmgr.config.merged import (
    Merged,
    in_reading_order,
    problem_at,
    read_fragments,
    with_values,
)
from rebootmgr.errors import ConfigError, Problem
from rebootmgr.lending.terms import Rules, Terms
from rebootmgr.lockd.keys import LOCKD, Tcp, Unix
from rebootmgr.lockd.wanted import DEFAULT_GROUP, GroupWanted, HostWanted, Wanted

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


def load_configuration(root: Path) -> Configuration:
    """Read and judge the drop-ins below `root`; what is wrong is inside."""
    found = decode_configuration(read_drop_ins(root, DIRECTORIES))
    return replace(found, wanted=_below(root, found.wanted))


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
    store = replace(wanted.store, path=below(wanted.store.path))
    return replace(wanted, server=server, store=store)


def decode_configuration(fragments: Sequence[Fragment]) -> Configuration:
    """Make a configuration of drop-ins, in order."""
    read = read_fragments(fragments, LOCKD)
    merged = read.merged
    typed = {key: found.value for key, found in merged.values.items()}
    wanted: Wanted = with_values(Wanted(), "", typed)
    wanted = replace(wanted, groups=_groups(merged, typed), hosts=_hosts(merged, typed))
    errors = [*read.errors, *_conflicts(merged, wanted)]
    warnings = [*read.warnings, *(() if errors else _advice(merged, wanted))]
    return Configuration(
        wanted=wanted,
        merged=merged,
        errors=in_reading_order(errors, fragments),
        warnings=in_reading_order(warnings, fragments),
    )


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
    )


def _conflicts(merged: Merged, wanted: Wanted) -> Iterator[Problem]:
    """Yield what is wrong between keys."""
    server, values = wanted.server, merged.values
    if server.tls_key_file and not server.tls_cert_file:
        message, hint = "is a key without its certificate", f"set {_CERT}, too"
        yield problem_at(values[_KEY].place, _KEY, message, hint)
    if server.client_ca_file and not server.tls_cert_file:
        message = "asks hosts for certificates, which needs TLS"
        yield problem_at(values[_CA].place, _CA, message, f"set {_CERT}, too")
    told = merged.written - values.keys()
    if not (server.tls_cert_file or server.plain_http or _CERT in told) and (
        open_to_all := _beyond_loopback(wanted)
    ):
        message = f"{open_to_all[0]} is beyond this host, and plain http is read on the way"
        hint = f"set {_CERT}; behind a proxy that speaks TLS, server.plain_http = true"
        yield problem_at(values[_LISTEN].place, _LISTEN, message, hint)


def _advice(merged: Merged, wanted: Wanted) -> Iterator[Problem]:
    """Yield what is valid and still not what anybody wants."""
    server, values = wanted.server, merged.values
    if server.authorization_file and not server.tls_cert_file and _beyond_loopback(wanted):
        message = "takes credentials over plain http: everybody on the way reads them"
        yield problem_at(values[_TOKENS].place, _TOKENS, message, f"set {_CERT}")


def _beyond_loopback(wanted: Wanted) -> list[Tcp]:
    return [
        one for one in wanted.server.listen if isinstance(one, Tcp) and not one.host.is_loopback
    ]
