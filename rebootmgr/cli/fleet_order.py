"""What a call of `fleet-lock` means: which slot, at which server, reached how."""

import re
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from rebootmgr.cli.verb import Context
from rebootmgr.config.base_url import expand, fault_of, variables_of, without_userinfo
from rebootmgr.config.checked import Config, decode_config
from rebootmgr.config.drop_ins import read_drop_ins
from rebootmgr.config.identity import MissingIdentity, read_identity, read_localtime
from rebootmgr.config.resolve import unknown_variables
from rebootmgr.config.settings import FleetLock, Settings
from rebootmgr.core.counters import Api
from rebootmgr.core.model import Slot
from rebootmgr.errors import ConfigError, RebootmgrError, UsageError
from rebootmgr.fleetlock.words import Server
from rebootmgr.text import harmless

GROUP: Final = re.compile(r"[a-zA-Z0-9.-]+")  # FleetLock protocol, client_params.group
INVALID: Final = "the configuration is invalid: its certificates and credentials are not used"
ID: Final = re.compile(r"[a-zA-Z0-9._:-]{1,253}")  # what servers take, and a terminal shows


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One request for a script. `is_ours`: the slot is that of this host."""

    api: Api
    slot: Slot
    server: Server
    is_ours: bool


def read_order(arguments: Namespace, context: Context) -> Order:
    """Complete what was given with the host's configuration.

    UsageError for what is given wrong or nowhere, ConfigError when the configuration is needed.
    """
    for option, value, legal in (("group", arguments.group, GROUP), ("id", arguments.id, ID)):
        if value is not None and not legal.fullmatch(value):
            raise UsageError(
                f'--{option} "{harmless(value)}" is illegal; it has to match {legal.pattern}'
            )
    config = decode_config(read_drop_ins(context.root), localtime=read_localtime(context.root))
    settings = config.settings
    if config.errors:
        if None in {arguments.id, arguments.group, arguments.base_url}:
            raise ConfigError(config.errors)
        note(context, INVALID)
        settings = Settings()
    host = read_identity(context.root, node_uuid=settings.identity.node_uuid)
    own = "" if isinstance(host, MissingIdentity) else host.node_id
    if isinstance(host, MissingIdentity) and arguments.id is None:
        raise RebootmgrError(f"{host.detail}, or give --id")
    group = arguments.group or settings.identity.group
    variables = {} if isinstance(host, MissingIdentity) else dict(host.variables)
    url = _url(arguments.base_url, config, {**variables, "group": group})
    id_ = arguments.id or own
    return Order(
        api=Api.PRE_REBOOT if arguments.operation == "lock" else Api.STEADY_STATE,
        slot=Slot(server=without_userinfo(url), group=group, id=id_),
        server=_server(url, settings.updates.fleet_lock),
        is_ours=id_ == own,
    )


def read_servers(slots: Iterable[Slot], context: Context) -> dict[Slot, Server]:
    """Say how to reach the server of each: as is configured for it, else without any secret."""
    config = decode_config(read_drop_ins(context.root), localtime=read_localtime(context.root))
    settings = config.settings
    host = read_identity(context.root, node_uuid=settings.identity.node_uuid)
    variables = {} if isinstance(host, MissingIdentity) else dict(host.variables)
    template = settings.updates.fleet_lock.base_url
    servers = {}
    for slot in slots:
        values = {**variables, "group": slot.group}
        is_known = template and all(values.get(name) for name in variables_of(template))
        url = expand(template, values) if is_known and not config.errors else ""
        if url and without_userinfo(url) == slot.server:
            servers[slot] = _server(url, settings.updates.fleet_lock)
        else:
            servers[slot] = _server(slot.server, FleetLock())
    if config.errors and servers:
        note(context, INVALID)
    return servers


def note(context: Context, text: str) -> None:
    """Tell the user what the exit status does not."""
    print(f"rebootmgrctl: {harmless(text, longest=2000)}", file=context.err)


def _url(given: str | None, config: Config, variables: dict[str, str]) -> str:
    if given is None:
        template = config.settings.updates.fleet_lock.base_url
        if not template:
            cure = "give --base-url, or set updates.fleet_lock.base_url"
            raise UsageError(f"no lock server is known; {cure}")
        if problems := unknown_variables(config, variables):
            raise ConfigError(problems)
        return expand(template, variables)
    if fault := fault_of(given):
        raise UsageError(f"--base-url {fault[0]}; {fault[1]}")
    for name in sorted(variables_of(given)):
        if not variables.get(name):
            raise UsageError(
                f"--base-url: this host has no value for ${{{name}}}; write the value itself"
            )
    return expand(given, variables)


def _server(url: str, settings: FleetLock) -> Server:
    return Server(
        base_url=url,
        timeout_s=float(settings.timeout_seconds),
        ca_file=settings.ca_file,
        client_cert_file=settings.client_cert_file,
        client_key_file=settings.client_key_file,
        authorization_file=settings.authorization_file,
    )
