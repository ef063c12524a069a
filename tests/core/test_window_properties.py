"""Openings against a brute force that knows neither folds nor offsets nor RFC 5545.

The brute force walks through every UTC minute around a change of offset, notes the wall clock of
that minute, and looks local times up in this table; openings are painted second by second.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rebootmgr.core.recurrence import days
from rebootmgr.core.window import (
    HORIZON,
    Blackout,
    Calendar,
    Evented,
    Opening,
    Ruled,
    Weekly,
    Window,
    check_rule,
    openings,
    outlook,
)

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
AROUND = 42 * DAY  # what the table covers on either side: range, splay, window and blackout
CHANGES = [
    ("Europe/Rome", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Rome", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 2, 15, 2, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 3, 22, 2, tzinfo=UTC)),
    ("America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),  # midnight does not exist
    ("Asia/Kathmandu", datetime(2026, 1, 1, tzinfo=UTC)),
    ("UTC", datetime(2026, 1, 1, tzinfo=UTC)),
]


class Table:
    """The wall clock of each UTC minute around a change."""

    def __init__(self, zone: tzinfo, around: datetime) -> None:
        self.begin = around - AROUND
        minutes = [self.begin + n * MINUTE for n in range(2 * AROUND // MINUTE)]
        self.walls = [each.astimezone(zone).replace(tzinfo=None) for each in minutes]
        self.first_at: dict[datetime, int] = {}
        for n, wall in enumerate(self.walls):
            self.first_at.setdefault(wall, n)
        steps = enumerate(pairwise(self.walls))
        self.gaps = [(n, a, b) for n, (a, b) in steps if b - a > MINUTE]

    def second(self, local: datetime) -> int | None:
        """When a local time first comes, in seconds from the begin; None if far outside.

        In a gap the clock is read as if it had not been put forward: so many minutes after the
        last wall-clock time before the gap.
        """
        if local in self.first_at:
            return self.first_at[local] * 60
        for n, before, after in self.gaps:
            if before < local < after:
                return (n + (local - before) // MINUTE) * 60
        return None


@cache
def table(name: str, around: datetime) -> Table:
    return Table(ZoneInfo(name), around)


def sunday(day: date) -> date:
    """Begin of the week of a day."""
    return day - day.isoweekday() % 7 * DAY


RULES: dict[str, Callable[[date, date], bool]] = {
    "FREQ=DAILY;INTERVAL=2": lambda day, first: (day - first).days % 2 == 0,
    "FREQ=WEEKLY;BYDAY=SA,SU": lambda day, _: day.weekday() >= 5,
    "FREQ=MONTHLY;BYDAY=2SU": lambda day, _: day.weekday() == 6 and 8 <= day.day <= 14,
    "FREQ=MONTHLY;BYDAY=-1SU": lambda day, _: day.weekday() == 6 and (day + 7 * DAY).day <= 7,
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1": lambda day, _: (
        day.weekday() < 5 and (day + (3 if day.weekday() == 4 else 1) * DAY).month != day.month
    ),
    "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=SU,WE": lambda day, first: (
        day.weekday() in {6, 2} and (sunday(day) - sunday(first)).days % 14 == 0
    ),
    "FREQ=YEARLY;BYYEARDAY=60,-1,-70": lambda day, _: (
        int(f"{day:%j}") == 60 or (date(day.year, 12, 31) - day).days in {0, 69}
    ),
    "FREQ=YEARLY;BYMONTH=3,10,12": lambda day, first: (
        day.month in {3, 10, 12} and day.day == first.day
    ),
}


def local_days(clock: Table) -> Iterator[date]:
    first, last = clock.walls[0].date(), clock.walls[-1].date()
    return (first + n * DAY for n in range((last - first).days + 1))


def is_chosen(window: Window, day: date) -> bool:
    match window:
        case Weekly():
            return day.weekday() in window.days
        case Ruled():
            return day >= window.first and RULES[window.rule](day, window.first)
        case Evented():
            pytest.fail("systemd is the oracle of these, in test_calendar_event.py")


def painted(clock: Table, windows: tuple[Window, ...]) -> bytearray:
    paint = bytearray(2 * AROUND // timedelta(seconds=1))
    for window in windows:
        for day in local_days(clock):
            if not is_chosen(window, day):
                continue
            begin = clock.second(datetime.combine(day, window.start))
            if begin is not None:
                end = min(begin + int(window.length.total_seconds()), len(paint))
                paint[begin:end] = b"\x01" * (end - begin)
    return paint


def runs(paint: bytearray) -> Iterator[tuple[int, int]]:
    start = paint.find(1)
    while start >= 0:
        end = paint.find(0, start)
        end = len(paint) if end < 0 else end
        yield start, end
        start = paint.find(1, end)


def brute_force(
    calendar: Calendar, clock: Table, start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    paint = painted(clock, calendar.windows)
    if not calendar.periodic:
        paint = bytearray(b"\x01" * len(paint))
    for begin, stop in list(runs(paint)) if calendar.periodic else []:
        if begin > 0:
            shift = min(calendar.splay.total_seconds() * calendar.phase, (stop - begin) / 2)
            paint[begin : begin + round(shift)] = bytes(round(shift))
    for blackout in calendar.blackouts:
        chosen = [
            day
            for day in local_days(clock)
            if blackout.rule
            and day >= blackout.start.date()
            and RULES[blackout.rule](day, blackout.start.date())
        ]
        for day in {blackout.start.date(), *chosen}:
            local = datetime.combine(day, blackout.start.time())
            shut = clock.second(local)
            reopened = clock.second(local + (blackout.end - blackout.start))
            if shut is not None and reopened is not None and reopened > shut:
                paint[shut:reopened] = bytes(reopened - shut)
    second = timedelta(seconds=1)
    low, high = (start - clock.begin) // second, (end - clock.begin) // second
    return [
        (clock.begin + max(begin, low) * second, clock.begin + min(stop, high) * second)
        for begin, stop in runs(paint)
        if begin < high and low < stop
    ]


TIMES = st.one_of(
    st.times(min_value=time(0, 0)).map(lambda t: t.replace(second=0, microsecond=0)),
    st.sampled_from([time(0, 0), time(1, 30), time(2, 0), time(2, 15), time(2, 30), time(3, 0)]),
)
LENGTHS = st.one_of(
    st.integers(1, 10080), st.sampled_from([1, 30, 60, 120, 1380, 1440, 1500, 10080])
).map(lambda minutes: minutes * MINUTE)


def windows(zone: tzinfo, around: datetime) -> st.SearchStrategy[Window]:
    weekdays = st.frozensets(st.integers(0, 6), min_size=1)
    firsts = st.integers(-60, 5).map(lambda n: (around + n * DAY).date())
    return st.one_of(
        st.builds(Weekly, days=weekdays, start=TIMES, length=LENGTHS, zone=st.just(zone)),
        st.builds(
            Ruled,
            rule=st.sampled_from(sorted(RULES)),
            first=firsts,
            start=TIMES,
            length=LENGTHS,
            zone=st.just(zone),
        ),
    )


@st.composite
def blackouts(draw: st.DrawFn, zone: tzinfo, around: datetime) -> Blackout:
    day = (around + draw(st.integers(-8, 8)) * DAY).date()
    start = datetime.combine(day, draw(TIMES))
    length = draw(st.integers(1, 6000)) * MINUTE
    rule = draw(st.sampled_from(["", *RULES]))
    return Blackout(name="freeze", start=start, end=start + length, zone=zone, rule=rule)


@st.composite
def calendars(draw: st.DrawFn, zone: tzinfo, around: datetime) -> Calendar:
    return Calendar(
        periodic=draw(st.sampled_from([True, True, True, False])),
        windows=tuple(draw(st.lists(windows(zone, around), min_size=1, max_size=4))),
        blackouts=tuple(draw(st.lists(blackouts(zone, around), max_size=2))),
        splay=draw(st.sampled_from([0, 0, 1, 30, 90, 600, 3000, 10080])) * MINUTE,
        phase=draw(st.sampled_from([0.0, 0.25, 0.5, 0.75, 0.9])),
    )


@st.composite
def ranges(draw: st.DrawFn, around: datetime) -> tuple[datetime, datetime]:
    start = around + draw(st.integers(-14 * 1440, 1440)) * MINUTE
    return start, start + draw(st.integers(1, 14 * 1440)) * MINUTE


@settings(deadline=None, max_examples=150)
@given(data=st.data(), change=st.sampled_from(CHANGES))
def test_openings_are_those_of_a_walk_through_every_minute(
    data: st.DataObject, change: tuple[str, datetime]
) -> None:
    name, around = change
    calendar = data.draw(calendars(ZoneInfo(name), around))
    start, end = data.draw(ranges(around))
    found = openings(calendar, start, end)
    assert [(each.start, each.end) for each in found] == brute_force(
        calendar, table(name, around), start, end
    )


@settings(deadline=None, max_examples=100)
@given(data=st.data(), change=st.sampled_from(CHANGES))
def test_the_range_that_is_asked_for_changes_nothing_inside_it(
    data: st.DataObject, change: tuple[str, datetime]
) -> None:
    name, around = change
    here = calendars(ZoneInfo(name), around)
    there = calendars(ZoneInfo("America/Caracas"), around)
    one, other = data.draw(here), data.draw(there)
    calendar = replace(
        one, windows=one.windows + other.windows, blackouts=one.blackouts + other.blackouts
    )
    start, end = data.draw(ranges(around))
    wide = openings(calendar, start - 30 * DAY, end + 30 * DAY)
    assert openings(calendar, start, end) == tuple(
        Opening(max(each.start, start), min(each.end, end))
        for each in wide
        if each.start < end and start < each.end
    )


@settings(deadline=None, max_examples=100)
@given(data=st.data(), change=st.sampled_from(CHANGES))
def test_the_outlook_is_read_off_the_openings(
    data: st.DataObject, change: tuple[str, datetime]
) -> None:
    name, around = change
    calendar = data.draw(calendars(ZoneInfo(name), around))
    at, _ = data.draw(ranges(around))
    need = data.draw(st.none() | LENGTHS)
    found = outlook(calendar, at, need=need)
    today = at.replace(hour=0, minute=0)
    around_at = openings(calendar, today - 8 * DAY, today + HORIZON)
    later = [each for each in around_at if each.start > at]
    fitting = [each for each in later if need is None or each.end - each.start >= need]
    now = [each for each in around_at if each.start <= at < each.end]
    assert found.opening == (now[0] if now else None)
    assert found.next == (later[0] if later else None)
    assert found.next_fitting == (fitting[0] if fitting else None)
    if found.opening and need:
        rest = found.opening.end - at
        assert found.fits == (rest >= need or found.waived)
        longest = max((each.end - each.start for each in later), default=timedelta(0))
        is_best = found.opening.end - found.opening.start >= min(need, longest)
        is_hopeless = longest * 0.9 < need
        in_time = at - found.opening.start < rest
        assert found.waived == (rest < need and is_hopeless and is_best and in_time)
    else:
        assert found.fits
        assert not found.waived
    uncut = openings(replace(calendar, blackouts=()), at, at + MINUTE)
    assert (found.window is None) == (not uncut or uncut[0].start > at)
    if found.opening is None and found.window is not None:
        assert found.blackout is not None
    if found.blackout is not None:
        assert found.opening is None


WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


def listed(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[str]:
    return st.lists(numbers, min_size=1, max_size=3).map(lambda each: ",".join(map(str, each)))


def signed(high: int) -> st.SearchStrategy[str]:
    return listed(st.integers(1, high) | st.integers(-high, -1))


@st.composite
def rules(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = {"INTERVAL": st.integers(1, 4).map(str), "WKST": st.sampled_from(WEEKDAYS)}
    parts["BYMONTH"] = listed(st.integers(1, 12))
    plain = st.sampled_from(WEEKDAYS)
    numbers = st.sampled_from(["1", "+2", "3", "-1", "-2", "5"])
    numbered = st.builds("{}{}".format, numbers, plain)
    day = draw(st.sampled_from([plain, numbered] if frequency[0] in "MY" else [plain]))
    parts["BYDAY"] = st.lists(day, min_size=1, max_size=4).map(",".join)
    if frequency != "WEEKLY":
        parts["BYMONTHDAY"] = signed(31)
    if frequency == "YEARLY":
        parts["BYYEARDAY"] = signed(366)
    chosen = draw(st.sets(st.sampled_from(sorted(parts)), max_size=4))
    words = [f"FREQ={frequency}"] + [f"{name}={draw(parts[name])}" for name in sorted(chosen)]
    may = frequency[0] in "MY" and any(word.startswith("BY") for word in words)
    if may and draw(st.booleans()):
        words.append(f"BYSETPOS={draw(signed(4))}")
    return ";".join(words)


@settings(deadline=None, max_examples=100)
@given(rule=rules(), first=st.dates(date(1970, 1, 1), date(2999, 12, 31)), data=st.data())
def test_the_days_of_a_rule_do_not_depend_on_where_one_begins_to_look(
    rule: str, first: date, data: st.DataObject
) -> None:
    assume(not complaint(rule, first))
    low = first.toordinal() + data.draw(st.integers(-10, 9000))
    high = low + data.draw(st.integers(0, 900))
    found = list(days(rule, first, low, high))
    wide = days(rule, first, 1, high + 400)
    assert found == [day for day in wide if low <= day.toordinal() < high]
    assert found == sorted(set(found))


def complaint(rule: str, first: date) -> str:
    try:
        check_rule(rule, first)
    except ValueError as error:
        return str(error)
    return ""


@settings(deadline=None, max_examples=100)
@given(
    text=st.text(alphabet="FREQ=DAILYWKMONTHSUBP;,+-0123456789:\x00\n٣", max_size=60) | st.text()
)
def test_no_text_makes_the_check_fail_otherwise_than_by_a_sentence(text: str) -> None:
    for start in ("", "FREQ=YEARLY;", "FREQ=DAILY;BYDAY=", "FREQ=DAILY;UNTIL=", "FREQ="):
        found = complaint(start + text, date(2000, 1, 3))
        assert found.isprintable()
        assert len(found) < 250


@pytest.mark.parametrize("year", [1, 2, 4, 1970, 9995, 9998, 9999])
@given(data=st.data())
@settings(deadline=None, max_examples=15)
def test_no_year_is_too_early_or_too_late(year: int, data: st.DataObject) -> None:
    days_of_year = st.dates(date(year, 1, 1), date(year, 12, 31))
    at, stop = (datetime.combine(data.draw(days_of_year), data.draw(TIMES)) for _ in range(2))
    zone, seen_from = (
        ZoneInfo(data.draw(st.sampled_from(["Pacific/Apia", "America/New_York", "UTC"])))
        for _ in range(2)
    )
    rule = data.draw(rules())
    assume(not complaint(rule, at.date()))
    window = Ruled(rule=rule, first=at.date(), start=at.time(), length=7 * DAY, zone=zone)
    freezes = tuple(
        Blackout(name="", start=at, end=stop, zone=zone, rule=repeated)
        for repeated in ("", "FREQ=YEARLY")
    )
    calendar = Calendar(periodic=True, windows=(window,), blackouts=freezes, splay=99 * DAY)
    found = outlook(calendar, at.replace(tzinfo=seen_from), need=DAY)
    assert found.next is None or found.next.start < found.next.end
    low = datetime.combine(date(max(year - 1, 1), 1, 1), time(), seen_from)
    high = datetime.combine(date(min(year + 1, 9999), 12, 31), time(23, 59), seen_from)
    assert all(each.start < each.end for each in openings(calendar, low, high))
