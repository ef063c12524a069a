"""From the machine's state to what people, metrics and the journal are told (SPEC 7, 11)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from rebootmgr.core.facts import Deployments
from rebootmgr.core.gates import (
    describe_session,
    is_clock_assumed,
    local_blockers,
    needs_clock,
    pending,
    view_of,
)
from rebootmgr.core.memory import Hold
from rebootmgr.core.model import Blocker, Moment, Notice, NoticeKind, Phase, Reason
from rebootmgr.core.policy import Policy, Strategy
from rebootmgr.core.sentence import sentence
from rebootmgr.core.states import (
    Asking,
    Checking,
    Committing,
    Entry,
    Idle,
    Ours,
    PostBoot,
    Preparing,
    Rebooting,
    Setback,
    Starting,
    State,
    Undoing,
    Waiting,
)
from rebootmgr.core.status import (
    Gate,
    GateState,
    Owed,
    ShownBlocker,
    StateName,
    Status,
    Verdict,
)

LAST_GATES: Final = (
    Reason.CHECK_FAILED,
    Reason.HOOK_RUNNING,
    Reason.HOOK_FAILED,
    Reason.LOCK_PENDING,
    Reason.LOCK_DRAINING,
    Reason.LOCK_REFUSED,
    Reason.LOCK_UNREACHABLE,
)
ALWAYS_MATTER: Final = frozenset(
    {
        Reason.STARTING,
        Reason.CONFIG_INVALID,
        Reason.STATE_UNREADABLE,
        Reason.DISABLED,
        Reason.NOT_OSTREE,
        Reason.BOOT_NOT_COMPLETE,
        Reason.DRIVER_CONFLICT,
        Reason.STATE_UNKNOWN,
    }
)
"""What people should hear of even while nothing is pending."""
LOGIND_GATES: Final = (
    Reason.LOGIND_UNREACHABLE,
    Reason.SHUTDOWN_SCHEDULED,
    Reason.INHIBITED,
    Reason.USERS_LOGGED_IN,
)


def blockers(state: State, policy: Policy, at: Moment) -> tuple[Blocker, ...]:
    """Everything in the way of the reboot, in reading order; () only when nothing is pending."""
    local = local_blockers(state, policy, at)
    if pending(state.known) is None:  # a closed window is no news while nothing waits for it
        local = tuple(one for one in local if one.reason in ALWAYS_MATTER)
    match state.attempt:
        case Rebooting(until=until):
            return (_rebooting(state, at.wall + timedelta(seconds=until - at.mono)),)
        case Starting():
            return local or (Blocker(Reason.STARTING, "looking at the host"),)
        case PostBoot(None) | Undoing(None) if state.setback is not None:
            return (*local, *_setback(state, at))
        case PostBoot(None):
            return local or (Blocker(Reason.BOOT_NOT_COMPLETE, "judging this boot"),)
        case PostBoot():
            return (Blocker(Reason.HOOK_RUNNING, "post-boot.d"), *local)
        case Idle():
            return local
        case Waiting() if local and _is_over(state.setback, at):
            return local
        case Waiting():
            return (*local, *_setback(state, at))
        case Checking():
            return (*local, Blocker(Reason.HOOK_RUNNING, "checks.d"))
        case Asking():
            return (*local, _lock(state, policy))
        case Preparing(phase=phase):
            return (*local, Blocker(Reason.HOOK_RUNNING, f"{phase} hooks"))
        case Committing(warned_until=float(mono)):
            wall = at.wall + timedelta(seconds=mono - at.mono)
            return (*local, Blocker(Reason.USERS_LOGGED_IN, _last_minute(state), wall))
        case Committing():
            return (*local, Blocker(Reason.STATE_UNKNOWN, "every gate is being read once more"))
        case Undoing():
            undoing = Blocker(Reason.HOOK_RUNNING, "undoing what pre-reboot.d did")
            return (*local, undoing, *_setback(state, at))


def _last_minute(state: State) -> str:
    """Say for whom the reboot waits, at the longest."""
    logind = state.known.logind if state.known is not None else None
    sessions = () if logind is None else map(describe_session, logind.sessions)
    return f"one last minute for who was not warned before: {'; '.join(sessions)}"


def _rebooting(state: State, until: datetime) -> Blocker:
    """Stand alone, because nothing else is in the way any more."""
    intent = state.memory.intent
    is_seen = intent is not None and intent.shutdown_seen
    detail = "the host goes down" if is_seen else "logind was asked to reboot"
    return Blocker(Reason.REBOOTING, detail, until)


def _setback(state: State, at: Moment) -> tuple[Blocker, ...]:
    setback = state.setback
    if setback is None:
        return ()
    again = at.wall + timedelta(seconds=max(0.0, setback.retry.at - at.mono))
    return (replace(setback.blocker, until=again),)


def _is_over(setback: Setback | None, at: Moment) -> bool:
    """Whether the next try is due, so that the last one is in nobody's way."""
    return setback is not None and setback.retry.is_due(at.mono)


def _lock(state: State, policy: Policy) -> Blocker:
    """While asking again, the last refusal stays."""
    if state.setback is not None and state.setback.blocker.reason in LAST_GATES:
        return state.setback.blocker
    server = policy.slot.server if policy.slot is not None else ""
    return Blocker(Reason.LOCK_PENDING, server)


