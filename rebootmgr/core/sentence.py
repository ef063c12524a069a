"""One sentence for people: STATUS= of sd_notify, the log, the first line of `status`.

Instants are absolute, because the sentence is only said again when something changes.
"""

from datetime import UTC, datetime, tzinfo
from typing import Final

from rebootmgr.core.model import Reason
from rebootmgr.core.reasons import explain, until
from rebootmgr.core.status import ShownBlocker, StateName, Status, Verdict
from rebootmgr.text import harmless

LONGEST: Final = 199
LONGEST_VERSION: Final = 60
DRY: Final = "Dry run: "


def sentence(status: Status, zone: tzinfo = UTC) -> str:
    """Say where we are in one line of less than 200 characters without control characters."""
    dry = DRY if status.dry_run else ""
    if status.verdict is Verdict.REBOOT:
        return f"Rebooting into {_version(status)}." if status.pending else "Rebooting."
    shown = status.blockers
    if status.pending is not None:
        head = f"{dry}Update {_version(status)} is staged; "
    elif status.state is StateName.STARTING and status.booted is None:
        shown = tuple(one for one in shown if one.reason is not Reason.STARTING)
        if not shown:
            return f"{dry}Starting: looking at the host for the first time."
        head = f"{dry}Starting; "
    elif status.verdict is Verdict.WAIT:
        head = f"{dry}Cannot tell whether an update is pending; "
    else:
        head = f"{dry}Nothing pending; "
    if status.state is StateName.COMMITTING and _is_looking(shown):
        return _joined(head, doing(status.state), ".")
    if not shown:
        if status.pending is None and status.state is StateName.IDLE:
            return f"{dry}Idle: nothing pending."
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


def say_instant(at: datetime, zone: tzinfo) -> str:
    """Say when, so that it stays true however long it is read later."""
    return f"{at.astimezone(zone):%a %Y-%m-%d %H:%M %Z}"


def _clause(blocker: ShownBlocker, zone: tzinfo) -> tuple[str, str]:
    """Give what is the matter, which may be cut, and until when, which may not."""
    if blocker.until is None:
        return explain(blocker.reason, blocker.detail), ""
    when = say_instant(blocker.until, zone)
    if (
        blocker.reason is Reason.OUTSIDE_WINDOW and "by deadline" not in blocker.detail
    ):  # its detail says the same
        return "waiting for the maintenance window that opens", f" {when}"
    return explain(blocker.reason, blocker.detail), f", {until(blocker.reason)} {when}"


def _version(status: Status) -> str:
    pending = status.pending
    return harmless((pending.version or pending.id) if pending else "", longest=LONGEST_VERSION)


def _joined(head: str, clause: str, tail: str) -> str:
    """Cut the middle, so that the update, the time and the count of reasons stay readable."""
    middle = harmless(clause, longest=LONGEST - len(head) - len(tail))
    return f"{head}{middle.rstrip('.')}{tail}"
