"""What must survive a reboot, a crash and a power cut (SPEC 9)."""

from dataclasses import dataclass
from datetime import datetime

from rebootmgr.core.model import BootId, Deployment, DeploymentId, Outcome, Slot, UpdateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """The reboot we are about to ask for. `mono` is CLOCK_BOOTTIME of `boot`, in seconds.

    Before it, `waiting_s`, `lock_s` and `hooks_s` went by, as in `Durations`. `shutdown_seen`: the
    machine began to go down, at `down_at`; `seen_booted`: the target came up once; `withdrawn`: it
    was taken away, or replaced, before the machine was down; `on_disk` are the ids of what else was
    bootable.
    """

    target: DeploymentId
    key: UpdateKey
    version: str
    booted: DeploymentId
    boot: BootId
    at: datetime
    mono: float
    waiting_s: float = 0.0
    lock_s: float = 0.0
    hooks_s: float = 0.0
    shutdown_seen: bool = False
    down_at: datetime | None = None
    seen_booted: bool = False
    withdrawn: bool = False
    on_disk: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """A slot that is ours (`granted`), or presumed to be.

    `unanswered`: a question to this server never got its answer.

    `kept` slots stay ours on purpose, because the update failed here. `asked`: we asked for it in
    this boot or before, else the server is only to confirm that nothing is ours. `since` is when a
    release was first not confirmed. `reports`: the server wants to hear what became of the reboot.
    """

    slot: Slot
    granted: bool = False
    unanswered: bool = False
    kept: bool = False
    asked: bool = True
    since: datetime | None = None
    reports: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldSpan:
    """What a hold for a span lasts: until `ends` (CLOCK_BOOTTIME of `boot`, s), `seconds` in all.

    `is_dated`: somebody vouched for the wall clock that wrote the hold's `until`, so that a later
    boot may go by it.
    """

    boot: BootId
    ends: float
    seconds: float
    is_dated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Somebody's wish that this host does not reboot; `until` None means until released.

    With a `span` it is held for that, and `until` is only where the wall clock put its end.
    """

    id: str
    owner: str
    reason: str
    since: datetime
    until: datetime | None
    span: HoldSpan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """An update that is not tried again until forgiven."""

    key: UpdateKey
    why: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Somebody's wish for a reboot, bound to one update, whatever its serial, and to one boot.

    It lasts until `ends` (CLOCK_BOOTTIME, s); `until` is what the wall clock said of that.
    """

    target: DeploymentId
    key: UpdateKey
    boot: BootId
    by: str
    now: bool
    until: datetime
    ends: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """Where the time of a reboot went; 0.0: there was no such phase, or it cannot be told.

    `lock_s` is from the first question to the grant; `hooks_s` pre-reboot.d, with checks.d after
    it; `waiting_s` all else since the update was staged. `shutdown_s` is until firmware takes over,
    or the kernel where firmware does not tell; `boot_s` until userspace starts, out of the initrd;
    `boot_complete_s` until boot-complete.target.
    """

    waiting_s: float = 0.0
    lock_s: float = 0.0
    hooks_s: float = 0.0
    shutdown_s: float = 0.0
    boot_s: float = 0.0
    boot_complete_s: float = 0.0

    def by_name(self) -> dict[str, float]:
        """Give the phases by the names that metrics, JSON and people use, in order."""
        return {
            "waiting": self.waiting_s,
            "lock": self.lock_s,
            "hooks": self.hooks_s,
            "shutdown": self.shutdown_s,
            "boot": self.boot_s,
            "boot_complete": self.boot_complete_s,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PastReboot:
    """One reboot that we asked for, and what became of it once that is known.

    `seconds` is what the host needed, from pre-reboot.d to boot-complete; 0.0 where not known.
    `cause` says what kept the update from being applied, or which hook found the boot no good and
    why, "" where nobody knows or nothing did.
    """

    at: datetime
    target: DeploymentId
    version: str
    outcome: Outcome | None = None
    seconds: float = 0.0
    phases: Durations = Durations()
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Since when, at the latest, a host is behind: what no clock that is set can move.

    `born` is CLOCK_BOOTTIME of `boot` (s): negative before it, and None where it was before and
    nobody could tell when. `vouched` is the same by a clock that was synchronized, None where none
    was; `gone` when (CLOCK_BOOTTIME, s) nothing was staged any more, None while something is.
    """

    boot: BootId
    born: float | None
    vouched: datetime | None = None
    gone: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """The update that was pending last, since when, and since when this host is behind (SPEC 5a).

    `none_since` is when nothing was staged any more, None while something is. An older rebootmgr
    wrote no `anchor`.
    """

    key: UpdateKey
    since: datetime
    behind_since: datetime
    none_since: datetime | None = None
    anchor: Anchor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Everything that is written to state.json, and nothing else.

    `machine` tells this machine from others, "" where nobody said which it is; `settled` is the
    boot whose outcome was judged; `booted` what that boot ran; `confirmed` the slots of which the
    ledger knows in that boot, because they were asked for or given back; `drained` that a
    pre-reboot phase began and was not undone; `attempts` counts failed boots per update;
    `staged_change` is the last change on a booted base that was staged: once booted, it is known
    again by its id; `outcomes` counts what SPEC 10 calls reboot_outcomes_total; `complaint` is
    which hook of post-boot.d found the settled boot no good, and why, where nobody asked for it.
    """

    machine: str = ""
    settled: BootId | None = None
    booted: Deployment | None = None
    intent: Intent | None = None
    debts: tuple[Debt, ...] = ()
    confirmed: tuple[Slot, ...] = ()
    drained: bool = False
    attempts: tuple[tuple[UpdateKey, int], ...] = ()
    staged_change: Deployment | None = None
    quarantine: tuple[Quarantine, ...] = ()
    holds: tuple[Hold, ...] = ()
    ask: Ask | None = None
    reboots: tuple[PastReboot, ...] = ()
    outcomes: tuple[tuple[Outcome, int], ...] = ()
    reboots_total: int = 0
    last_seen: datetime | None = None
    backlog: Backlog | None = None
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """state.json is from a newer major version, or cannot be read: left alone, and we wait."""

    detail: str
