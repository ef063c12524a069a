"""From the machine's state to what people, metrics and the journal are told (SPEC 7, 11)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from rebootmgr.core import backlog, deadlines, slots
from rebootmgr.core.clock import end_of, is_assumed, is_in_force, needs_clock, say_end
from rebootmgr.core.facts import Deployments
from rebootmgr.core.forecast import predict
from rebootmgr.core.gates import local_blockers, view_of
from rebootmgr.core.memory import Hold
from rebootmgr.core.model import Blocker, Choice, Moment, Notice, NoticeKind, Phase, Reason
from rebootmgr.core.people import describe_session, sessions_of
from rebootmgr.core.policy import Policy, Strategy, Waivable
from rebootmgr.core.reasons import WORDS, Asked
from rebootmgr.core.sentence import sentence
from rebootmgr.core.states import (
    ATTEMPT,
    Asking,
    Cause,
    Checking,
    Committing,
    Entry,
    Idle,
    Ours,
    Owed,
    PostBoot,
    Preparing,
    Queued,
    Rebooting,
    Starting,
    State,
    Undoing,
    Waiting,
)
from rebootmgr.core.status import (
    NOW_SKIPS,
    Gate,
    GateState,
    PresumedSlot,
    ShownBlocker,
    ShownDeadline,
    ShownRequest,
    StateName,
    Status,
    Verdict,
)

WAIVED_GATES: Final[Mapping[Waivable, tuple[Reason, ...]]] = {
    Waivable.SESSIONS: (Reason.USERS_LOGGED_IN,),
    Waivable.SPLAY: (),
    Waivable.FIT: (Reason.WINDOW_TOO_SHORT,),
    Waivable.WINDOWS: (Reason.OUTSIDE_WINDOW,),
}


def blockers(state: State, policy: Policy, at: Moment) -> tuple[Blocker, ...]:
    """Everything in the way of the reboot, in reading order; () only when nothing is pending."""
    local = local_blockers(state, policy, at)
    if state.target is None:  # a closed window is no news while nothing waits for it
        local = tuple(one for one in local if WORDS[one.reason].matters_while_idle)
    match state.attempt:
        case Rebooting(until=until):
            left = None if until is None else timedelta(seconds=until - at.mono)
            return (_rebooting(state, None if left is None else at.wall + left),)
        case Starting():
            return local or (Blocker(Reason.STARTING, "looking at the host"),)
        case PostBoot(None) if setbacks := _setbacks(state, at, Cause.POST_BOOT):
            return (*local, *setbacks)
        case Undoing(None) if setbacks := _setbacks(state, at, *Cause):
            return (*local, *setbacks)
        case PostBoot(None):
            return local or (Blocker(Reason.BOOT_NOT_COMPLETE, "judging this boot"),)
        case PostBoot():
            return (Blocker(Reason.HOOK_RUNNING, "post-boot.d"), *local)
        case Idle():
            return local
        case Waiting() | Queued():
            setbacks = _setbacks(state, at, *ATTEMPT)
            ahead = tuple(one for one in setbacks if one.until is not None and one.until > at.wall)
            return (*local, *ahead) or setbacks
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
            return (*local, undoing, *_setbacks(state, at, *Cause))


def _heard(state: State, blocker: Blocker, at: Moment) -> datetime | None:
    """When the lock server said what this blocker tells; None if that is of another origin."""
    answer = state.setback(Cause.LOCK)
    if answer is None or blocker.reason is not answer.blocker.reason:
        return None
    return at.wall + timedelta(seconds=answer.heard - at.mono)


def _last_minute(state: State) -> str:
    """Say for whom the reboot waits, at the longest."""
    sessions = map(describe_session, sessions_of(state))
    return f"one last minute for who was not warned before: {'; '.join(sessions)}"


def _rebooting(state: State, until: datetime | None) -> Blocker:
    """Stand alone, because nothing else is in the way any more."""
    intent = state.memory.intent
    is_seen = intent is not None and intent.shutdown_seen
    detail = "the host goes down" if is_seen else "logind was asked to reboot"
    return Blocker(Reason.REBOOTING, detail, until)


def _setbacks(state: State, at: Moment, *causes: Cause) -> tuple[Blocker, ...]:
    """What the last tries failed of, until the next; in reading order."""
    failed = [one for one in state.setbacks if one.cause in causes]
    order = list(Reason)
    return tuple(
        replace(one.blocker, until=at.wall + timedelta(seconds=max(0.0, one.retry.at - at.mono)))
        for one in sorted(failed, key=lambda one: order.index(one.blocker.reason))
    )


def _lock(state: State, policy: Policy) -> Blocker:
    """While asking again, the last refusal stays."""
    refused = state.setback(Cause.LOCK)
    if refused is not None:
        return refused.blocker
    server = policy.slot.server if policy.slot is not None else ""
    return Blocker(Reason.LOCK_PENDING, server)


def describe(
    state: State,
    policy: Policy,
    at: Moment,
    *,
    since: Mapping[Reason, datetime],
    problems: tuple[str, ...] = (),
    source: Choice | None = None,
) -> Status:
    """Say where we are; `since` when each reason first blocked, where that is known."""
    target, known, memory = state.target, state.known, state.memory
    found = blockers(state, policy, at)
    view = view_of(state, policy, at)
    os = known.os if isinstance(known.os, Deployments) else None
    status = Status(
        at=at.wall,
        state=name_of(state),
        verdict=_verdict(state),
        strategies=_strategies(policy),
        identity=policy.identity,
        source=source,
        booted=None if os is None else os.booted,
        pending=target,
        change=os.change if os is not None and target is not None else None,
        pending_since=backlog.pending_since(memory.backlog, target),
        behind_since=backlog.behind_since(memory.backlog, at.wall),
        request=_request(state, at),
        deadlines=_deadlines(state, policy, at),
        waived=tuple(sorted(deadlines.waived_names(state, policy, at))),
        blockers=tuple(
            ShownBlocker(
                *(one.reason, one.detail, since.get(one.reason, at.wall), one.until),
                heard=_heard(state, one, at),
            )
            for one in found
        ),
        gates=_gates(state, policy, at, found),
        notices=notices(state, policy, at),
        predicted=predict(state, policy, at),
        window=view.opening,
        next_window=view.next,
        lock_held=any(entry.granted for entry in state.ledger),
        lock_presumed=any(entry.asked and not entry.granted for entry in state.ledger),
        slot_claimed=any(isinstance(entry.tenure, Ours) for entry in state.ledger),
        owed=_owed(state.ledger, at),
        holds=_active(state, at),
        quarantine=memory.quarantine,
        history=memory.reboots,
        outcomes=memory.outcomes,
        reboots_total=memory.reboots_total,
        users=len(sessions_of(state)),
        dry_run=policy.dry_run,
        config_valid=not policy.invalid,
        config_problems=problems,
    )
    return replace(status, sentence=sentence(status))


def _strategies(policy: Policy) -> tuple[str, ...]:
    """Name those in use: with an invalid configuration what is decided by is nobody's wish."""
    wished = frozenset[Strategy]() if policy.invalid else policy.strategies
    return tuple(one.value for one in Strategy if one in wished)


