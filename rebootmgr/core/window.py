"""Maintenance windows and blackouts: when the policy is open (SPEC 5).

Everything here is computed in UTC, because Python's arithmetic within one zone is wall-clock
arithmetic. Local times become UTC with fold 0, which is what RFC 5545 §3.3.5 says.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from rebootmgr.core import recurrence
from rebootmgr.core.calendar_event import CalendarEvent
from rebootmgr.core.recurrence import check_blackout_rule, check_rule

Span = tuple[datetime, datetime]  # [start, end)


def merge(spans: Iterable[Span]) -> list[Span]:
    """Sort, and join what overlaps or touches. Empty spans vanish."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            if end > merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
        elif start < end:
            merged.append((start, end))
    return merged


def cut(spans: Iterable[Span], holes: Iterable[Span]) -> Iterator[Span]:
    """Yield what remains of `spans` outside `holes`; both are as `merge` returns them."""
    waiting = iter(holes)
    hole = next(waiting, None)
    for span in spans:
        start, end = span
        while hole is not None and hole[0] < end:
            if start < hole[0]:
                yield start, hole[0]
            start = max(start, hole[1])
            if hole[1] >= end:  # it may reach into the next span
                break
            hole = next(waiting, None)
        if start < end:
            yield start, end


__all__ = [
    "HORIZON",
    "Blackout",
    "Calendar",
    "Evented",
    "Opening",
    "Outlook",
    "Ruled",
    "Weekly",
    "Window",
    "check_blackout_rule",
    "check_rule",
    "horizon",
    "never_opens",
    "openings",
    "outlook",
]

HORIZON: Final = timedelta(days=400)
_NEAR: Final = timedelta(days=9)  # more than a week: enough for most calendars
_BEHIND: Final = timedelta(days=8)  # how far the begin of the present opening is looked for
_LONGEST_SPLAY: Final = timedelta(days=7)
_EARLIEST: Final = datetime(4, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9996, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, order=True)
class Opening:
    """A half-open interval [start, end), both aware and in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekly:
    """Opens on these days of the week (0 = Monday) at local `start`, for an elapsed `length`."""

    days: frozenset[int]
    start: time
    length: timedelta
    zone: tzinfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruled:
    """Opens on the days of `rule` (see `check_rule`) from `first` on, its DTSTART."""

    rule: str
    first: date
    start: time
    length: timedelta
    zone: tzinfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Evented:
    """Opens at the local instants of a calendar event of systemd.time(7)."""

    event: CalendarEvent
    length: timedelta
    zone: tzinfo

    @property
    def start(self) -> time:
        """Say at which local time."""
        return self.event.start


Window = Weekly | Ruled | Evented


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackout:
    """Closed in [start, end), either of them naive (local time in `zone`) or aware.

    With `rule` (see `check_blackout_rule`) it repeats in `zone` from `start` on, which counts even
    where the rule does not match it. Each repetition ends at the wall-clock time of `end`, so that
    a freeze until midnight ends at midnight, also when DST changes during it.
    """

    name: str
    start: datetime
    end: datetime
    zone: tzinfo
    rule: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """When policy allows a reboot: in its windows if `periodic`, else always; never in blackouts.

    Each merged opening starts min(phase * splay, half of it) later; more than a week of splay
    counts as a week. `fit`: the rest of an opening must be long enough (see `outlook`).
    """

    periodic: bool = False
    windows: tuple[Window, ...] = ()
    blackouts: tuple[Blackout, ...] = ()
    splay: timedelta = timedelta(0)
    phase: float = 0.0
    fit: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What the calendar says at one instant, within 400 days of the begin of that day (UTC).

    `opening`: where we are, None if closed. `window`: the same before blackouts are cut out.
    `blackout`: the name and interval of the one that holds now (the longest to come).
    `next`: the first opening that starts later; `next_fitting`: the first of them that is long
    enough. `fits`: the rest of `opening` is long enough, or the check is waived: `waived`, in the
    first half of an opening when even the longest to come would leave less than a tenth of itself
    to start in, and none of these fits better than this. Without a need all are long enough.
    """

    opening: Opening | None
    window: Opening | None
    blackout: tuple[str, Opening] | None
    next: Opening | None
    fits: bool
    waived: bool
    next_fitting: Opening | None


