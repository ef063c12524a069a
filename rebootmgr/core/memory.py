"""What must survive a reboot, a crash and a power cut (SPEC 9)."""

from dataclasses import dataclass, field
from datetime import datetime

from rebootmgr.core.model import BootId, Deployment, DeploymentId, Outcome, Slot, UpdateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """The reboot we are about to ask for. `mono` is CLOCK_BOOTTIME of `boot`, in seconds.

    `hooks_s` went into pre-reboot.d before. `shutdown_seen`: the machine began to go down;
    `seen_booted`: the target came up once.
    """

    target: DeploymentId
    key: UpdateKey
    version: str
    booted: DeploymentId
    boot: BootId
    at: datetime
    mono: float
    hooks_s: float = 0.0
    shutdown_seen: bool = False
    seen_booted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """A slot that is presumed ours. `unanswered`: a question to this server never got its answer.

    `kept` slots stay ours on purpose, because the update failed here.
    """

    slot: Slot
    unanswered: bool = False
    kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Somebody's wish that this host does not reboot; `until` None means until released."""

    id: str
    owner: str
    reason: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """An update that is not tried again until forgiven."""

    key: UpdateKey
    why: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Somebody's wish for a reboot, bound to one update and one boot."""

    target: DeploymentId
    boot: BootId
    by: str
    now: bool
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PastReboot:
    """One reboot that we asked for, and what became of it once that is known.

    `seconds` is the time from pre-reboot.d to boot-complete; 0.0 where it is not known.
    """

    at: datetime
    target: DeploymentId
    version: str
    outcome: Outcome | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Everything that is written to state.json, and nothing else.

    `settled` is the boot whose outcome was judged; `booted` what that boot ran; `drained` that a
    pre-reboot phase began and was not undone; `attempts` counts failed boots per update;
    `outcomes` counts what SPEC 10 calls reboot_outcomes_total; `foreign` are keys that a newer
    rebootmgr wrote, kept as they were (JSON text).
    """

    settled: BootId | None = None
    booted: Deployment | None = None
    intent: Intent | None = None
    debts: tuple[Debt, ...] = ()
    drained: bool = False
    attempts: tuple[tuple[UpdateKey, int], ...] = ()
    quarantine: tuple[Quarantine, ...] = ()
    holds: tuple[Hold, ...] = ()
    ask: Ask | None = None
    reboots: tuple[PastReboot, ...] = ()
    outcomes: tuple[tuple[Outcome, int], ...] = ()
    reboots_total: int = 0
    last_seen: datetime | None = None
    foreign: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """state.json is from a newer major version, or cannot be read: left alone, and we wait."""

    detail: str