def name_of(state: State) -> StateName:
    """The word for where the attempt is."""
    match state.attempt:
        case Starting():
            return StateName.STARTING
        case PostBoot():
            return StateName.POST_BOOT
        case Idle():
            return StateName.IDLE
        case Waiting() | Queued():
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
    """Nobody is told that nothing is pending who could not be told otherwise."""
    if isinstance(state.attempt, Rebooting):
        return Verdict.REBOOT
    is_known = state.known.os is not None and not state.known.os_unknown
    return Verdict.IDLE if state.target is None and is_known else Verdict.WAIT


def _gates(
    state: State, policy: Policy, at: Moment, found: tuple[Blocker, ...]
) -> tuple[Gate, ...]:
    shown = found if state.target is not None else local_blockers(state, policy, at)
    is_last = isinstance(state.attempt, Rebooting | Committing)
    waived = deadlines.waived(state, policy, at)
    unasked = {one for name in waived for one in WAIVED_GATES[name]}
    unrun = deadlines.waived_checks(state, policy, at)
    details = {blocker.reason: blocker.detail for blocker in reversed((*found, *shown))}

    def gate(reason: Reason) -> Gate:
        if reason in details:
            return Gate(reason, GateState.BLOCKING, details[reason])
        if not is_read(reason):
            return Gate(reason, GateState.NOT_EVALUATED)
        if reason is Reason.CHECK_FAILED and unrun:
            return Gate(reason, GateState.CLEAR, f"by deadline without {', '.join(unrun)}")
        return Gate(reason, GateState.CLEAR, "by deadline" if reason in unasked else "")

    def is_read(reason: Reason) -> bool:
        match WORDS[reason].asked:
            case Asked.BEFORE_ANY_LOOK:
                return True
            case _ if state.known.is_nothing:
                return False
            case Asked.AT_ONCE:
                return True
            case Asked.CLOCK:
                asked = state.known.clock_synchronized is not None
                return asked or not needs_clock(state, policy, at)
            case Asked.LOGIND:
                return state.target is not None and Reason.LOGIND_UNREACHABLE not in details
            case Asked.HOOKS:
                return is_last or not state.known.hooks & {Phase.CHECK, Phase.PRE_REBOOT}
            case Asked.FLEET:
                return is_last or policy.slot is None
            case Asked.AT_THE_END:
                return not policy.dry_run

    return tuple(gate(reason) for reason in Reason if reason is not Reason.REBOOTING)