def openings(calendar: Calendar, start: datetime, end: datetime) -> tuple[Opening, ...]:
    """All openings in [start, end), in order, clipped to it; empty if `end` is not later.

    Windows that touch for ever have no begin to shift and no end: they fill the range. Ranges are
    clipped to the years 4 to 9995. Raises ValueError for a naive instant.
    """
    start, end = _clamped(start), _clamped(end)
    return _view(calendar, start, end).openings if start < end else ()


def outlook(calendar: Calendar, at: datetime, *, need: timedelta | None) -> Outlook:
    """Say what the calendar holds at `at` (aware) for a reboot that takes `need` (None: unknown).

    An opening that began more than a week ago, or ends after the horizon, is cut off there.
    """
    at = _clamped(at)
    today = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if not (calendar.periodic or calendar.blackouts):
        return _always(today)
    need = (need if calendar.fit else None) or timedelta(0)
    near = _look(calendar, today, _NEAR)
    found = _at(near, at, need)
    seen = (found.window, found.next_fitting)
    unsure = found.waived or found.next_fitting is None  # as where this opening is cut off
    if unsure or any(each and each.end == near.end for each in seen):
        return _at(_look(calendar, today, HORIZON), at, need)
    return found


def longest_opening(calendar: Calendar, at: datetime) -> timedelta:
    """Give the length of the longest opening of the 400 days from `at` (aware); 0 without any."""
    return _longest(calendar, _clamped(at).replace(hour=0, minute=0, second=0, microsecond=0))


def horizon(at: datetime) -> datetime:
    """Up to when (UTC, exclusive) the calendar is looked at, seen from `at` (aware)."""
    return _clamped(at).replace(hour=0, minute=0, second=0, microsecond=0) + HORIZON


def never_opens(calendar: Calendar, at: datetime) -> bool:
    """Whether nothing is open now nor opens within 400 days of `at` (aware)."""
    found = outlook(calendar, at, need=None)
    return found.opening is None and found.next is None


@dataclass(frozen=True, slots=True)
class _View:
    """A calendar laid out until `end`."""

    windows: tuple[Opening, ...]
    blackouts: tuple[tuple[str, Opening], ...]
    openings: tuple[Opening, ...]
    end: datetime


@lru_cache(maxsize=16)
def _look(calendar: Calendar, today: datetime, ahead: timedelta) -> _View:
    return _view(calendar, today - _BEHIND, today + ahead)


@lru_cache(maxsize=2)
def _longest(calendar: Calendar, today: datetime) -> timedelta:
    found = _look(calendar, today, HORIZON).openings
    return max((each.end - each.start for each in found), default=timedelta(0))


@lru_cache(maxsize=2)
def _always(today: datetime) -> Outlook:
    """What a calendar that never closes holds at any time of `today`."""
    return _at(_look(Calendar(), today, HORIZON), today, timedelta(0))


def _at(view: _View, at: datetime, need: timedelta) -> Outlook:
    opening = next((each for each in view.openings if each.start <= at < each.end), None)
    later = [each for each in view.openings if each.start > at]
    fitting = next((each for each in later if each.end - each.start >= need), None)
    blackouts = [each for each in view.blackouts if each[1].start <= at < each[1].end]
    waived = False
    fits = opening is None or opening.end - at >= need
    if opening is not None and not fits:
        longest = max((each.end - each.start for each in later), default=timedelta(0))
        is_best = longest * 0.9 < need and opening.end - opening.start >= min(need, longest)
        waived = is_best and at - opening.start < opening.end - at
    return Outlook(
        opening=opening,
        window=next((each for each in view.windows if each.start <= at < each.end), None),
        blackout=max(blackouts, key=lambda each: each[1].end, default=None),
        next=later[0] if later else None,
        fits=fits or waived,
        waived=waived,
        next_fitting=fitting,
    )


