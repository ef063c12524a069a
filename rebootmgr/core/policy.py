"""What the operator asked for, validated: the only form of the configuration the core knows."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from rebootmgr.core.model import Slot
from rebootmgr.core.window import Calendar


class Strategy(StrEnum):
    """How a reboot is allowed (SPEC 3); several together must all agree."""

    IMMEDIATE = "immediate"
    PERIODIC = "periodic"
    FLEET_LOCK = "fleet_lock"
    OFF = "off"


class Respect(StrEnum):
    """Whose shutdown inhibitors count."""

    ALL = "all"
    ROOT = "root"
    NOBODY = "nobody"


class ClockRule(StrEnum):
    """When the wall clock must be synchronized (SPEC 5)."""

    WINDOWS = "windows"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long we wait between tries; the world model sets all of it to nothing.

    Retries take 0.5 to 1.5 of what is said here, which grows from the first to the longest; a
    release that nobody confirms is repeated more rarely still, up to `longest_release_s`.
    """

    first_retry_s: float = 10.0
    longest_retry_s: float = 240.0
    longest_release_s: float = 86400.0
    reserved_s: tuple[float, float] = (10.0, 30.0)
    release_again_s: float = 300.0
    longest_retry_after_s: float = 3600.0
    shutdown_s: float = 600.0
    final_warning_s: float = 60.0
    last_look_s: float = 60.0
    check_s: float = 60.0
    sysroot_s: float = 60.0
    confirm_s: float = 60.0


class Waivable(StrEnum):
    """What a deadline may do away with (SPEC 5a)."""

    SESSIONS = "sessions"
    SPLAY = "splay"
    FIT = "fit"
    WINDOWS = "windows"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineStep:
    """From `after` on, counted since the host is behind, what is in `waive` counts no more.

    Nor do these programs of checks.d. Not before this boot is `grace` old. People are told by each
    of `warn` ahead, longest first.
    """

    after: timedelta
    waive: frozenset[Waivable] = frozenset()
    checks: frozenset[str] = frozenset()
    grace: timedelta = timedelta(hours=1)
    warn: tuple[timedelta, ...] = (
        timedelta(days=1),
        timedelta(hours=1),
        timedelta(minutes=10),
    )

    @property
    def names(self) -> frozenset[str]:
        """All that it waives, as the configuration names it."""
        return frozenset({*self.waive, *(f"checks:{name}" for name in self.checks)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything that decides. `slot` is set exactly when the strategy asks a lock server.

    `invalid` says what is wrong with the configuration ("" when nothing is); `seed` makes the
    jitter of this host differ from its neighbours'; `group` is shown, and decides nothing;
    `deadlines` are by rising `after`.
    """

    enabled: bool = True
    strategies: frozenset[Strategy] = frozenset({Strategy.IMMEDIATE})
    calendar: Calendar = field(default_factory=Calendar)
    deadlines: tuple[DeadlineStep, ...] = ()
    slot: Slot | None = None
    keep_slot_on_failed_update: bool = True
    sessions_wait: bool = True
    sessions_grace: timedelta = timedelta(minutes=10)
    respect: Respect = Respect.ALL
    reboots_per_day: int = 4
    attempts_per_deployment: int = 2
    clock: ClockRule = ClockRule.WINDOWS
    invalid: str = ""
    dry_run: bool = False
    seed: str = ""
    group: str = "default"
    patience: Patience = field(default_factory=Patience)

    @property
    def identity(self) -> Slot:
        """Who this host is to a lock server; the server is "" where none is asked."""
        return self.slot or Slot(server="", group=self.group, id=self.seed)
