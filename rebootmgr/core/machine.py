"""The whole decision: (state, event) in, (state, effects) out. No clock, no I/O, no awaits.

Each step has three parts: take in what the event says, let the attempt go as far as it can, and
bring slots, looks and memory in line with where it got (SPEC 4 to 9, 13).
"""

from dataclasses import replace
from datetime import timedelta

from rebootmgr.core import slots
from rebootmgr.core.attempt import advance, after_hooks, after_lock
from rebootmgr.core.backoff import Retry, next_retry
from rebootmgr.core.clock import adopt_holds, date_anew, date_holds, waits_for_clock
from rebootmgr.core.events import (
    Cancelled,
    ClockJumped,
    DebtDropped,
    Event,
    FactsRead,
    Forgiven,
    HoldAdded,
    HoldReleased,
    HooksFailed,
    HooksPassed,
    HooksUnclear,
    HostChanged,
    LockAnswer,
    LockGranted,
    LockRefused,
    LockReserved,
    LockUnasked,
    LockUnclear,
    PolicyLoaded,
    RebootAccepted,
    RebootAsked,
    RebootRefused,
    RebootUnclear,
    ReleaseUnclear,
    Saved,
    SaveFailed,
    ShutdownBegan,
    SlotReleased,
    StopAsked,
    Ticked,
    Withdrawn,
)
from rebootmgr.core.facts import (
    Deployments,
    Facts,
    LogindUnreachable,
    Look,
    NotOstree,
    OsUnknown,
    Work,
)
from rebootmgr.core.memory import Memory, Unreadable
from rebootmgr.core.model import Moment, Reason
from rebootmgr.core.operator import absorb_operator
from rebootmgr.core.outcome import note_withdrawal
from rebootmgr.core.people import forget_who_left
from rebootmgr.core.policy import Policy
from rebootmgr.core.states import (
    Asking,
    Cause,
    Checking,
    Committing,
    Known,
    PostBoot,
    Preparing,
    Queued,
    Rebooting,
    State,
    Undoing,
    Waiting,
)
from rebootmgr.core.turn import Step, Turn


def start(memory: Memory | Unreadable, *, at: Moment, policy: Policy) -> Step:
    """Begin with what survived: look at the host, and presume every recorded slot still ours."""
    if isinstance(memory, Memory):
        state = State(memory=memory, ledger=slots.load(memory.debts))
    else:
        state = State(unsaved=memory.detail, readable=False)
    turn = Turn(state, at, policy)
    turn.look(Look.HOST)
    return turn.end()


def step(state: State, event: Event, *, at: Moment, policy: Policy) -> Step:
    """Decide what follows from `event`; total over every pair of state and event."""
    turn = Turn(state, at, policy)
    _absorb(turn, event)
    advance(turn)
    return turn.end()


def _absorb(turn: Turn, event: Event) -> None:
    match event:
        case HostChanged(look):
            turn.state = replace(turn.state, look_next=turn.state.look_next | look)
        case FactsRead(ticket, facts):
            looking = turn.state.looking
            if looking is not None and ticket == looking.ticket:
                _learn(turn, facts, looking.look)
        case HooksPassed() | HooksFailed() | HooksUnclear():
            after_hooks(turn, event)
        case LockGranted() | LockReserved() | LockRefused() | LockUnclear() | LockUnasked():
            _hear(turn, event)
        case SlotReleased() | ReleaseUnclear():
            ledger = slots.released(turn.state.ledger, event, turn.at, turn.policy)
            turn.set_ledger(ledger)
        case Saved():
            if turn.state.readable and turn.state.unsaved:
                turn.state = replace(turn.state, unsaved="", save_again=None)
        case SaveFailed(detail):
            _lose(turn, detail)
        case RebootRefused(detail):
            _note_preparing(turn, preparing=False)
            if isinstance(turn.attempt, Rebooting):
                turn.set_back(Cause.CALL, Reason.LOGIND_UNREACHABLE, detail)
                turn.abandon()
        case RebootUnclear(detail):
            if isinstance(turn.attempt, Rebooting):
                turn.become(replace(turn.attempt, unclear=detail))
                turn.look_afresh(Look.LOGIND)
        case ShutdownBegan():
            _note_shutdown(turn)
        case PolicyLoaded():  # polkit's leave may have come with it, of which nobody tells
            turn.state = replace(turn.state, look_next=turn.state.look_next | Look.LOGIND)
            _reconsider(turn)
        case DebtDropped(slot):
            ledger, effects = slots.drop(turn.state.ledger, slot)
            turn.effects.extend(effects)
            turn.set_ledger(ledger)
        case HoldAdded() | HoldReleased() | RebootAsked() | Cancelled() | Withdrawn() | Forgiven():
            absorb_operator(turn, event)
        case StopAsked():
            _stop(turn)
        case ClockJumped():
            turn.remember(date_holds(turn.state, turn.at))
            if turn.state.looking is not None and Look.CLOCK in turn.state.looking.look:
                turn.state = replace(turn.state, look_next=turn.state.look_next | Look.CLOCK)
            _ask_for_clock(turn)
        case RebootAccepted() | Ticked():
            pass


