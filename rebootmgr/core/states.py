"""Where we are: the attempt, the ledger of slots, what we know and what we remember."""

from dataclasses import dataclass, field
from typing import TypeAlias

from rebootmgr.core.backoff import Retry
from rebootmgr.core.facts import BootTimes, Deployments, Logind, Look, NotOstree
from rebootmgr.core.memory import Memory
from rebootmgr.core.model import (
    Blocker,
    BootId,
    Deployment,
    DeploymentId,
    Phase,
    Slot,
    Ticket,
)


@dataclass(frozen=True, slots=True)
class Starting:
    """Nothing is known yet."""


@dataclass(frozen=True, slots=True)
class PostBoot:
    """Nobody has judged this boot yet; `ticket` is None until boot-complete.target is reached."""

    ticket: Ticket | None


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is pending."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An update is pending and something is in the way.

    `queued`: only the lock server is, and what it may have lent us is not given back meanwhile.
    """

    target: Deployment
    queued: bool = False


@dataclass(frozen=True, slots=True)
class Checking:
    """Every cheap gate is clear; checks.d is running. `queued` as in `Waiting`."""

    target: Deployment
    ticket: Ticket
    queued: bool = False


@dataclass(frozen=True, slots=True)
class Asking:
    """The fleet is asked; `ticket` is None while an earlier request for the slot is unfinished."""

    target: Deployment
    ticket: Ticket | None


@dataclass(frozen=True, slots=True)
class Preparing:
    """The fleet agreed (where it was asked); pre-reboot.d, then checks.d once more, are running.

    `since` is when that began (CLOCK_BOOTTIME, s).
    """

    target: Deployment
    ticket: Ticket
    phase: Phase
    since: float


@dataclass(frozen=True, slots=True)
class Committing:
    """The intent is on record; every gate is being read afresh, for the last time.

    `warned_until` (CLOCK_BOOTTIME, s) is set while sessions that were never
    warned get their minute.
    """

    target: Deployment
    warned_until: float | None = None


@dataclass(frozen=True, slots=True)
class Rebooting:
    """logind was asked; without a shutdown by `until` (CLOCK_BOOTTIME, s) we start over."""

    target: DeploymentId
    until: float


@dataclass(frozen=True, slots=True)
class Undoing:
    """The attempt is off; what pre-reboot.d did is being undone before the slot goes back.

    `ticket` is None while the undoing waits for its next try.
    """

    ticket: Ticket | None


Attempt: TypeAlias = (
    Starting
    | PostBoot
    | Idle
    | Waiting
    | Checking
    | Asking
    | Preparing
    | Committing
    | Rebooting
    | Undoing
)


@dataclass(frozen=True, slots=True)
class Ours:
    """Presumed ours; `asking` is the question under way, `cancelled` once we took it back."""

    asking: Ticket | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Owed:
    """To be given back; `releasing` is the request under way, else the next one is at `retry`.

    `repeat`: it was confirmed once, and is sent again for the sake of an unanswered question.
    """

    releasing: Ticket | None
    retry: Retry
    error: str = ""
    repeat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One slot of the ledger. `unanswered`: a question to its server never got its answer.

    `kept`: the update failed here, so the slot stays ours until it is forgiven (SPEC 9).
    """

    slot: Slot
    tenure: Ours | Owed
    unanswered: bool = False
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Setback:
    """Why the last try failed, and when the next is due."""

    blocker: Blocker
    retry: Retry


@dataclass(frozen=True, slots=True)
class Grace:
    """The time that people who are logged in get, once per update (CLOCK_BOOTTIME, s)."""

    target: DeploymentId
    until: float
    warned: frozenset[str]
    reminded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The last good look at each source. `*_unknown` says why the newest look failed, or "".

    `clock_synchronized` is None until timedate1 was asked; once true it stays so in this boot.
    """

    boot: BootId
    os: Deployments | NotOstree | None = None
    os_unknown: str = ""
    logind: Logind | None = None
    logind_unknown: str = ""
    boot_incomplete: str = ""
    boot_times: BootTimes | None = None
    hooks: frozenset[Phase] = frozenset()
    clock_synchronized: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that the next decision depends on, besides the event, the time and the policy.

    `looking` is the newest look under way; `look_next` what changed since it began; `look_again`
    when to try again what could not be read; `unsaved` why Memory is not on disk, or "" when it is;
    `readable` is false when state.json is not ours to overwrite; `passed_checks_at` and
    `queued_since`, when the fleet was first asked for this attempt, are CLOCK_BOOTTIME.
    """

    attempt: Attempt = field(default_factory=Starting)
    ledger: tuple[Entry, ...] = ()
    memory: Memory = field(default_factory=Memory)
    known: Known | None = None
    looking: Ticket | None = None
    look_next: Look = Look.NOWHERE
    look_again: Retry | None = None
    clock_again: float | None = None
    setback: Setback | None = None
    grace: Grace | None = None
    passed_checks_at: float | None = None
    queued_since: float | None = None
    unsaved: str = ""
    save_again: Retry | None = None
    readable: bool = True
    stopping: bool = False
    tickets: int = 0
