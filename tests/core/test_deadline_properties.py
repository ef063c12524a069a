"""Deadlines against the brute force of the windows: what `plan`, `why` and `predicted` make of age.

What is painted is the calendar, and from each step on the calendar as it is without what the steps
until then waive.
"""

import os
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from rebootmgr.core.deadlines import plan_from
from rebootmgr.core.gates import local_blockers
from rebootmgr.core.model import Moment, Reason
from rebootmgr.core.policy import ClockRule, DeadlineStep, Policy, Waivable
from rebootmgr.core.window import Calendar
from tests.core.script import IMMEDIATE, Script, past, settled, shown, staged
from tests.core.test_window_properties import (
    CHANGES,
    DAY,
    MINUTE,
    Table,
    brute_force,
    calendars,
    ranges,
    runs,
    table,
)

SECOND = timedelta(seconds=1)
AHEAD = 14 * DAY
EXAMPLES = 100 if os.environ.get("REBOOTMGR_WALK") == "deep" else 8
"""Painting is slow; `make soak` looks at more."""
TIMING = {Reason.OUTSIDE_WINDOW, Reason.BLACKOUT, Reason.WINDOW_TOO_SHORT}


@st.composite
def steps(draw: st.DrawFn) -> tuple[DeadlineStep, ...]:
    afters = draw(st.lists(st.integers(1, 20 * 1440), min_size=1, max_size=3, unique=True))
    return tuple(
        DeadlineStep(
            after=minutes * MINUTE,
            waive=draw(st.frozensets(st.sampled_from(Waivable), min_size=1)),
            grace=timedelta(),
        )
        for minutes in sorted(afters)
    )


def painted(
    policy: Policy, clock: Table, since: datetime, start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    """When a host that is behind since then may go, within a range."""
    sheet = bytearray((end - start) // SECOND)
    calendar, layers = policy.calendar, [(start, policy.calendar)]
    for step in policy.deadlines:
        if Waivable.WINDOWS in step.waive:
            calendar = replace(calendar, periodic=False)
        if Waivable.SPLAY in step.waive:
            calendar = replace(calendar, splay=timedelta())
        layers.append((max(since + step.after, start), calendar))
    for begin, layer in layers:
        for one in brute_force(layer, clock, begin, end) if begin < end else ():
            low, high = ((at - start) // SECOND for at in one)
            sheet[low:high] = b"\x01" * (high - low)
    return [(start + low * SECOND, start + high * SECOND) for low, high in runs(sheet)]


@st.composite
def aged(draw: st.DrawFn, calendar: st.SearchStrategy[Calendar]) -> Policy:
    found = replace(draw(calendar), fit=False)
    return replace(IMMEDIATE, calendar=found, deadlines=draw(steps()), clock=ClockRule.NEVER)


def is_open(script: Script, at: datetime) -> bool:
    passed = (at - script.at.wall).total_seconds()
    moment = Moment(wall=at, mono=script.at.mono + passed)
    found = local_blockers(script.state, script.policy, moment)
    return not TIMING & {one.reason for one in found}


@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data(), change=st.sampled_from(CHANGES))
def test_a_plan_with_deadlines_is_that_of_a_walk_through_every_minute(
    data: st.DataObject, change: tuple[str, datetime]
) -> None:
    name, around = change
    policy = data.draw(aged(calendars(ZoneInfo(name), around)))
    start, end = data.draw(ranges(around))
    since = start + data.draw(st.integers(-30 * 1440, 1440)) * MINUTE
    found = plan_from(policy, since, start, end)
    assert [(each.start, each.end) for each in found.openings] == painted(
        policy, table(name, around), since, start, end
    )


@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data(), change=st.sampled_from(CHANGES))
def test_why_names_a_closed_calendar_outside_what_is_painted_and_the_reboot_comes_at_its_begin(
    data: st.DataObject, change: tuple[str, datetime]
) -> None:
    name, around = change
    policy = data.draw(aged(calendars(ZoneInfo(name), around)))
    since = around + data.draw(st.integers(-14 * 1440, 1440)) * MINUTE
    script = staged(policy, began=since, synchronized=False)
    found = painted(policy, table(name, around), since, since, since + AHEAD)
    predicted = shown(script).predicted
    if found:
        assert predicted == found[0][0]
    else:
        assert predicted is None or predicted >= since + AHEAD
    edges = [at for one in found for at in (*one, one[0] - SECOND, one[1] - SECOND)]
    drawn = [since + data.draw(st.integers(0, 14 * 1440 - 1)) * MINUTE for _ in range(4)]
    for at in (at for at in (*edges, *drawn) if since <= at < since + AHEAD):
        assert is_open(script, at) == any(start <= at < end for start, end in found), at


@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data(), change=st.sampled_from(CHANGES))
def test_more_age_never_closes_what_is_open_with_less(
    data: st.DataObject, change: tuple[str, datetime]
) -> None:
    """With a host, too, that knows what it needs; nor is anything closed that no step touches."""
    name, around = change
    policy = data.draw(aged(calendars(ZoneInfo(name), around)))
    fit = replace(policy.calendar, fit=data.draw(st.booleans()))
    policy = replace(policy, calendar=fit)
    slow = settled(*[past(data.draw(st.integers(1, 400)) * 60.0) for _ in range(3)])
    at = around + data.draw(st.integers(-7 * 1440, 1440)) * MINUTE
    ages = sorted(data.draw(st.lists(st.integers(0, 21 * 1440), min_size=3, max_size=6)))
    open_at = [
        is_open(
            staged(each, began=at - age * MINUTE, memory=slow, synchronized=False),
            at,
        )
        for each, age in ((replace(policy, deadlines=()), 0), *((policy, age) for age in ages))
    ]
    assert open_at == sorted(open_at)
