"""What a call of `fleet-lock` means: which slot, at which server, reached how."""

import re
from argparse import Namespace
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from rebootmgr.cli.verb import Context
from rebootmgr.config.base_url import expand, fault_of, origin_of, variables_of, without_userinfo
from rebootmgr.config.checked import Config
from rebootmgr.config.identity import MissingIdentity
from rebootmgr.config.load import load
from rebootmgr.config.resolve import server_at, url_problems
from rebootmgr.config.settings import FleetLock, Settings
from rebootmgr.core.counters import Api
from rebootmgr.core.model import Slot
from rebootmgr.errors import ConfigError, RebootmgrError, UsageError
from rebootmgr.fleetlock.words import Server
from rebootmgr.text import harmless

GROUP: Final = re.compile(r"[a-zA-Z0-9.-]+")  # FleetLock protocol, client_params.group
INVALID: Final = "the configuration is invalid: its certificates and credentials are not used"
NONE_SENT: Final = "no credentials are sent there; give its own in the URL, if it wants any"
ID: Final = re.compile(r"[a-zA-Z0-9._:-]{1,253}")  # what servers take, and a terminal shows


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotOrder:
    """One request for a script. `is_ours`: the slot is that of this host."""

    api: Api
    slot: Slot
    server: Server
    is_ours: bool


def read_order(arguments: Namespace, context: Context) -> SlotOrder:
    """Complete what was given with the host's configuration.

    UsageError for what is given wrong or nowhere, ConfigError when the configuration is needed.
    """
    for option, value, legal in (("group", arguments.group, GROUP), ("id", arguments.id, ID)):
        if value is not None and not legal.fullmatch(value):
            raise UsageError(
                f'--{option} "{harmless(value)}" is illegal; it has to match {legal.pattern}'
            )
    loaded = load(context.root)
    config, host = loaded.config, loaded.host
    settings = config.settings
    if config.errors:
        if None in {arguments.id, arguments.group, arguments.base_url}:
            loaded.check_config()
        note(context, INVALID)
        settings = Settings()
    if isinstance(host, MissingIdentity) and arguments.id is None:
        raise RebootmgrError(f"{host.detail}, or give --id")
    group = arguments.group or settings.identity.group
    variables = {**host.variables, "group": group}
    url = _url(arguments.base_url, config, variables)
    id_ = arguments.id or host.node_id
    return SlotOrder(
        api=Api.PRE_REBOOT if arguments.operation == "lock" else Api.STEADY_STATE,
        slot=Slot(server=without_userinfo(url), group=group, id=id_),
        server=_server(url, settings.updates.fleet_lock, variables, context),
        is_ours=id_ == host.node_id,
    )


def _server(url: str, fleet: FleetLock, variables: Mapping[str, str], context: Context) -> Server:
    """Say how to reach `url`, and when that is without what the configuration has."""
    has_some = fleet.authorization_file or fleet.client_cert_file or "@" in fleet.base_url
    if has_some and not _is_home(url, fleet, variables):
        note(context, f"{without_userinfo(url)} is not the configured server: {NONE_SENT}")
    return _reached(url, fleet, variables)


def _reached(url: str, fleet: FleetLock, variables: Mapping[str, str]) -> Server:
    """What proves who we are is for the configured server alone."""
    if _is_home(url, fleet, variables):
        return server_at(url, fleet)
    return server_at(url, FleetLock(timeout_seconds=fleet.timeout_seconds, ca_file=fleet.ca_file))


def _is_home(url: str, fleet: FleetLock, variables: Mapping[str, str]) -> bool:
    home = _expanded(fleet.base_url, variables)
    return bool(home) and origin_of(home) == origin_of(url)


def _expanded(template: str, variables: Mapping[str, str]) -> str:
    """Give the configured URL, "" where there is none or this host lacks a value for it."""
    is_known = template and all(variables.get(name) for name in variables_of(template))
    return expand(template, variables) if is_known else ""


def read_server(url: str, context: Context) -> Server:
    """Say how to reach a server at a valid URL, with the host's configuration where there is one.

    Any but the configured server gets no credentials: it says itself whether it wants some.
    """
    loaded = load(context.root)
    settings = loaded.config.settings
    if loaded.config.errors:
        note(context, INVALID)
        settings = Settings()
    variables = {**loaded.host.variables, "group": settings.identity.group}
    return _reached(url, settings.updates.fleet_lock, variables)


def read_servers(slots: Iterable[Slot], context: Context) -> dict[Slot, Server]:
    """Say how to reach the server of each: as is configured for it, else without any secret."""
    loaded = load(context.root)
    config, fleet = loaded.config, loaded.config.settings.updates.fleet_lock
    template = fleet.base_url
    servers = {}
    for slot in slots:
        values = {**loaded.host.variables, "group": slot.group}
        url = "" if config.errors else _expanded(template, values)
        if url and without_userinfo(url) == slot.server:
            servers[slot] = server_at(url, fleet)
        else:
            servers[slot] = server_at(slot.server, FleetLock())
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
        if problems := url_problems(config, variables):
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
