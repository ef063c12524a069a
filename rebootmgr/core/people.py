"""Who is told when (SPEC 7): whose sessions count, the grace, warnings, and the last minute.

What matters is not whether somebody was ever warned, but whether everybody has had the time that
the last warning promised, and lately. A `Courtesy` is what people get at one instant.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from rebootmgr.core import deadlines
from rebootmgr.core.effects import Warn
from rebootmgr.core.facts import Session
from rebootmgr.core.model import Blocker, Deployment, Moment, Reason
from rebootmgr.core.policy import Policy, Strategy, Waivable
from rebootmgr.core.states import Committing, Grace, Preparing, Promise, State, Told

LAST_WARNING_S: Final = 60.0
REMEMBERED: Final = 8
"""Of so many updates the grace is known: one that comes and goes gives no new one each time."""


@dataclass(frozen=True, slots=True)
class Courtesy:
    """The state with what people were told, and what to say."""

    state: State
    warnings: tuple[Warn, ...] = ()


def sessions_of(state: State) -> tuple[Session, ...]:
    """Who is logged in, as far as it is known; who counts is decided where logind is read."""
    return state.known.logind.sessions if state.known.logind is not None else ()


def describe_session(session: Session) -> str:
    """Who works where, in a few words."""
    where = session.tty or session.origin
    return (
        f"{session.user} {f'on {where}' if where else 'without a terminal'} (session {session.id})"
    )


def people_gate(state: State, policy: Policy, at: Moment) -> Blocker | None:
    """Say who is in the way, and until when, once they have been warned."""
    sessions = sessions_of(state)
    if not sessions or not policy.sessions_wait or state.skips_gates(at):
        return None
    detail = "; ".join(describe_session(session) for session in sessions)
    promised = _promised(state, sessions)
    match state.attempt:
        case Preparing():  # the fleet has agreed: who has time left is seen to at the commit
            return None
        case Committing() if promised - at.mono <= policy.patience.final_warning_s:
            return None  # who was not warned yet gets that long
        case Committing():
            return _until(promised, detail, at)
        case _:
            pass
    if _are_waived(state, policy, at):  # but for what they were promised
        return _until(promised, detail, at)
    grace = None if state.target is None else state.grace_of(state.target)
    if grace is None:
        return Blocker(Reason.USERS_LOGGED_IN, detail)
    return _until(max(grace.until, promised), detail, at)


def _are_waived(state: State, policy: Policy, at: Moment) -> bool:
    """Whether by deadline nobody waits for people any more."""
    return Waivable.SESSIONS in deadlines.waived(state, policy, at)


def announce(state: State, policy: Policy, at: Moment, target: Deployment) -> Courtesy:
    """Tell people of the deadlines ahead, each as often as it says, and at once what is past."""
    if not policy.sessions_wait or not policy.enabled or Strategy.OFF in policy.strategies:
        return Courtesy(state)
    told, warnings = state.told, []
    names = frozenset[str]()
    for step, due in deadlines.dues(state, policy):
        names |= step.names
        spans = [span.total_seconds() for span in step.warn]
        past = [span for span in spans if at.mono >= due - span]
        if at.mono >= due or not past:
            continue
        span = min(past)
        heard = {one.session for one in told if one.due == due and one.span <= span}
        new = tuple(one for one in sessions_of(state) if one.id not in heard)
        if new:
            told += tuple(Told(one.id, due, span) for one in new)
            warnings.append(Warn(new, target, due - at.mono, tuple(sorted(names))))
    said = replace(state, told=told) if warnings else state
    return Courtesy(said, () if policy.dry_run else tuple(warnings))


def _knew(state: State, policy: Policy, at: Moment, session: Session) -> bool:
    """Whether somebody was told, and lately, of a deadline that lets nobody wait for him."""
    grace = policy.sessions_grace.total_seconds()
    heard = {one.due for one in state.told if one.session == session.id}
    past = {due for due in heard if due <= at.mono <= due + grace}
    return bool(past) and _are_waived(state, policy, at)


def _until(mono: float, detail: str, at: Moment) -> Blocker | None:
    if at.mono >= mono:
        return None
    until = at.wall + timedelta(seconds=mono - at.mono)
    return Blocker(Reason.USERS_LOGGED_IN, detail, until)


def _promised(state: State, sessions: tuple[Session, ...]) -> float:
    """Until when somebody of these has the time that was promised."""
    promises = (state.promise_to(session.id) for session in sessions)
    return max((one.until for one in promises if one is not None), default=0.0)


def give_grace(
    state: State, policy: Policy, at: Moment, target: Deployment, blockers: tuple[Blocker, ...]
) -> Courtesy:
    """Start the grace when only people are in the way, and keep everybody warned while it runs."""
    grace, sessions = state.grace_of(target), sessions_of(state)
    if _are_waived(state, policy, at):
        return Courtesy(state)
    if grace is None:
        if {blocker.reason for blocker in blockers} != {Reason.USERS_LOGGED_IN}:
            return Courtesy(state)
        length = policy.sessions_grace.total_seconds()
        begun = Grace(target.key, at.mono + length, reminded=length <= LAST_WARNING_S)
        return _tell(_with_grace(state, begun), policy, at, target, sessions, begun.until)
    if at.mono >= grace.until or not sessions:
        return Courtesy(state)
    if not grace.reminded and grace.until - at.mono <= LAST_WARNING_S:
        reminded = _with_grace(state, replace(grace, reminded=True))
        return _tell(reminded, policy, at, target, sessions, grace.until)
    new = tuple(one for one in sessions if _lacks(state.promise_to(one.id), grace.until))
    return _tell(state, policy, at, target, new, grace.until)


def _lacks(promise: Promise | None, until: float) -> bool:
    """Whether somebody knows nothing of the time that is left."""
    return promise is None or promise.until < until


def latecomers(
    state: State, policy: Policy, at: Moment, *, again: bool = False
) -> tuple[Session, ...]:
    """Who would be rebooted without a word, before the time, or on a warning that is long ago.

    `again`: there has been a last minute, and who came at its end gets no other.
    """
    if not policy.sessions_wait or state.skips_gates(at):
        return ()

    def has_had_time(promise: Promise | None) -> bool:
        if promise is None or at.mono < promise.until:
            return again and promise is None
        grace, last = policy.sessions_grace.total_seconds(), policy.patience.final_warning_s
        return at.mono - promise.at <= max(grace, promise.until - promise.at + last)

    return tuple(
        one
        for one in sessions_of(state)
        if not (
            has_had_time(promise := state.promise_to(one.id))
            or (promise is None and _knew(state, policy, at, one))
        )
    )


def give_last_minute(state: State, policy: Policy, at: Moment, target: Deployment) -> Courtesy:
    """Give whoever has not had time a minute at the commit."""
    until = at.mono + policy.patience.final_warning_s
    return _tell(state, policy, at, target, latecomers(state, policy, at), until)


def tell_latecomers(
    state: State, policy: Policy, at: Moment, target: Deployment, until: float
) -> Courtesy:
    """Tell who logs in during the last minute what is left of it; nobody gets another one."""
    if not policy.sessions_wait or state.skips_gates(at):
        return Courtesy(state)
    new = tuple(one for one in sessions_of(state) if state.promise_to(one.id) is None)
    return _tell(state, policy, at, target, new, until)


def forget_who_left(state: State) -> State:
    """Nobody needs to know what was promised to whom is gone."""
    here = {session.id for session in sessions_of(state)}
    left = tuple(promise for promise in state.promises if promise.session in here)
    told = tuple(one for one in state.told if one.session in here)
    if (left, told) == (state.promises, state.told):
        return state
    return replace(state, promises=left, told=told)


def _with_grace(state: State, grace: Grace) -> State:
    others = tuple(one for one in state.graces if one.key != grace.key)
    return replace(state, graces=(*others, grace)[-REMEMBERED:])


def _tell(
    state: State,
    policy: Policy,
    at: Moment,
    target: Deployment,
    sessions: tuple[Session, ...],
    until: float,
) -> Courtesy:
    if not sessions:
        return Courtesy(state)
    told = {session.id for session in sessions}
    others = tuple(promise for promise in state.promises if promise.session not in told)
    new = tuple(Promise(session.id, at.mono, until) for session in sessions)
    promising = replace(state, promises=(*others, *new))
    if policy.dry_run:
        return Courtesy(promising)
    return Courtesy(promising, (Warn(sessions, target, until - at.mono),))
