"""When to look at the clock again: the one thing that makes an idle daemon wake up."""

from dataclasses import dataclass
from datetime import datetime

from rebootmgr.core.advance import LAST_WARNING_S
from rebootmgr.core.gates import local_blockers, pending, view_of
from rebootmgr.core.model import Moment, Reason
from rebootmgr.core.policy import Policy
from rebootmgr.core.states import (
    Committing,
    Ours,
    Owed,
    PostBoot,
    Rebooting,
    State,
    Undoing,
    Waiting,
)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The next instants to wake up at: by the wall clock (UTC), by CLOCK_BOOTTIME (s), or never."""

    wall: datetime | None
    mono: float | None


def deadline(state: State, *, at: Moment, policy: Policy) -> Deadline:
    """When a `Ticked` is owed, should nothing else happen before.

    Only what is still ahead of `at` counts: the step at `at` has dealt with the rest, so a deadline
    can never make the daemon spin.
    """
    walls = [wall for wall in _walls(state, at, policy) if wall > at.wall]
    monos = [mono for mono in _monos(state) if mono > at.mono]
    return Deadline(min(walls, default=None), min(monos, default=None))


def is_at_rest(state: State) -> bool:
    """Whether the daemon may end: it was asked to, and nothing that it sent is still unanswered."""
    asking = any(
        entry.tenure.asking is not None
        if isinstance(entry.tenure, Ours)
        else entry.tenure.releasing is not None
        for entry in state.ledger
    )
    return state.stopping and not asking


def _walls(state: State, at: Moment, policy: Policy) -> list[datetime]:
    """Windows, blackouts and holds go by the wall clock, and only while an update is pending."""
    if pending(state.known) is None or isinstance(state.attempt, Rebooting):
        return []
    untils = [
        blocker.until
        for blocker in local_blockers(state, policy, at)
        if blocker.until is not None and blocker.reason is not Reason.USERS_LOGGED_IN
    ]
    if policy.calendar.periodic or policy.calendar.blackouts:
        opening = view_of(state, policy, at).opening
        untils += [] if opening is None else [opening.end]
    if state.memory.ask is not None:
        untils.append(state.memory.ask.until)
    return untils


def _monos(state: State) -> list[float]:
    monos = [
        entry.tenure.retry.at
        for entry in state.ledger
        if isinstance(entry.tenure, Owed) and entry.tenure.releasing is None
    ]
    retries = (state.save_again, state.look_again if state.looking is None else None)
    monos += [retry.at for retry in retries if retry is not None]
    match state.attempt:
        case Rebooting(until=until):
            monos.append(until)
        case Committing(warned_until=float(until)):
            monos.append(until)
        case PostBoot(None) | Undoing(None):
            if state.setback is not None:
                monos.append(state.setback.retry.at)
        case Waiting(target):
            if state.setback is not None:
                monos.append(state.setback.retry.at)
            known = state.known
            if state.clock_again is not None and known and not known.clock_synchronized:
                monos.append(state.clock_again)
            if state.grace is not None and state.grace.target == target.id:
                reminder = state.grace.until - LAST_WARNING_S
                monos.append(state.grace.until if state.grace.reminded else reminder)
        case _:
            pass
    return monos
