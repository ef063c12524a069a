"""Deadlines (SPEC 5a): how old an update has to be for a gate to count no more.

Age is counted in CLOCK_BOOTTIME from when the host began to be behind. Where that was before this
boot, only a clock that is synchronized now may say how long ago, of what a synchronized clock once
dated (core.backlog); else it counts from this boot on. No clock that is assumed, nor
`require_synchronized = "never"`, changes that: what a clock says too much would be waived too soon.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from rebootmgr.core.model import Moment
from rebootmgr.core.policy import DeadlineStep, Policy, Waivable
from rebootmgr.core.states import State
from rebootmgr.core.window import Calendar, Opening, Plan, merge, openings, plan

NOTHING: Final[frozenset[Waivable]] = frozenset()


def born(state: State) -> float | None:
    """When (CLOCK_BOOTTIME, s) this host began to be behind, at the latest; None if it is not."""
    noted = state.memory.backlog
    if state.target is None or noted is None or noted.anchor is None:
        return None
    return noted.anchor.born or 0.0


def wants_clock(state: State, policy: Policy) -> bool:
    """Whether to ask timedate1: it may tell how old the update is, or was not asked in this boot.

    What was noted by a clock that nobody vouched for counts from this boot on, for ever.
    """
    if not policy.deadlines or state.known.booted_at is not None or born(state) is None:
        return False
    return state.known.clock_synchronized is None or is_uncertain(state)


def is_uncertain(state: State) -> bool:
    """Whether the update is older than anybody can tell yet."""
    noted = state.memory.backlog
    if noted is None or noted.anchor is None or state.known.booted_at is not None:
        return False
    return noted.anchor.vouched is not None and noted.anchor.born is None


def dues(state: State, policy: Policy) -> Iterator[tuple[DeadlineStep, float]]:
    """Give each step and its instant (CLOCK_BOOTTIME, s), while an update is pending."""
    if (since := born(state)) is None:
        return
    for step in policy.deadlines:
        due = since + step.after.total_seconds()
        yield step, max(due, step.grace.total_seconds())


def waived(state: State, policy: Policy, at: Moment) -> frozenset[Waivable]:
    """Name what counts no more: by the last step that is due, and by all before it."""
    return _waived_by(_due(state, policy, at)[-1])


def waived_names(state: State, policy: Policy, at: Moment) -> frozenset[str]:
    """As `waived`, with the programs of checks.d, as the configuration names them."""
    return frozenset[str]().union(*(step.names for step in _due(state, policy, at)[-1]))


def waived_checks(state: State, policy: Policy, at: Moment) -> tuple[str, ...]:
    """Name the programs of checks.d that count no more."""
    names = frozenset[str]().union(*(step.checks for step in _due(state, policy, at)[-1]))
    return tuple(sorted(names))


def _due(state: State, policy: Policy, at: Moment) -> list[tuple[DeadlineStep, ...]]:
    """The steps up to each that is due by now; before any is, they are none."""
    found: list[tuple[DeadlineStep, ...]] = [()]
    steps: tuple[DeadlineStep, ...] = ()
    for step, due in dues(state, policy):
        steps += (step,)
        if due <= at.mono:
            found.append(steps)
    return found


def _waived_by(steps: tuple[DeadlineStep, ...]) -> frozenset[Waivable]:
    return NOTHING.union(*(step.waive for step in steps))


def calendars(state: State, policy: Policy, at: Moment) -> tuple[Calendar, ...]:
    """The calendar, and what the steps have made of it: one that lets us go is enough.

    So a step never closes what is open without it.
    """
    relaxed = [relax(policy.calendar, _waived_by(due)) for due in _due(state, policy, at)]
    return tuple(dict.fromkeys(relaxed))


def most_relaxed(policy: Policy) -> Calendar:
    """Give the calendar as it is once the last step is due."""
    return relax(policy.calendar, _waived_by(policy.deadlines))


def relax(calendar: Calendar, names: frozenset[Waivable]) -> Calendar:
    """Take out of a calendar what counts no more; blackouts stay."""
    if Waivable.WINDOWS in names:
        calendar = replace(calendar, periodic=False)
    if Waivable.SPLAY in names:
        calendar = replace(calendar, splay=timedelta())
    return replace(calendar, fit=False) if Waivable.FIT in names else calendar


def plan_from(policy: Policy, behind_since: datetime, start: datetime, end: datetime) -> Plan:
    """As `plan`, for a host that has been behind since then and reboots not before.

    The grace of a boot is not in it: nobody knows when the host will boot.
    """
    result = plan(policy.calendar, start, end)
    spans = [(each.start, each.end) for each in result.openings]
    for step, due in due_by_wall(policy, behind_since):
        if due < end:  # what the steps before it waive is open from them on
            relaxed = openings(relax(policy.calendar, step.waive), max(due, start), end)
            spans += [(each.start, each.end) for each in relaxed]
    return replace(result, openings=tuple(Opening(*span) for span in merge(spans)))


def _later(at: datetime, span: timedelta) -> datetime:
    """Add, as far as a datetime goes."""
    last = datetime.max.replace(tzinfo=at.tzinfo)
    return at + span if span < last - at else last


def due_by_wall(policy: Policy, behind_since: datetime) -> Iterator[tuple[DeadlineStep, datetime]]:
    """Give each step and when it is due, for a host that has been behind since then."""
    return ((step, _later(behind_since, step.after)) for step in policy.deadlines)


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
