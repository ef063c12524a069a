"""Deadlines (SPEC 5a): how old an update has to be for a gate to count no more.

Age is counted in CLOCK_BOOTTIME from when the host began to be behind. Where that was before this
boot, a wall clock that may decide says once how long ago: what it is set to later moves nothing.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from rebootmgr.core import backlog, clock
from rebootmgr.core.memory import Backlog, Memory
from rebootmgr.core.model import Moment
from rebootmgr.core.policy import ClockRule, DeadlineStep, Policy, Waivable
from rebootmgr.core.states import Aging, State
from rebootmgr.core.window import Calendar

NOTHING: Final[frozenset[Waivable]] = frozenset()


def age(state: State, was: Backlog | None, policy: Policy, at: Moment) -> Aging | None:
    """Since when the host is behind, once it was noted; `was` is what was noted before."""
    noted = state.memory.backlog
    if not policy.deadlines or noted is None or backlog.behind_since(noted, at.wall) is None:
        return None
    if backlog.behind_since(was, at.wall) is None:
        return Aging(at.mono, certain=True)
    known, is_vouched = state.aging, bool(state.known.clock_synchronized)
    if known is not None and (known.certain or not is_vouched):
        return known
    is_free = policy.clock is ClockRule.NEVER
    if not (is_free or clock.is_good(state, at)):
        return known
    old = max(at.wall - noted.behind_since, timedelta())
    return Aging(at.mono - old.total_seconds(), certain=is_vouched or is_free)


def date_backlog(state: State, at: Moment) -> Memory:
    """Say anew by a clock that is vouched for now since when the host is behind, if it was seen."""
    memory, aging = state.memory, state.aging
    if aging is None or not aging.certain or memory.backlog is None:
        return memory
    since = at.wall - timedelta(seconds=at.mono - aging.born)
    if abs(since - memory.backlog.behind_since) < clock.SET:
        return memory
    return replace(memory, backlog=replace(memory.backlog, behind_since=since))


def wants_clock(state: State, policy: Policy) -> bool:
    """Whether only an answer of timedate1 can tell how old the update is."""
    if not policy.deadlines or state.target is None or policy.clock is ClockRule.NEVER:
        return False
    is_told = state.aging is not None and state.aging.certain
    return not is_told and not state.known.clock_synchronized


def dues(state: State, policy: Policy) -> Iterator[tuple[DeadlineStep, float]]:
    """Give each step and its instant (CLOCK_BOOTTIME, s), while an update is pending."""
    if state.aging is None or state.target is None:
        return
    for step in policy.deadlines:
        due = state.aging.born + step.after.total_seconds()
        yield step, max(due, step.grace.total_seconds())


def waived(state: State, policy: Policy, at: Moment) -> frozenset[Waivable]:
    """Name what counts no more: by the last step that is due, and by all before it."""
    return _sets(state, policy, at)[-1]


def _sets(state: State, policy: Policy, at: Moment) -> list[frozenset[Waivable]]:
    """What counted no more, step by step, until now; the first is nothing."""
    found, union = [NOTHING], NOTHING
    for step, due in dues(state, policy):
        union |= step.waive
        if due <= at.mono:
            found.append(union)
    return found


def calendars(state: State, policy: Policy, at: Moment) -> tuple[Calendar, ...]:
    """The calendar, and what the steps have made of it: one that lets us go is enough.

    So a step never closes what is open without it.
    """
    relaxed = [relax(policy.calendar, names) for names in _sets(state, policy, at)]
    return tuple(dict.fromkeys(relaxed))


def relax(calendar: Calendar, names: frozenset[Waivable]) -> Calendar:
    """Take out of a calendar what counts no more; blackouts stay."""
    if Waivable.WINDOWS in names:
        calendar = replace(calendar, periodic=False)
    if Waivable.SPLAY in names:
        calendar = replace(calendar, splay=timedelta())
    return replace(calendar, fit=False) if Waivable.FIT in names else calendar


def relief(state: State, policy: Policy, at: Moment, *names: Waivable) -> datetime | None:
    """When one of these will count no more, by the wall clock as it is now; None if never."""
    union, found = NOTHING, []
    for step, due in dues(state, policy):
        union |= step.waive
        if due > at.mono and not union.isdisjoint(names):
            found.append(due)
    return instant(min(found), at) if found else None


def instant(mono: float, at: Moment) -> datetime:
    """Say an instant of CLOCK_BOOTTIME by the wall clock as it is now, at most ten years off."""
    return at.wall + timedelta(seconds=mono - at.mono)


def wakings(state: State, policy: Policy) -> Iterator[float]:
    """When (CLOCK_BOOTTIME, s) a step is due, or to be announced."""
    for step, due in dues(state, policy):
        yield due
        for span in step.warn:
            yield due - span.total_seconds()
