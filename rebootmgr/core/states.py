"""Where we are: the attempt, the ledger of slots, what we know and what we remember."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Final, TypeAlias

from rebootmgr.core.backoff import Retry
from rebootmgr.core.facts import BootTimes, Deployments, Logind, Look, NotOstree
from rebootmgr.core.memory import Ask, Memory
from rebootmgr.core.model import (
    Blocker,
    BootId,
    Deployment,
    DeploymentId,
    Moment,
    Phase,
    Slot,
    Ticket,
    UpdateKey,
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
    """An update is pending and something is in the way."""

    target: Deployment


@dataclass(frozen=True, slots=True)
class Queued:
    """Only the lock server is in the way; what it may have lent us is not given back meanwhile."""

    target: Deployment


@dataclass(frozen=True, slots=True)
class Checking:
    """Every cheap gate is clear; checks.d is running. `place` is where the attempt began."""

    place: Waiting | Queued
    ticket: Ticket

    @property
    def target(self) -> Deployment:
        """What the attempt would boot into."""
        return self.place.target


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
    warned get their minute. A look that ends later than `until` is given up, and so is
    a host that changes during each.
    """

    target: Deployment
    until: float
    warned_until: float | None = None


@dataclass(frozen=True, slots=True)
class Rebooting:
    """logind was asked; without a shutdown by `until` (CLOCK_BOOTTIME, s) we start over.

    `until` is None while logind says that it prepares one. `unclear` says what went wrong unless it
    does so in the look that is under way; "" while nothing has.
    """

    target: DeploymentId
    until: float | None
    unclear: str = ""


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
    | Queued
    | Checking
    | Asking
    | Preparing
    | Committing
    | Rebooting
    | Undoing
)


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A request was sent, and its answer is wanted."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Recalled:
    """A request was sent and taken back; only its end is waited for."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Disowned:
    """As `Recalled`, and with its end the debt is forgotten: somebody gave it up."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Ours:
    """Presumed ours; `asking` is the question that has not come to its end.

    `refused`: the last question was cleanly refused, and what may be ours is an older one's.
    """

    asking: UnderWay | Recalled | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Owed:
    """To be given back: `releasing` has not come to its end, or the next request is at `retry`."""

    releasing: UnderWay | Recalled | Disowned | None
    retry: Retry


class Doubt(Enum):
    """Whether a server may yet grant what nobody asks for any more."""

    NONE = auto()
    UNANSWERED = auto()
    """A question to it never got its answer, so a release that it confirms is sent once more."""
    REPEATED = auto()
    """That release was confirmed once, and is sent once more, or about to be."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A release was not confirmed, first at `since`; `answer` came last, at `heard`.

    `heard` is CLOCK_BOOTTIME in seconds, None where that was before the daemon started.
    """

    since: datetime
    answer: str = ""
    heard: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One slot of the ledger.

    `kept`: the update failed here, so the slot stays ours until it is forgiven (SPEC 9). `asked` is
    false where nobody asked for it, and the server is only to confirm that nothing is ours.
    `overdue` until a new grant, or the release that is confirmed. `granted`: the server said 200,
    and has not taken it back; it is shown, and decides nothing. `reports`: the server that said so
    wants to hear what becomes of the reboot.
    """

    slot: Slot
    granted: bool = False
    tenure: Ours | Owed
    doubt: Doubt = Doubt.NONE
    kept: bool = False
    asked: bool = True
    overdue: Overdue | None = None
    reports: bool = False


class Cause(Enum):
    """What a try failed at. Each has a back-off of its own: none is paid for another's failure."""

    POST_BOOT = auto()
    CHECKS = auto()
    LOCK = auto()
    PREPARATION = auto()
    LAST_LOOK = auto()
    CALL = auto()
    UNDOING = auto()


ATTEMPT: Final = (Cause.CHECKS, Cause.LOCK, Cause.PREPARATION, Cause.LAST_LOOK, Cause.CALL)
"""What keeps an attempt from beginning."""


@dataclass(frozen=True, slots=True)
class Setback:
    """Why the last try failed, when (`heard`, CLOCK_BOOTTIME, s), and when the next is due.

    `hook` is the program of checks.d that failed, if one did.
    """

    cause: Cause
    blocker: Blocker
    retry: Retry
    heard: float = 0.0
    hook: str = ""


@dataclass(frozen=True, slots=True)
class Grace:
    """The time that people who are logged in get, once per update (CLOCK_BOOTTIME, s).

    `reminded`: nobody is to be told of its last minute any more.
    """

    key: UpdateKey
    until: float
    reminded: bool


@dataclass(frozen=True, slots=True)
class Promise:
    """The last warning that a session got: when, and until when it has time (CLOCK_BOOTTIME, s)."""

    session: str
    at: float
    until: float


