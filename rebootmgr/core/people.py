"""Who is told when (SPEC 7): whose sessions count, the grace, warnings, and the last minute.

A `Courtesy` is what people get at one instant: the grace as it is from now on, and what to say.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from rebootmgr.core.effects import Warn
from rebootmgr.core.facts import Session
from rebootmgr.core.model import Blocker, Deployment, Moment, Reason
from rebootmgr.core.policy import Policy
from rebootmgr.core.states import Committing, Grace, Preparing, State

LAST_WARNING_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Courtesy:
    """What people get now."""

    grace: Grace | None
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
    if isinstance(state.attempt, Preparing | Committing):
        return None  # the fleet has agreed: who was not warned yet gets a minute at the commit
    target, grace = state.target, state.grace
    detail = "; ".join(describe_session(session) for session in sessions)
    if target is None or grace is None or grace.target != target.id:
        return Blocker(Reason.USERS_LOGGED_IN, detail)
    if at.mono < grace.until:
        until = at.wall + timedelta(seconds=grace.until - at.mono)
        return Blocker(Reason.USERS_LOGGED_IN, detail, until)
    return None


def give_grace(
    state: State, policy: Policy, at: Moment, target: Deployment, blockers: tuple[Blocker, ...]
) -> Courtesy:
    """Start the grace when only people are in the way, and keep everybody warned while it runs."""
    grace, sessions = state.grace, sessions_of(state)
    if grace is None or grace.target != target.id:
        if {blocker.reason for blocker in blockers} != {Reason.USERS_LOGGED_IN}:
            return Courtesy(grace)
        length = policy.sessions_grace.total_seconds()
        is_short = length <= LAST_WARNING_S
        begun = Grace(target.id, at.mono + length, _ids(sessions), reminded=is_short)
        return Courtesy(begun, _warn(policy, sessions, target, length))
    if at.mono >= grace.until or not sessions:
        return Courtesy(grace)
    left = grace.until - at.mono
    everybody = grace.warned | _ids(sessions)
    if not grace.reminded and left <= LAST_WARNING_S:
        reminded = replace(grace, warned=everybody, reminded=True)
        return Courtesy(reminded, _warn(policy, sessions, target, left))
    new = tuple(one for one in sessions if one.id not in grace.warned)
    return Courtesy(replace(grace, warned=everybody), _warn(policy, new, target, left))


def unwarned(state: State, policy: Policy, at: Moment, target: Deployment) -> tuple[Session, ...]:
    """Who would be rebooted without a word."""
    if not policy.sessions_wait or state.skips_gates(at):
        return ()
    grace = state.grace
    warned = grace.warned if grace is not None and grace.target == target.id else frozenset()
    return tuple(session for session in sessions_of(state) if session.id not in warned)


def give_last_minute(state: State, policy: Policy, at: Moment, target: Deployment) -> Courtesy:
    """Give whoever was never warned a minute at the commit; `grace.until` is its end."""
    wait = policy.patience.final_warning_s
    grace = Grace(target.id, at.mono + wait, _ids(sessions_of(state)), reminded=True)
    return Courtesy(grace, _warn(policy, unwarned(state, policy, at, target), target, wait))


def tell_latecomers(
    state: State, policy: Policy, at: Moment, target: Deployment, left_s: float
) -> Courtesy:
    """Tell who logs in during the last minute what is left of it; nobody gets another one."""
    grace, late = state.grace, unwarned(state, policy, at, target)
    if grace is None or not late:
        return Courtesy(grace)
    told = replace(grace, warned=grace.warned | _ids(late))
    return Courtesy(told, _warn(policy, late, target, left_s))


def _ids(sessions: tuple[Session, ...]) -> frozenset[str]:
    return frozenset(session.id for session in sessions)


def _warn(
    policy: Policy, sessions: tuple[Session, ...], target: Deployment, in_s: float
) -> tuple[Warn, ...]:
    return () if policy.dry_run or not sessions else (Warn(sessions, target, in_s),)