def _view(calendar: Calendar, start: datetime, end: datetime) -> _View:
    """Lay out [start, end). What lies around it is looked at as far as it can matter."""
    blackouts = tuple(
        (blackout.name, Opening(*span))
        for blackout in calendar.blackouts
        for span in _occurrences(blackout, start, end)
        if span[0] < end and start < span[1]
    )
    windows = [(start, end)]
    if calendar.periodic:
        # A shift is `splay` at most. So a start before `early` is seen inside the range not at
        # all, and an end after `late` makes no shift longer: neither need be known exactly.
        splay = min(calendar.splay, _LONGEST_SPLAY)
        early, late = start - splay, end + 2 * splay
        merged = merge(_around(calendar.windows, early, late))
        shifted = ((s + min(splay * calendar.phase, (e - s) / 2), e) for s, e in merged)
        windows = [(max(s, start), min(e, end)) for s, e in shifted if s < end and start < e]
    closed = merge([(each.start, each.end) for _, each in blackouts])
    return _View(
        windows=tuple(Opening(*span) for span in windows),
        blackouts=blackouts,
        openings=tuple(Opening(*span) for span in cut(windows, closed)),
        end=end,
    )


def _around(windows: tuple[Window, ...], early: datetime, late: datetime) -> list[Span]:
    """Occurrences of the windows that meet [early, late), and perhaps some around it."""
    spans: list[Span] = []
    for window in windows:
        low = (early - window.length - _DAY).toordinal()
        high = (late + _DAY).toordinal() + 1
        at, zone, length = window.start.replace(fold=0), window.zone, window.length
        for day in _days(window, low, high):
            start = datetime.combine(day, at, zone).astimezone(UTC)
            spans.append((start, start + length))
    return [span for span in spans if span[1] >= early and span[0] <= late]


def _days(window: Window, low: int, high: int) -> Iterator[date]:
    match window:
        case Weekly(days=weekdays):
            for weekday in weekdays:
                yield from map(date.fromordinal, range(low + (weekday + 1 - low) % 7, high, 7))
        case Ruled(rule=rule, first=first):
            yield from recurrence.days(rule, first, low, high)
        case Evented(event=event):
            yield from event.within(low, high)


def _occurrences(blackout: Blackout, start: datetime, end: datetime) -> Iterator[Span]:
    zone = blackout.zone
    yield _instant(blackout.start, zone), _instant(blackout.end, zone)
    if blackout.rule:
        first, last = _local(blackout.start, zone), _local(blackout.end, zone)
        length = last - first
        low = (start - length - _DAY).toordinal()
        high = (end + _DAY).toordinal() + 1
        for day in recurrence.days(blackout.rule, first.date(), low, high):
            begin = datetime.combine(day, first.time())
            yield _instant(begin, zone), _instant(begin + length, zone)


def _instant(when: datetime, zone: tzinfo) -> datetime:
    """Resolve a local time, if it is one: with fold 0, PEP 495 is RFC 5545 §3.3.5."""
    return _in(when if when.tzinfo else when.replace(tzinfo=zone, fold=0), UTC)


def _local(when: datetime, zone: tzinfo) -> datetime:
    return _in(when, zone).replace(tzinfo=None) if when.tzinfo else when


def _in(aware: datetime, zone: tzinfo) -> datetime:
    try:
        return aware.astimezone(zone)
    except OverflowError:  # within a day of what a datetime can hold
        if aware.year > 5000:
            return datetime.max.replace(tzinfo=zone)
        return datetime.min.replace(tzinfo=zone)


def _clamped(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no time zone")
    return min(max(_in(instant, UTC), _EARLIEST), _LATEST)


def phase_of(node_id: str) -> float:
    """Share of the splay for this node id, in [0, 1): the same for ever, uniform over a fleet."""
    digest = hashlib.sha256(node_id.encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53  # 53 bits: what a float holds


LONGEST: Final = timedelta(days=3660)


@dataclass(frozen=True, slots=True)
class Plan:
    """Openings within [start, end): merged, splayed, cut, clipped to the range; in UTC."""

    start: datetime
    end: datetime
    openings: tuple[Opening, ...]


def plan(calendar: Calendar, start: datetime, end: datetime) -> Plan:
    """Every interval of [start, end) in which the policy allows a reboot; ten years at most."""
    if end <= start:
        raise ValueError("the end of the plan must be later than its start")
    if end - start > LONGEST:
        raise ValueError("a plan covers ten years at most; bring its start and end closer together")
    return Plan(start, end, openings(calendar, start, end))
