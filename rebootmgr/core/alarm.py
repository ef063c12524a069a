"""When to look at the clock again: the one thing that makes an idle daemon wake up."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rebootmgr.core import deadlines
from rebootmgr.core.clock import end_of, left_of
from rebootmgr.core.fit import need_at_last
from rebootmgr.core.gates import WORKING_FOR_LONG_S, local_blockers, unannounced, view_of
from rebootmgr.core.model import Moment, Reason
from rebootmgr.core.people import LAST_WARNING_S
from rebootmgr.core.policy import Policy
from rebootmgr.core.states import (
    ATTEMPT,
    Cause,
    Committing,
    Ours,
    Owed,
    PostBoot,
    Queued,
    Rebooting,
    State,
    Undoing,
    Waiting,
)
from rebootmgr.core.window import Opening, horizon

BY_UPTIME: Final = frozenset({Reason.USERS_LOGGED_IN, Reason.HELD})
"""What a wall clock that is set does not end."""
INSTANT: Final = timedelta(milliseconds=1)
"""What just fits at one instant fits no more at the next."""


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
    monos = [mono for mono in _monos(state, at, policy) if mono > at.mono]
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
    if state.target is None or isinstance(state.attempt, Rebooting):
        return []
    untils = [
        blocker.until
        for blocker in local_blockers(state, policy, at)
        if blocker.until is not None and blocker.reason not in BY_UPTIME
    ]
    untils += [
        end
        for hold in state.memory.holds
        if left_of(hold, state, at) is None and (end := end_of(hold, state, at)) is not None
    ]
    if policy.calendar.periodic or policy.calendar.blackouts:
        view = view_of(state, policy, at)
        needed = need_at_last(state, policy.calendar, at.wall)
        if view.opening is not None:
            untils += _limits(view.opening, needed, waived=view.waived)
        elif view.next is None:  # what opens later than that is not known before
            untils.append(horizon(at.wall))
    return untils


def _limits(opening: Opening, needed: timedelta | None, *, waived: bool) -> Iterator[datetime]:
    """When an opening is over, or what is left of it becomes too little."""
    yield opening.end
    if needed:
        yield opening.end - needed
        yield opening.end - needed + INSTANT
    if waived:
        yield opening.start + (opening.end - opening.start) / 2


def _monos(state: State, at: Moment, policy: Policy) -> list[float]:
    monos = [
        entry.tenure.retry.at
        for entry in state.ledger
        if isinstance(entry.tenure, Owed) and entry.tenure.releasing is None
    ]
    retries = (state.save_again, state.look_again if state.looking is None else None)
    monos += [retry.at for retry in retries if retry is not None]
    monos += _promises(state, at)
    match state.attempt:
        case Rebooting(until=float(until)):
            monos.append(until)
        case Committing(warned_until=float(until)):
            monos.append(until)
        case PostBoot(None):
            monos.append(state.due_at(Cause.POST_BOOT))
        case Undoing(None):
            monos.append(state.due_at(Cause.UNDOING))
        case Waiting(target) | Queued(target):
            monos.append(state.due_at(*ATTEMPT))
            if state.known.working_since is not None:  # for then it is said who works so long
                monos.append(state.known.working_since + WORKING_FOR_LONG_S)
            closed = local_blockers(state, policy, at)
            if state.ask_again is not None and unannounced(state, policy, at, closed):
                monos.append(state.ask_again)
            if (grace := state.grace_of(target)) is not None:
                reminder = grace.until - LAST_WARNING_S
                monos.append(grace.until if grace.reminded else reminder)
            monos += [promise.until for promise in state.promises]
            monos += deadlines.wakings(state, policy)
        case _:
            pass
    return monos


def _promises(state: State, at: Moment) -> list[float]:
    """When holds for a span end, and a request: by CLOCK_BOOTTIME, and while it matters."""
    if state.target is None or isinstance(state.attempt, Rebooting):
        return []
    lefts = [left_of(hold, state, at) for hold in state.memory.holds]
    monos = [at.mono + left for left in lefts if left is not None]
    if state.memory.ask is not None:
        monos.append(state.memory.ask.ends)
    return monos
