"""What people should know although it stops nothing (SPEC 7)."""

from rebootmgr.core.facts import Deployments
from rebootmgr.core.gates import is_clock_assumed, needs_clock, pending, view_of
from rebootmgr.core.model import Moment, Notice, NoticeKind
from rebootmgr.core.policy import Policy
from rebootmgr.core.state import Ours, State


def notices(state: State, policy: Policy, at: Moment) -> tuple[Notice, ...]:
    """What is so at this instant, in reading order."""
    found = []
    for entry in state.ledger:
        if entry.kept:
            detail = f"{entry.slot.server} (group {entry.slot.group}), until rebootmgrctl forgive"
            found.append(Notice(NoticeKind.SLOT_KEPT, detail))
        elif not isinstance(entry.tenure, Ours) and entry.tenure.error:
            detail = f"{entry.slot.server}: {entry.tenure.error}"
            found.append(Notice(NoticeKind.SLOT_NOT_RELEASED, detail))
    if state.known and needs_clock(state, policy, at) and is_clock_assumed(state, at):
        found.append(Notice(NoticeKind.CLOCK_ASSUMED, "not synchronized for an hour since boot"))
    view = view_of(state, policy, at)
    if view.waived and pending(state.known) is not None:
        detail = "no opening of the next 400 days is as long as a reboot takes here"
        found.append(Notice(NoticeKind.FIT_WAIVED, detail))
    match state.known and state.known.os:
        case Deployments(staged=False) as os if os.default.id != os.booted.id:
            detail = f"{os.default.version} boots next, but it is not staged: left alone"
            found.append(Notice(NoticeKind.NOT_STAGED, detail))
        case _:
            pass
    return tuple(found)
