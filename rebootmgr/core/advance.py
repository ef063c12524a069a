"""How far the attempt can go now: everything here follows from what is known, not from an event."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from rebootmgr.core.effects import Reboot, Warn
from rebootmgr.core.facts import Logind, Look, Session
from rebootmgr.core.gates import clock_is_good, is_behind, may_assume_clock, valid_ask
from rebootmgr.core.memory import Hold
from rebootmgr.core.model import Blocker, Deployment, Phase, Reason
from rebootmgr.core.policy import ClockRule
from rebootmgr.core.postboot import look_after_boot, start_up
from rebootmgr.core.progress import begin, look_at_everything
from rebootmgr.core.states import (
    Asking,
    Checking,
    Committing,
    Grace,
    Idle,
    PostBoot,
    Preparing,
    Rebooting,
    Starting,
    Undoing,
    Waiting,
)
from rebootmgr.core.turn import Turn

LAST_WARNING_S: Final = 60.0
CLOCK_EVERY_S: Final = 60.0


def advance(turn: Turn) -> None:
    """Move the attempt until it has to wait for something."""
    _look_again_if_due(turn)
    _drop_what_expired(turn)
    while True:
        before = turn.attempt
        _move(turn)
        if turn.attempt == before:
            return


def _move(turn: Turn) -> None:
    match turn.attempt:
        case Starting():
            start_up(turn)
        case PostBoot(None):
            if _is_due(turn):
                look_after_boot(turn)
        case Undoing(None):
            if _is_due(turn) and not turn.state.stopping:
                turn.undo()
        case Idle():
            _rest(turn, queued=False)
        case Waiting(queued=queued):
            _rest(turn, queued=queued)
        case Checking(target=target) | Preparing(target=target):
            _hold_on(turn, target)
        case Asking(target, ticket):
            _queue(turn, target, asked=ticket is not None)
        case Committing(target, warned_until):
            _commit(turn, target, warned_until)
        case Rebooting(until=until):
            if turn.at.mono >= until and not turn.state.stopping:
                detail = "logind accepted the reboot, but no shutdown came within 10 minutes"
                turn.set_back(Reason.LOGIND_UNREACHABLE, detail)
                turn.abandon()
        case PostBoot() | Undoing():
            pass


def _rest(turn: Turn, *, queued: bool) -> None:
    target = turn.target
    if target is None:
        turn.rest()
        return
    turn.become(Waiting(target, queued))
    blockers = _give_grace(turn, target, turn.blockers())
    if blockers:
        turn.become(Waiting(target, queued=False))
        _ask_for_the_time(turn, blockers)
    elif not turn.state.stopping and turn.state.readable and _is_due(turn):
        begin(turn, target, queued=queued)


def _is_due(turn: Turn) -> bool:
    setback = turn.state.setback
    return setback is None or setback.retry.is_due(turn.at.mono)


def _hold_on(turn: Turn, target: Deployment) -> None:
    """Hooks are running for `target`: go on only while nothing is in the way of it."""
    if turn.target != target or turn.blockers():
        turn.abandon(queued=turn.target is not None and not turn.blockers())


def _queue(turn: Turn, target: Deployment, *, asked: bool) -> None:
    """The fleet is being asked: a newer update takes over the place in the queue."""
    if turn.target is None or turn.blockers():
        turn.abandon()
        return
    if turn.target != target and isinstance(turn.attempt, Asking):
        turn.become(Asking(turn.target, turn.attempt.ticket))
    if not asked:
        turn.ask_fleet(turn.target)


def _commit(turn: Turn, target: Deployment, warned_until: float | None) -> None:
    if turn.target != target or turn.blockers():
        turn.abandon(queued=turn.target is not None and not turn.blockers())
    elif warned_until is not None and turn.at.mono < warned_until and _sessions(turn):
        _warn_latecomers(turn, target, warned_until - turn.at.mono)
    elif turn.fresh and _missed_hooks(turn):
        turn.abandon(queued=True)
    elif turn.fresh and warned_until is None and (unwarned := _unwarned(turn, target)):
        _warn_at_last(turn, target, unwarned)
    elif turn.fresh:
        turn.become(Rebooting(target.id, turn.at.mono + turn.policy.patience.shutdown_s))
        turn.effects.append(Reboot(target, overrides=_is_inhibited(turn)))
    elif turn.state.looking is None:
        look_at_everything(turn)


def _is_inhibited(turn: Turn) -> bool:
    """Whether inhibitors are held: no gate is closed, so by the configuration none counts."""
    known = turn.state.known
    return known is not None and known.logind is not None and bool(known.logind.inhibitors)


def _missed_hooks(turn: Turn) -> bool:
    """Whether somebody installed hooks after this attempt had passed the place to run them."""
    undrained = turn.has_hooks(Phase.PRE_REBOOT) and not turn.state.memory.drained
    unchecked = turn.has_hooks(Phase.CHECK) and turn.state.passed_checks_at is None
    return undrained or unchecked


def _unwarned(turn: Turn, target: Deployment) -> tuple[Session, ...]:
    ask = valid_ask(turn.state, turn.at)
    if not turn.policy.sessions_wait or (ask is not None and ask.now):
        return ()
    grace = turn.state.grace
    warned = grace.warned if grace is not None and grace.target == target.id else frozenset()
    return tuple(session for session in _sessions(turn) if session.id not in warned)


def _warn_at_last(turn: Turn, target: Deployment, sessions: tuple[Session, ...]) -> None:
    wait = turn.policy.patience.final_warning_s
    _warn(turn, sessions, target, wait)
    everybody = frozenset(session.id for session in _sessions(turn))
    until = turn.at.mono + wait
    turn.state = replace(turn.state, grace=Grace(target.id, until, everybody, reminded=True))
    turn.become(Committing(target, until))


def _warn_latecomers(turn: Turn, target: Deployment, left: float) -> None:
    """Tell who logs in during the last minute what is left of it; nobody gets another one."""
    grace, late = turn.state.grace, _unwarned(turn, target)
    if grace is not None and late:
        _warn(turn, late, target, left)
        warned = grace.warned | {session.id for session in late}
        turn.state = replace(turn.state, grace=replace(grace, warned=warned))


def _warn(turn: Turn, sessions: tuple[Session, ...], target: Deployment, in_s: float) -> None:
    if not turn.policy.dry_run:
        turn.effects.append(Warn(sessions, target, in_s))


def _sessions(turn: Turn) -> tuple[Session, ...]:
    known = turn.known
    return known.logind.sessions if known and isinstance(known.logind, Logind) else ()


def _give_grace(
    turn: Turn, target: Deployment, blockers: tuple[Blocker, ...]
) -> tuple[Blocker, ...]:
    """Start the grace when only people are in the way, and keep everybody warned while it runs."""
    grace, now = turn.state.grace, turn.at.mono
    sessions = _sessions(turn)
    if grace is None or grace.target != target.id:
        if {blocker.reason for blocker in blockers} != {Reason.USERS_LOGGED_IN}:
            return blockers
        length = turn.policy.sessions_grace.total_seconds()
        everybody = frozenset(session.id for session in sessions)
        grace = Grace(target.id, now + length, everybody, reminded=length <= LAST_WARNING_S)
        _warn(turn, sessions, target, length)
    elif now < grace.until and sessions:
        left = grace.until - now
        everybody = grace.warned | {session.id for session in sessions}
        if not grace.reminded and left <= LAST_WARNING_S:
            _warn(turn, sessions, target, left)
            grace = Grace(target.id, grace.until, everybody, reminded=True)
        elif new := tuple(one for one in sessions if one.id not in grace.warned):
            _warn(turn, new, target, left)
            grace = replace(grace, warned=everybody)
    turn.state = replace(turn.state, grace=grace)
    return turn.blockers()


def _ask_for_the_time(turn: Turn, blockers: tuple[Blocker, ...]) -> None:
    """The clock is asked only while it is the last open gate, and at most once a minute.

    That may be the budget, too, where it counts reboots that are dated in the future.
    """
    reasons = {blocker.reason for blocker in blockers}
    is_lost = reasons == {Reason.REBOOT_BUDGET} and is_behind(turn.state, turn.at)
    if not is_lost and reasons != {Reason.CLOCK_UNSYNCHRONIZED}:
        return
    again = turn.state.clock_again
    if again is None or turn.at.mono >= again:
        turn.state = replace(
            turn.state,
            clock_again=turn.at.mono + CLOCK_EVERY_S,
            look_next=turn.state.look_next | Look.CLOCK,
        )


def _look_again_if_due(turn: Turn) -> None:
    again = turn.state.look_again
    if again is not None and turn.state.looking is None and again.is_due(turn.at.mono):
        failed = Look.OS if turn.known is None or turn.known.os_unknown else Look.LOGIND
        turn.state = replace(turn.state, look_next=turn.state.look_next | failed)


def _drop_what_expired(turn: Turn) -> None:
    memory, wall = turn.state.memory, turn.at.wall
    holds = tuple(hold for hold in memory.holds if not _is_over(turn, hold))
    ask = None if memory.ask is not None and memory.ask.until <= wall else memory.ask
    if (holds, ask) != (memory.holds, memory.ask):
        turn.remember(replace(memory, holds=holds, ask=ask))


def _is_over(turn: Turn, hold: Hold) -> bool:
    """Only a clock that may decide ends a hold for good, or the one by which it was placed.

    That one is still going, as far as anybody can see, if the hold is younger than this boot.
    """
    if hold.until is None or hold.until > turn.at.wall:
        return False
    booted = turn.at.wall - timedelta(seconds=turn.at.mono)
    is_trusted = clock_is_good(turn.state, turn.at) or may_assume_clock(turn.state, turn.at)
    return is_trusted or turn.policy.clock is ClockRule.NEVER or hold.since >= booted
