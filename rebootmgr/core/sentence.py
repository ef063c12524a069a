"""One sentence for people: STATUS= of sd_notify, the log, the first line of `status`.

Instants are absolute, because the sentence is only said again when something changes.
"""

from datetime import UTC, datetime, tzinfo
from typing import Final

from rebootmgr.core.model import Reason
from rebootmgr.core.status import ShownBlocker, StateName, Status, Verdict
from rebootmgr.text import harmless

LONGEST: Final = 199
LONGEST_VERSION: Final = 60


def sentence(status: Status, zone: tzinfo = UTC) -> str:
    """Say where we are in one line of less than 200 characters without control characters."""
    if status.verdict is Verdict.REBOOT:
        return f"Rebooting into {_version(status)}." if status.pending else "Rebooting."
    shown = status.blockers
    if status.pending is not None:
        head = f"Update {_version(status)} is staged; "
    elif status.state is StateName.STARTING and status.booted is None:
        shown = tuple(one for one in shown if one.reason is not Reason.STARTING)
        if not shown:
            return "Starting: looking at the host for the first time."
        head = "Starting; "
    else:
        head = "Nothing pending; "
    if status.state is StateName.COMMITTING and _is_looking(shown):
        return _joined(head, doing(status.state), ".")
    if not shown:
        if status.pending is None and status.state is StateName.IDLE:
            return "Idle: nothing pending."
        return _joined(head, doing(status.state), ".")
    more = f" (and {len(shown) - 1} more)." if len(shown) > 1 else "."
    clause, when = _clause(shown[0], zone)
    return _joined(head, clause, f"{when}{more}")


def _is_looking(shown: tuple[ShownBlocker, ...]) -> bool:
    """Whether all that is in the way is the last look itself; people may be, too."""
    return [one.reason for one in shown] == [Reason.STATE_UNKNOWN]


def doing(state: StateName) -> str:
    """Say what goes on in this state."""
    match state:
        case StateName.STARTING:
            return "starting"
        case StateName.POST_BOOT:
            return "judging this boot"
        case StateName.IDLE:
            return "idle"
        case StateName.WAITING:
            return "waiting"
        case StateName.CHECKING:
            return "running checks"
        case StateName.ASKING:
            return "asking the lock server"
        case StateName.PREPARING:
            return "running pre-reboot hooks"
        case StateName.COMMITTING:
            return "looking at every gate for the last time"
        case StateName.UNDOING:
            return "undoing what pre-reboot hooks did"
        case StateName.REBOOTING:
            return "rebooting"


def headline(reason: Reason) -> str:
    """Say what a reason means, in a few words."""
    match reason:
        case Reason.STARTING:
            return "starting"
        case Reason.CONFIG_INVALID:
            return "the configuration is invalid"
        case Reason.STATE_UNREADABLE:
            return "state.json cannot be used"
        case Reason.DISABLED:
            return "rebooting is switched off"
        case Reason.NOT_OSTREE:
            return "not booted from ostree"
        case Reason.BOOT_NOT_COMPLETE:
            return "this boot is not complete"
        case Reason.DRIVER_CONFLICT:
            return "another agent reboots this host"
        case Reason.STATE_UNKNOWN:
            return "rpm-ostree's state is unknown"
        case Reason.TRANSACTION_ACTIVE:
            return "rpm-ostree transaction in progress"
        case Reason.UNLOCKED:
            return "the booted deployment is unlocked"
        case Reason.FINALIZATION_LOCKED:
            return "finalization is locked"
        case Reason.QUARANTINED:
            return "this update is quarantined"
        case Reason.REBOOT_BUDGET:
            return "too many reboots lately"
        case Reason.HELD:
            return "held"
        case Reason.BLACKOUT:
            return "change freeze"
        case Reason.OUTSIDE_WINDOW:
            return "waiting for a maintenance window"
        case Reason.WINDOW_TOO_SHORT:
            return "too little is left of this maintenance window"
        case Reason.CLOCK_UNSYNCHRONIZED:
            return "the clock is not synchronized"
        case Reason.LOGIND_UNREACHABLE:
            return "logind cannot be asked"
        case Reason.SHUTDOWN_SCHEDULED:
            return "somebody else scheduled a shutdown"
        case Reason.INHIBITED:
            return "inhibited"
        case Reason.USERS_LOGGED_IN:
            return "logged in"
        case Reason.CHECK_FAILED:
            return "a check says no"
        case Reason.HOOK_RUNNING:
            return "hooks are running"
        case Reason.HOOK_FAILED:
            return "a hook failed"
        case Reason.LOCK_PENDING:
            return "asking the lock server"
        case Reason.LOCK_DRAINING:
            return "the lock server drains this host"
        case Reason.LOCK_REFUSED:
            return "the lock server refused"
        case Reason.LOCK_UNREACHABLE:
            return "the lock server cannot be reached"
        case Reason.DRY_RUN:
            return "dry run"
        case Reason.REBOOTING:
            return "rebooting"


