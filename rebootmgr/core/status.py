"""The one value behind everything that is shown: status, why, metrics, STATUS=, journal."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from rebootmgr.core.facts import Change
from rebootmgr.core.memory import Hold, PastReboot, Quarantine
from rebootmgr.core.model import Choice, Deployment, Notice, Outcome, Reason, Slot
from rebootmgr.core.window import Opening


class StateName(StrEnum):
    """The words for where the attempt is (SPEC 7)."""

    STARTING = "starting"
    POST_BOOT = "post_boot"
    IDLE = "idle"
    WAITING = "waiting"
    CHECKING = "checking"
    ASKING = "asking"
    PREPARING = "preparing"
    COMMITTING = "committing"
    UNDOING = "undoing"
    REBOOTING = "rebooting"


class Verdict(StrEnum):
    """`reboot` only while the reboot is being or has been called (SPEC 11)."""

    REBOOT = "reboot"
    WAIT = "wait"
    IDLE = "idle"


NOW_SKIPS: Final = ("windows", "splay", "fit", "clock", "sessions")
"""What `reboot --now` waits for no longer (SPEC 11)."""


class GateState(StrEnum):
    """What is known of one gate."""

    CLEAR = "clear"
    BLOCKING = "blocking"
    NOT_EVALUATED = "not_evaluated"


@dataclass(frozen=True, slots=True)
class ShownBlocker:
    """A blocker, and since when it has been one; `heard` is when the answer came that it tells."""

    reason: Reason
    detail: str
    since: datetime
    until: datetime | None
    heard: datetime | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate in reading order; `name` is the reason it would block with."""

    name: Reason
    state: GateState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PresumedSlot:
    """A slot that is presumed ours and not wanted any more, or `kept` on purpose.

    `error` is the last answer to a release, heard at `heard`; `since` when the first one was not
    confirmed, `again` when the next one is sent, as far as all that is known.
    """

    slot: Slot
    kept: bool
    error: str = ""
    since: datetime | None = None
    heard: datetime | None = None
    again: datetime | None = None


@dataclass(frozen=True, slots=True)
class ShownRequest:
    """Somebody's request for a reboot: whose, whether `--now`, until when, and what it skips."""

    owner: str
    now: bool
    until: datetime
    skips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownDeadline:
    """A step (SPEC 5a), from 1: from `at` on `waives` count no more; None: no clock can tell."""

    step: int
    at: datetime | None
    waives: tuple[str, ...]
    is_due: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where we are and why, at one instant (`at`). All instants are aware and in UTC.

    `identity` is who this host is to a lock server, its server "" where none is asked. `pending` is
    what a reboot would boot into, `pending_since` that one update, `behind_since` the
    first of those that this host has not booted; `predicted` the earliest instant at which the
    known gates allow it, None where it cannot be known; `lock_held`: a slot was granted and is not
    given back; `lock_presumed`: one was asked for, and no clean answer came; `slot_claimed`: this
    attempt asks for one, or has it; `deadlines` are empty without any, and while nothing is
    pending, `waived` what counts no more because of them.
    """

    at: datetime
    state: StateName
    verdict: Verdict
    strategies: tuple[str, ...]
    identity: Slot | None = None
    source: Choice | None = None
    booted: Deployment | None = None
    pending: Deployment | None = None
    change: Change | None = None
    pending_since: datetime | None = None
    behind_since: datetime | None = None
    request: ShownRequest | None = None
    deadlines: tuple[ShownDeadline, ...] = ()
    waived: tuple[str, ...] = ()
    blockers: tuple[ShownBlocker, ...] = ()
    gates: tuple[Gate, ...] = ()
    notices: tuple[Notice, ...] = ()
    predicted: datetime | None = None
    window: Opening | None = None
    next_window: Opening | None = None
    lock_held: bool = False
    lock_presumed: bool = False
    slot_claimed: bool = False
    owed: tuple[PresumedSlot, ...] = ()
    holds: tuple[Hold, ...] = ()
    quarantine: tuple[Quarantine, ...] = ()
    history: tuple[PastReboot, ...] = ()
    outcomes: tuple[tuple[Outcome, int], ...] = ()
    reboots_total: int = 0
    users: int = 0
    dry_run: bool = False
    config_valid: bool = True
    config_problems: tuple[str, ...] = ()
    sentence: str = field(default="")
