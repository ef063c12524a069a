"""From the drop-ins on disk to everything that follows from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rebootmgr.config.checked import Config, decode_config
from rebootmgr.config.drop_ins import read_drop_ins
from rebootmgr.config.identity import MissingIdentity, read_identity, read_localtime
from rebootmgr.config.resolve import encode_policy, request_url
from rebootmgr.config.review import advise
from rebootmgr.core.model import Slot
from rebootmgr.core.policy import Policy
from rebootmgr.errors import Problem
from rebootmgr.fleetlock.words import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One reading of the configuration. With any error the policy is invalid and says so."""

    policy: Policy
    servers: Mapping[Slot, Server]
    socket_mode: int
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def load(root: Path, *, dry_run: bool) -> Loaded:
    """Read and judge everything below `root`; what is wrong is inside."""
    config = decode_config(read_drop_ins(root), localtime=read_localtime(root))
    settings = config.settings
    identity = read_identity(root, node_uuid=settings.identity.node_uuid)
    if isinstance(identity, MissingIdentity):
        problems = _nameless(config, identity) if settings.updates.fleet_lock.base_url else ()
        policy = encode_policy(config, node_id="", variables={}, dry_run=dry_run)
        if problems and not policy.invalid:
            policy = Policy(invalid=str(problems[0]), dry_run=dry_run)
        return _loaded(config, policy, {}, (*config.errors, *problems))
    policy = encode_policy(
        config, node_id=identity.node_id, variables=identity.variables, dry_run=dry_run
    )
    servers = {}
    if policy.slot is not None:
        fleet = settings.updates.fleet_lock
        servers[policy.slot] = Server(
            base_url=request_url(config, identity.variables),
            timeout_s=float(fleet.timeout_seconds),
            ca_file=fleet.ca_file,
            client_cert_file=fleet.client_cert_file,
            client_key_file=fleet.client_key_file,
            authorization_file=fleet.authorization_file,
        )
    return _loaded(config, policy, servers, config.errors)


def _nameless(config: Config, missing: MissingIdentity) -> tuple[Problem, ...]:
    place = config.provenance.get("updates.fleet_lock.base_url")
    problem = Problem(
        file=place.file if place is not None else "/etc/machine-id",
        line=place.line if place is not None else None,
        key="identity.node_uuid",
        message=f"this host has no name for the lock server: {missing.detail}",
        hint="run systemd-machine-id-setup, or set identity.node_uuid",
    )
    return (problem,)


def _loaded(
    config: Config, policy: Policy, servers: Mapping[Slot, Server], errors: tuple[Problem, ...]
) -> Loaded:
    return Loaded(
        policy=policy,
        servers=servers,
        socket_mode=config.settings.metrics.socket_mode,
        errors=errors,
        warnings=(*config.warnings, *(() if errors else advise(config))),
    )
