"""How much of an opening this host needs (SPEC 5): it does not start what it cannot finish."""

from datetime import datetime, timedelta
from typing import Final

from rebootmgr.core.memory import Memory
from rebootmgr.core.model import Moment, Outcome
from rebootmgr.core.states import Committing, Preparing, Rebooting, State
from rebootmgr.core.window import Calendar, longest_opening

COUNTED: Final = 10
FEWEST: Final = 3


def need(memory: Memory, calendar: Calendar, wall: datetime) -> timedelta | None:
    """The longest of the last succeeded reboots; None if too few are known.

    Of ten at most that is their 95th percentile by nearest rank (SPEC 5). It is capped at the
    longest opening: one slow boot must never mean "never again".
    """
    if not calendar.fit or not (calendar.periodic or calendar.blackouts):
        return None
    taken = measured(memory)
    return None if taken is None else min(taken, longest_opening(calendar, wall))


def need_at_last(state: State, calendar: Calendar, wall: datetime) -> timedelta | None:
    """As `need`; once hooks run or have run, what is needed after them."""
    whole = need(state.memory, calendar, wall)
    match state.attempt:
        case Preparing() | Committing() | Rebooting() if whole is not None:
            return min(measured(state.memory, but_for_hooks=True) or whole, whole)
        case _:
            return whole


def need_left(state: State, calendar: Calendar, at: Moment) -> timedelta | None:
    """What is still to do: while hooks run, they are done with what has passed since they began."""
    whole, rest = need(state.memory, calendar, at.wall), need_at_last(state, calendar, at.wall)
    match state.attempt:
        case Preparing(since=since) if whole is not None and rest is not None:
            return max(whole - timedelta(seconds=at.mono - since), rest)
        case _:
            return rest


def began(state: State, at: Moment) -> datetime | None:
    """When the preparation began whose attempt is under way, by the wall clock as it is now."""
    intent = state.memory.intent
    match state.attempt:
        case Preparing(since=since):
            pass
        case Committing() if intent is not None:
            since = intent.mono - intent.hooks_s
        case _:
            return None
    return at.wall - timedelta(seconds=max(at.mono - since, 0.0))


def measured(memory: Memory, *, but_for_hooks: bool = False) -> timedelta | None:
    """Give what `need` is without the cap, perhaps without pre-reboot.d; None if too few."""
    taken = [
        timedelta(seconds=reboot.seconds - (reboot.phases.hooks_s if but_for_hooks else 0.0))
        for reboot in memory.reboots
        if reboot.outcome is Outcome.SUCCEEDED and reboot.seconds > 0.0
    ][-COUNTED:]
    if len(taken) < FEWEST:
        return None
    return max(*taken, timedelta())