def _learn(turn: Turn, facts: Facts, look: Look) -> None:
    """Merge a look into what is known: what could not be read keeps its last good value."""
    known = replace(turn.known, boot=facts.boot)
    if facts.os is not None:
        known = _learn_os(known, facts.os, turn.at.mono)
    match facts.logind:
        case None:
            pass
        case LogindUnreachable(detail):
            known = replace(known, logind_unknown=detail)
        case logind:
            known = replace(known, logind=logind, logind_unknown="")
    if facts.boot_incomplete is not None:
        known = replace(known, boot_incomplete=facts.boot_incomplete)
        known = replace(known, not_finalized=facts.not_finalized)
    if facts.boot_times is not None:
        known = replace(known, boot_times=facts.boot_times)
    if facts.hooks is not None:
        known = replace(known, hooks=facts.hooks)
    is_of_now = Look.CLOCK not in turn.state.look_next  # or it was asked of another clock
    if facts.clock_synchronized is not None and is_of_now and not known.clock_synchronized:
        booted_at = turn.at.wall - timedelta(seconds=turn.at.mono)
        known = replace(
            known,
            clock_synchronized=facts.clock_synchronized,
            booted_at=booted_at if facts.clock_synchronized else None,
        )
    before, again = turn.known, _again(turn, known)
    state = replace(turn.state, known=known, looking=None, look_again=again)
    turn.state = forget_who_left(state)
    if before.is_nothing:
        turn.remember(adopt_holds(turn.state.memory, known.boot))
    if known.clock_synchronized and not before.clock_synchronized:
        turn.remember(date_anew(date_holds(turn.state, turn.at), known.boot, turn.at))
    if facts.sysroot_locked is not None and (
        known.os_unknown or facts.sysroot_locked != known.is_sysroot_locked
    ):
        turn.state = replace(turn.state, look_next=turn.state.look_next | Look.OS)
    if Look.CLOCK not in look:
        _ask_for_clock(turn)
    _note_change(turn)
    note_withdrawal(turn)
    turn.heard = look
    turn.fresh = turn.state.look_next is Look.NOWHERE and Look.HOST in look


def _ask_for_clock(turn: Turn) -> None:
    """A good clock may say today how much is left of a hold, and somebody may set it tomorrow."""
    if waits_for_clock(turn.state):
        turn.state = replace(turn.state, look_next=turn.state.look_next | Look.CLOCK)


def _learn_os(known: Known, found: Deployments | OsUnknown | NotOstree, mono: float) -> Known:
    match found:
        case OsUnknown(detail, cure):
            since = known.os_unknown_since if known.os_unknown else mono
            return replace(known, os_unknown=detail, os_cure=cure, os_unknown_since=since)
        case Deployments() | NotOstree():
            work = _work(found)
            since = known.working_since if work == _work(known.os) else mono
            known = replace(known, os_unknown="", os_cure="", os_unknown_since=None)
            return replace(known, os=found, working_since=since if any(work) else None)


def _work(os: Deployments | NotOstree | None) -> tuple[Work | None, Work | None]:
    return (os.transaction, os.sysroot) if isinstance(os, Deployments) else (None, None)


def _again(turn: Turn, known: Known) -> Retry | None:
    """When to look again at what nobody may tell us of; a holder that is killed says nothing."""
    policy, now = turn.policy, turn.at.mono
    if known.os_unknown or known.logind_unknown:
        return next_retry(turn.state.look_again, now, policy.patience, seed=policy.seed)
    if known.is_sysroot_locked and known.pending is not None:
        return Retry(1, now + policy.patience.sysroot_s)
    return None


def _note_change(turn: Turn) -> None:
    """Remember it by its id, by which alone it is known again should somebody else boot it."""
    os, target = turn.known.os, turn.target
    if isinstance(os, Deployments) and os.change.same_base and target is not None:
        turn.remember(replace(turn.state.memory, staged_change=target))


def _hear(turn: Turn, event: LockAnswer) -> None:
    """Take the lock server's answer; one to an older attempt changes only the ledger."""
    turn.set_ledger(slots.answered(turn.state.ledger, event))
    if isinstance(turn.attempt, Asking) and turn.attempt.ticket == event.ticket:
        after_lock(turn, turn.attempt, event)


def _lose(turn: Turn, detail: str) -> None:
    patience, seed = turn.policy.patience, turn.policy.seed
    again = next_retry(turn.state.save_again, turn.at.mono, patience, seed=seed)
    turn.state = replace(turn.state, unsaved=detail, save_again=again)


def _note_preparing(turn: Turn, *, preparing: bool) -> None:
    """Take the word of PrepareForShutdown; of a refused call, too: it is no shutdown either."""
    logind = turn.known.logind
    if logind is not None and logind.preparing is not preparing:
        known = replace(turn.known, logind=replace(logind, preparing=preparing))
        turn.state = replace(turn.state, known=known)


def _note_shutdown(turn: Turn) -> None:
    """The machine goes down: what we asked for was carried out as far as anybody can see.

    A look that began before must not say otherwise.
    """
    _note_preparing(turn, preparing=True)
    if isinstance(turn.attempt, Rebooting) and not turn.state.stopping:
        turn.look_afresh(Look.LOGIND)
    intent = turn.state.memory.intent
    if isinstance(turn.attempt, Rebooting) and intent is not None and not intent.shutdown_seen:
        seen = replace(intent, shutdown_seen=True, down_at=turn.at.wall)
        turn.remember(replace(turn.state.memory, intent=seen))


def _reconsider(turn: Turn) -> None:
    """A new policy starts every attempt over; an accepted reboot is past that."""
    if isinstance(turn.attempt, PostBoot | Undoing):
        turn.try_anew()
    elif isinstance(turn.attempt, Checking | Asking | Preparing | Committing | Waiting | Queued):
        turn.try_anew()
        turn.abandon()


def _stop(turn: Turn) -> None:
    """Let go of the attempt, so that the slot can go back; the runner waits a little for that."""
    turn.state = replace(turn.state, stopping=True)
    if isinstance(turn.attempt, Rebooting):
        _note_shutdown(turn)
    elif isinstance(turn.attempt, Checking | Asking | Preparing | Committing | Waiting | Queued):
        turn.abandon()