def until(reason: Reason) -> str:
    """Say what `until` means for a reason: most gates open then, some are only tried again."""
    match reason:
        case Reason.OUTSIDE_WINDOW | Reason.WINDOW_TOO_SHORT:
            return "next opening"
        case Reason.USERS_LOGGED_IN:
            return "grace ends"
        case Reason.REBOOTING:
            return "gives up"
        case (
            Reason.CHECK_FAILED
            | Reason.HOOK_FAILED
            | Reason.LOCK_PENDING
            | Reason.LOCK_DRAINING
            | Reason.LOCK_REFUSED
            | Reason.LOCK_UNREACHABLE
        ):
            return "next try"
        case (
            Reason.STARTING
            | Reason.CONFIG_INVALID
            | Reason.STATE_UNREADABLE
            | Reason.DISABLED
            | Reason.NOT_OSTREE
            | Reason.BOOT_NOT_COMPLETE
            | Reason.DRIVER_CONFLICT
            | Reason.STATE_UNKNOWN
            | Reason.TRANSACTION_ACTIVE
            | Reason.UNLOCKED
            | Reason.FINALIZATION_LOCKED
            | Reason.QUARANTINED
            | Reason.REBOOT_BUDGET
            | Reason.HELD
            | Reason.BLACKOUT
            | Reason.CLOCK_UNSYNCHRONIZED
            | Reason.LOGIND_UNREACHABLE
            | Reason.SHUTDOWN_SCHEDULED
            | Reason.INHIBITED
            | Reason.HOOK_RUNNING
            | Reason.DRY_RUN
        ):
            return "until"


def explain(reason: Reason, detail: str) -> str:
    """Say what a reason means here; a detail that says it all stands alone."""
    what = headline(reason)
    if not detail:
        return what
    return detail if detail.startswith(what) else f"{what}: {detail}"


def say_instant(at: datetime, zone: tzinfo) -> str:
    """Say when, so that it stays true however long it is read later."""
    return f"{at.astimezone(zone):%a %Y-%m-%d %H:%M %Z}"


def _clause(blocker: ShownBlocker, zone: tzinfo) -> tuple[str, str]:
    """Give what is the matter, which may be cut, and until when, which may not."""
    if blocker.until is None:
        return explain(blocker.reason, blocker.detail), ""
    when = say_instant(blocker.until, zone)
    if blocker.reason is Reason.OUTSIDE_WINDOW:  # its detail says the same
        return "waiting for the maintenance window that opens", f" {when}"
    return explain(blocker.reason, blocker.detail), f", {until(blocker.reason)} {when}"


def _version(status: Status) -> str:
    pending = status.pending
    return harmless((pending.version or pending.id) if pending else "", longest=LONGEST_VERSION)


def _joined(head: str, clause: str, tail: str) -> str:
    """Cut the middle, so that the update, the time and the count of reasons stay readable."""
    middle = harmless(clause, longest=LONGEST - len(head) - len(tail))
    return f"{head}{middle.rstrip('.')}{tail}"
