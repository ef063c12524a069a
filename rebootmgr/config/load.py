"""From the drop-ins on disk to everything that follows from them, for the daemon and the client."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path

from rebootmgr.config.checked import Config, decode_config
from rebootmgr.config.drop_ins import DIRECTORIES, read_drop_ins
from rebootmgr.config.fragment import Fragment
from rebootmgr.config.identity import HostIdentity, MissingIdentity, read_identity, read_localtime
from rebootmgr.config.resolve import request_url, resolve_policy, server_at
from rebootmgr.config.review import advise
from rebootmgr.config.settings import Settings
from rebootmgr.core.model import Slot
from rebootmgr.core.policy import Policy
from rebootmgr.errors import ConfigError, Problem
from rebootmgr.fleetlock.labels_words import Labels
from rebootmgr.fleetlock.words import Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One reading of the configuration, and of the host that it is for.

    With any error the policy is invalid and says so. `localtime` is None if it is no time zone.
    """

    fragments: tuple[Fragment, ...] = field(repr=False)
    config: Config
    localtime: tzinfo | None
    host: HostIdentity | MissingIdentity
    policy: Policy
    servers: Mapping[Slot, Server]
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]

    @property
    def socket_mode(self) -> int:
        """Who may read the metrics, as permission bits."""
        return self.config.settings.metrics.socket_mode

    @property
    def labels(self) -> Labels:
        """What this host tells lock servers of itself, by a configuration that may be used."""
        is_bad = self.errors or self.policy.invalid
        return () if is_bad else tuple(sorted(self.config.settings.identity.labels.items()))

    @property
    def hook_timeout_s(self) -> int:
        """How long each hook may take; the default where nothing of this is to be used."""
        settings = Settings() if self.errors or self.policy.invalid else self.config.settings
        return settings.hooks.timeout_seconds

    def check_config(self) -> None:
        """Raise ConfigError with all that is wrong with the drop-ins, whichever host this is."""
        if self.config.errors:
            raise ConfigError(self.config.errors)


def load(root: Path, *, directories: Sequence[str] = DIRECTORIES, dry_run: bool = False) -> Loaded:
    """Read and judge everything below `root`; what is wrong is inside."""
    return judge(read_drop_ins(root, directories), root, dry_run=dry_run)


def judge(fragments: tuple[Fragment, ...], root: Path, *, dry_run: bool = False) -> Loaded:
    """Judge these drop-ins as those of the host below `root`; what is wrong is inside."""
    localtime = read_localtime(root)
    config = decode_config(fragments, localtime=localtime)
    settings = config.settings
    host = read_identity(root, node_uuid=settings.identity.node_uuid)
    nameless = tuple(_nameless(config, host))
    policy = resolve_policy(config, node_id=host.node_id, variables=host.variables, dry_run=dry_run)
    if nameless and not policy.invalid:
        policy = Policy(invalid=str(nameless[0]), dry_run=dry_run, group="")
    servers = {}
    if policy.slot is not None:
        url = request_url(config, host.variables)
        servers[policy.slot] = server_at(url, settings.updates.fleet_lock)
    errors = (*config.errors, *nameless)
    return Loaded(
        fragments=fragments,
        config=config,
        localtime=localtime,
        host=host,
        policy=policy,
        servers=servers,
        errors=errors,
        warnings=(*config.warnings, *(() if errors else advise(config))),
    )


def _nameless(config: Config, host: HostIdentity | MissingIdentity) -> Iterator[Problem]:
    """Say of a host without a name that a lock server needs one."""
    if isinstance(host, HostIdentity) or not config.settings.updates.fleet_lock.base_url:
        return
    place = config.provenance.get("updates.fleet_lock.base_url")
    yield Problem(
        file=place.file if place is not None else "/etc/machine-id",
        line=place.line if place is not None else None,
        key="identity.node_uuid",
        message=f"this host has no name for the lock server: {host.detail}",
        hint="run systemd-machine-id-setup, or set identity.node_uuid",
    )