@dataclass(frozen=True, slots=True)
class Told:
    """A session was told of the deadline at `due` (CLOCK_BOOTTIME, s), by that `span` ahead (s)."""

    session: str
    due: float
    span: float


NOBODY_LOOKED: Final = BootId("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The last good look at each source. `*_unknown` says why the newest look failed, or "".

    `boot` is NOBODY_LOOKED until somebody has. `os_unknown_since` and `working_since` (the same
    work on the deployments) are CLOCK_BOOTTIME. `clock_synchronized` is None until timedate1 was
    asked; once true it stays so in this boot. `booted_at` is when this boot began, by the clock at
    that instant; it is None until then, and whatever the clock is set to later does not move it.
    """

    boot: BootId = NOBODY_LOOKED
    os: Deployments | NotOstree | None = None
    os_unknown: str = ""
    os_cure: str = ""
    os_unknown_since: float | None = None
    working_since: float | None = None
    logind: Logind | None = None
    logind_unknown: str = ""
    boot_incomplete: str = ""
    boot_times: BootTimes | None = None
    not_finalized: str = ""
    hooks: frozenset[Phase] = frozenset()
    clock_synchronized: bool | None = None
    booted_at: datetime | None = None

    @property
    def is_nothing(self) -> bool:
        """Whether nobody has looked at the host yet."""
        return self.boot == NOBODY_LOOKED

    @property
    def is_hushed(self) -> bool:
        """Whether nothing may go to a lock server: another agent may hold a slot under our id."""
        return isinstance(self.os, Deployments) and self.os.registered

    @property
    def pending(self) -> Deployment | None:
        """The update that a reboot would boot into (SPEC 4), by the last good look."""
        match self.os:
            case Deployments(staged=True) as os if os.default.id != os.booted.id:
                return os.default
            case _:
                return None

    @property
    def is_sysroot_locked(self) -> bool:
        """Whether the sysroot was locked at the last good look."""
        return isinstance(self.os, Deployments) and self.os.sysroot is not None


@dataclass(frozen=True, slots=True)
class Looking:
    """A look under way, and what it covers."""

    ticket: Ticket
    look: Look


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything that the next decision depends on, besides the event, the time and the policy.

    `looking` is the newest look under way; `look_next` what changed since it began; `look_again`
    when to try again what could not be read; `ask_again` when (CLOCK_BOOTTIME, s) to ask again for
    what nobody tells; `unsaved` why Memory is not on disk, or "" when it is;
    `readable` is false when state.json is not ours to overwrite; `setbacks` has one for each cause
    at most; `graces` are those of the last updates, `promises` and `told` of who is logged in;
    `passed_checks_at` and `queued_since`, when the fleet was first asked for this attempt,
    are CLOCK_BOOTTIME.
    """

    attempt: Attempt = field(default_factory=Starting)
    ledger: tuple[Entry, ...] = ()
    memory: Memory = field(default_factory=Memory)
    known: Known = field(default_factory=Known)
    looking: Looking | None = None
    look_next: Look = Look.NOWHERE
    look_again: Retry | None = None
    ask_again: float | None = None
    setbacks: tuple[Setback, ...] = ()
    graces: tuple[Grace, ...] = ()
    promises: tuple[Promise, ...] = ()
    told: tuple[Told, ...] = ()
    passed_checks_at: float | None = None
    queued_since: float | None = None
    unsaved: str = ""
    save_again: Retry | None = None
    readable: bool = True
    stopping: bool = False
    tickets: int = 0

    @property
    def target(self) -> Deployment | None:
        """What a reboot would boot into."""
        return self.known.pending

    def grace_of(self, target: Deployment) -> Grace | None:
        """The grace of this update, once it has begun; it may be over."""
        return next((one for one in self.graces if one.key == target.key), None)

    def promise_to(self, session: str) -> Promise | None:
        """What the last warning promised this session."""
        return next((one for one in self.promises if one.session == session), None)

    def setback(self, cause: Cause) -> Setback | None:
        """What the last try at `cause` failed of; None if it did not."""
        return next((one for one in self.setbacks if one.cause is cause), None)

    def due_at(self, *causes: Cause) -> float:
        """When the next try is due (CLOCK_BOOTTIME, s), as far as these causes go."""
        return max((one.retry.at for one in self.setbacks if one.cause in causes), default=0.0)

    def request(self, at: Moment) -> Ask | None:
        """Somebody's request for a reboot, if it still holds for what is pending."""
        ask, target = self.memory.ask, self.target
        if ask is None or target is None:
            return None
        fits = ask.key == target.key and ask.boot == self.known.boot and at.mono < ask.ends
        return ask if fits else None

    def skips_gates(self, at: Moment) -> bool:
        """Whether somebody asked for the reboot with `--now` (SPEC 11)."""
        ask = self.request(at)
        return ask is not None and ask.now