def describe(
    state: State,
    policy: Policy,
    at: Moment,
    *,
    since: Mapping[Reason, datetime],
    pending_since: datetime | None,
    problems: tuple[str, ...] = (),
) -> Status:
    """Say where we are; `since` when each reason first blocked, where that is known."""
    target, known, memory = pending(state.known), state.known, state.memory
    found = blockers(state, policy, at)
    view = view_of(state, policy, at)
    os = known.os if known is not None and isinstance(known.os, Deployments) else None
    status = Status(
        at=at.wall,
        state=name_of(state),
        verdict=_verdict(state),
        strategies=tuple(one.value for one in Strategy if one in policy.strategies),
        booted=None if os is None else os.booted,
        pending=target,
        pending_since=pending_since if target is not None else None,
        blockers=tuple(
            ShownBlocker(one.reason, one.detail, since.get(one.reason, at.wall), one.until)
            for one in found
        ),
        gates=_gates(state, policy, at, found),
        notices=notices(state, policy, at),
        predicted=_predicted(state, policy, at, found),
        window=view.opening,
        next_window=view.next,
        lock_held=any(isinstance(entry.tenure, Ours) for entry in state.ledger),
        owed=_owed(state.ledger),
        holds=_active(memory.holds, at),
        quarantine=memory.quarantine,
        history=memory.reboots,
        outcomes=memory.outcomes,
        reboots_total=memory.reboots_total,
        users=len(known.logind.sessions) if known is not None and known.logind is not None else 0,
        config_valid=not policy.invalid,
        config_problems=problems,
    )
    return replace(status, sentence=sentence(status))


def name_of(state: State) -> StateName:
    """The word for where the attempt is."""
    match state.attempt:
        case Starting():
            return StateName.STARTING
        case PostBoot():
            return StateName.POST_BOOT
        case Idle():
            return StateName.IDLE
        case Waiting():
            return StateName.WAITING
        case Checking():
            return StateName.CHECKING
        case Asking():
            return StateName.ASKING
        case Preparing():
            return StateName.PREPARING
        case Committing():
            return StateName.COMMITTING
        case Rebooting():
            return StateName.REBOOTING
        case Undoing():
            return StateName.UNDOING


def _verdict(state: State) -> Verdict:
    if isinstance(state.attempt, Rebooting):
        return Verdict.REBOOT
    return Verdict.IDLE if pending(state.known) is None else Verdict.WAIT


def _gates(
    state: State, policy: Policy, at: Moment, found: tuple[Blocker, ...]
) -> tuple[Gate, ...]:
    shown = found if pending(state.known) is not None else local_blockers(state, policy, at)
    details = {blocker.reason: blocker.detail for blocker in reversed((*found, *shown))}

    def gate(reason: Reason) -> Gate:
        if reason in details:
            return Gate(reason, GateState.BLOCKING, details[reason])
        return Gate(reason, GateState.CLEAR if is_read(reason) else GateState.NOT_EVALUATED)

    def is_read(reason: Reason) -> bool:
        known = state.known
        if known is None:
            return reason in {Reason.CONFIG_INVALID, Reason.STATE_UNREADABLE, Reason.DISABLED}
        if reason is Reason.CLOCK_UNSYNCHRONIZED:
            return not needs_clock(state, policy, at) or known.clock_synchronized is not None
        if reason in LOGIND_GATES:
            return pending(known) is not None and Reason.LOGIND_UNREACHABLE not in details
        if reason in LAST_GATES:
            has_hooks = bool(known.hooks & {Phase.CHECK, Phase.PRE_REBOOT})
            asked = policy.slot is not None if reason.value.startswith("lock_") else has_hooks
            return not asked or isinstance(state.attempt, Rebooting | Committing)
        return reason is not Reason.DRY_RUN or not policy.dry_run

    return tuple(gate(reason) for reason in Reason if reason is not Reason.REBOOTING)


def _predicted(
    state: State, policy: Policy, at: Moment, found: tuple[Blocker, ...]
) -> datetime | None:
    """The earliest instant at which the known gates allow it; None where nobody can know."""
    if pending(state.known) is None:
        return None
    earliest = at.wall
    if isinstance(state.attempt, Rebooting):
        return earliest
    for blocker in found:
        if blocker.until is None:
            return at.wall if blocker.reason in {Reason.LOCK_PENDING, Reason.HOOK_RUNNING} else None
        earliest = max(earliest, blocker.until)
    view = view_of(state, policy, Moment(wall=earliest, mono=at.mono))
    if view.opening is not None:
        return earliest
    return None if view.next is None else view.next.start


def _owed(ledger: tuple[Entry, ...]) -> tuple[Owed, ...]:
    return tuple(
        Owed(each.slot, each.kept, "" if isinstance(each.tenure, Ours) else each.tenure.error)
        for each in ledger
        if each.kept or not isinstance(each.tenure, Ours)
    )


def _active(holds: tuple[Hold, ...], at: Moment) -> tuple[Hold, ...]:
    return tuple(hold for hold in holds if hold.until is None or hold.until > at.wall)


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