def _deadlines(state: State, policy: Policy, at: Moment) -> tuple[ShownDeadline, ...]:
    """Say of each step when it is due, or that no clock can tell yet how old the update is."""
    if state.target is None:
        return ()
    known = [(due, due <= at.mono) for _, due in deadlines.dues(state, policy)]
    instants = [(deadlines.instant(due, at), is_due) for due, is_due in known]
    unknown = [(None, False) for _ in policy.deadlines]
    found = unknown if deadlines.is_uncertain(state) else instants
    return tuple(
        ShownDeadline(number, when, tuple(sorted(step.names)), is_due)
        for number, (step, (when, is_due)) in enumerate(
            zip(policy.deadlines, found or unknown, strict=True), 1
        )
    )


def _request(state: State, at: Moment) -> ShownRequest | None:
    ask = state.request(at)
    if ask is None:
        return None
    until = say_end(ask.until, ask.ends - at.mono, at)
    return ShownRequest(ask.by, ask.now, until, NOW_SKIPS if ask.now else ())


def _owed(ledger: tuple[Entry, ...], at: Moment) -> tuple[PresumedSlot, ...]:
    """Kept slots, and those that were asked for and are to go, or ought to be gone, back."""
    return tuple(
        _presumed(each, at)
        for each in ledger
        if each.kept
        or (
            (each.asked and not slots.is_dropped(each))
            and (isinstance(each.tenure, Owed) or each.overdue is not None)
        )
    )


def _presumed(entry: Entry, at: Moment) -> PresumedSlot:
    def wall(mono: float) -> datetime:
        return at.wall + timedelta(seconds=mono - at.mono)

    overdue, again = entry.overdue, None
    match entry.tenure:
        case Owed(releasing=None, retry=retry) if retry.at > at.mono:
            again = wall(retry.at)
        case Owed() | Ours():
            pass
    return PresumedSlot(
        entry.slot,
        entry.kept,
        error="" if overdue is None else overdue.answer,
        since=None if overdue is None else overdue.since,
        heard=None if overdue is None or overdue.heard is None else wall(overdue.heard),
        again=again,
    )


def _active(state: State, at: Moment) -> tuple[Hold, ...]:
    holds = (hold for hold in state.memory.holds if is_in_force(hold, state, at))
    return tuple(replace(hold, until=end_of(hold, state, at)) for hold in holds)


def _not_released(entry: Entry, state: State, at: Moment) -> str:
    """Say why the slot is not given back yet; "" if nothing is wrong. All times are UTC."""
    if not entry.asked or slots.is_dropped(entry):
        return ""
    server = entry.slot.server
    if isinstance(entry.tenure, Owed) and state.known.is_hushed:
        return f"{server}: nothing is sent there while another agent reboots this host"
    if entry.overdue is None:
        return ""
    presumed = _presumed(entry, at)
    parts = [f"not confirmed since {_minute(entry.overdue.since)}"]
    if presumed.heard is not None:
        parts.append(f"{_minute(presumed.heard)}: {presumed.error}")
    if presumed.again is not None:
        parts.append(f"asked again at {_minute(presumed.again)}")
    return f"{server} (group {entry.slot.group}): {', '.join(parts)}"


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M %Z}"


def notices(state: State, policy: Policy, at: Moment) -> tuple[Notice, ...]:
    """What is so at this instant, in reading order."""
    found = []
    for entry in state.ledger:
        if entry.kept:
            detail = f"{entry.slot.server} (group {entry.slot.group}), until rebootmgrctl forgive"
            found.append(Notice(NoticeKind.SLOT_KEPT, detail))
        elif detail := _not_released(entry, state, at):
            found.append(Notice(NoticeKind.SLOT_NOT_RELEASED, detail))
    if needs_clock(state, policy, at) and is_assumed(state, at):
        found.append(Notice(NoticeKind.CLOCK_ASSUMED, "not synchronized for an hour since boot"))
    view = view_of(state, policy, at)
    if view.waived and state.target is not None:
        detail = "no opening of the next 400 days is as long as a reboot takes here"
        found.append(Notice(NoticeKind.FIT_WAIVED, detail))
    match state.known.os:
        case Deployments(staged=False) as os if os.default.id != os.booted.id:
            detail = f"{os.default.version} boots next, but it is not staged: left alone"
            found.append(Notice(NoticeKind.NOT_STAGED, detail))
        case Deployments(staged=True, queued=str(queued)) if queued:
            cause = "a rollback or a choice in the boot menu"
            detail = f"{queued} was to boot next, by {cause}; what has been staged boots instead"
            found.append(Notice(NoticeKind.ROLLBACK_OVERTAKEN, detail))
        case _:
            pass
    if state.memory.complaint and state.memory.settled == state.known.boot:
        detail = f"{state.memory.complaint} (this boot was not asked for, so no update is blamed)"
        found.append(Notice(NoticeKind.POST_BOOT_FAILED, detail))
    return tuple(found)
