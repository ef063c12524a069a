"""The configuration as typed values, under the key names and with the defaults of SPEC 3."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rebootmgr.core.model import Source
from rebootmgr.core.policy import ClockRule, DeadlineStep, Respect, Strategy
from rebootmgr.core.window import Blackout, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this host is to the fleet. `node_uuid` is 32 lower-case hex digits, "" = derived."""

    group: str = "default"
    node_uuid: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Periodic:
    """When `periodic` allows a reboot. `time_zone` is the name; each window knows its zone."""

    time_zone: str = "UTC"
    splay_minutes: int = 0
    fit: bool = True
    window: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetLock:
    """Which server lends slots. `base_url` may carry credentials and `${...}`: never show it."""

    base_url: str = field(default="", repr=False)
    timeout_seconds: int = 1800
    ca_file: str = ""
    client_cert_file: str = ""
    client_key_file: str = ""
    authorization_file: str = ""
    keep_slot_on_failed_update: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """What to do about people who are logged in."""

    wait: bool = True
    grace_minutes: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhibitors:
    """Whose shutdown inhibitors count."""

    respect: Respect = Respect.ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How often is too often."""

    reboots_per_day: int = 4
    attempts_per_deployment: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """When the wall clock must be synchronized."""

    require_synchronized: ClockRule = ClockRule.WINDOWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Updates:
    """Everything under `[updates]`."""

    source: Source = Source.AUTO
    enabled: bool = True
    strategy: frozenset[Strategy] = frozenset({Strategy.IMMEDIATE})
    periodic: Periodic = field(default_factory=Periodic)
    blackout: tuple[Blackout, ...] = ()
    deadline: tuple[DeadlineStep, ...] = ()
    fleet_lock: FleetLock = field(default_factory=FleetLock)
    sessions: Sessions = field(default_factory=Sessions)
    inhibitors: Inhibitors = field(default_factory=Inhibitors)
    limits: Limits = field(default_factory=Limits)
    clock: Clock = field(default_factory=Clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """How long one hook may take."""

    timeout_seconds: int = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Who may connect to the metrics socket."""

    socket_mode: int = 0o666


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole configuration."""

    identity: Identity = field(default_factory=Identity)
    updates: Updates = field(default_factory=Updates)
    hooks: Hooks = field(default_factory=Hooks)
    metrics: Metrics = field(default_factory=Metrics)
