"""Windows and blackouts: the rules for their keys, and their way into the core (SPEC 3, 5)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final

from rebootmgr.config.rules import Day, Moment, Several, Text, wanted
from rebootmgr.config.values import UnfitError, quoted, shown, text
from rebootmgr.core.calendar_event import LONGEST_EVENT, CalendarEvent, decode_event
from rebootmgr.core.window import (
    Blackout,
    Evented,
    Ruled,
    Weekly,
    Window,
    check_blackout_rule,
    check_rule,
)
from rebootmgr.text import harmless, nearest

_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS: Final = {word: number for number, name in enumerate(_DAYS) for word in (name, name[:3])}
_MOST_SHOWN: Final = 7
_FIRST: Final = date(2000, 1, 3)
_YEARS: Final = range(1970, 3000)
_DAY: Final = "|".join(
    f"{''.join(f'[{letter.upper()}{letter}]' for letter in word)}" for word in _NUMBERS
)
_CLOCK: Final = "(?:[01]?[0-9]|2[0-3]):[0-5]?[0-9]"

DAYS: Final = Several(
    Text("days of the week, or ranges of them", rf"(?:{_DAY})(?:(?: ?- ?|\.\.)(?:{_DAY}))?")
)
CLOCK_TIME: Final = Text("a time of day from 00:00 to 23:59", _CLOCK)
DATE: Final = Day("a date from 1970 to 2999")
MOMENT: Final = Moment("a date or a date with time from 1970 to 2999")
ON_CALENDAR: Final = Text(
    "a calendar event of systemd.time(7), once a day at most", longest=LONGEST_EVENT
)
RECURRENCE: Final = Text("a recurrence rule of RFC 5545 about days")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written."""

    file: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """A value that its rule accepted, as it was written (`raw`) and as the rule typed it."""

    value: Any  # the rule of its key decides the type
    raw: object
    place: Place


@dataclass(frozen=True, slots=True)
class Item:
    """One `[[...]]` table. `written` names every known key in it, also those with bad values."""

    place: Place
    found: Mapping[str, Found]
    written: frozenset[str]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an item; `key` is "" where it is about the whole of it."""

    key: str
    message: str
    hint: str


def days(value: object) -> frozenset[int]:
    """Take names of days, as numbers from 0 for Monday."""
    if not isinstance(value, list):
        raise UnfitError(f"must be an array, not {shown(value)}", 'write days = ["Sat", "Sun"]')
    if not value:
        raise UnfitError("is empty: this window would never open", "name a day, or remove it")
    found = [_days(name) for name in value]
    if wrong := [name for name, numbers in zip(value, found, strict=True) if not numbers]:
        is_one = "is no day of the week" if len(wrong) == 1 else "are no days of the week"
        raise UnfitError(f"{', '.join(map(shown, wrong[:_MOST_SHOWN]))} {is_one}", _meant(wrong))
    return frozenset(number for numbers in found for number in numbers)


def _days(value: object) -> frozenset[int]:
    """Take a day or a range of days, also over the end of the week; nothing if it is neither."""
    first, *more = re.split(r" ?- ?|\.\.", value) if isinstance(value, str) else ("",)
    numbers = [_NUMBERS.get(name.lower()) for name in (first, *more)]
    match numbers:
        case [int(day)]:
            return frozenset({day})
        case [int(begin), int(end)]:
            return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))
        case _:
            return frozenset()


def _meant(wrong: Sequence[object]) -> str:
    """Say which days may have been meant."""
    texts = [text.strip() for name in wrong if isinstance(name, str) for text in name.split(",")]
    close = [name for name in (nearest(text, _NUMBERS) for text in texts) if name]
    if len(close) != len(texts) or not close or len(texts) > _MOST_SHOWN:
        return 'write them in English, like "Sat", "Sunday" or "Mon-Fri"'
    return f"did you mean {', '.join(quoted(name.capitalize()) for name in close)}?"


def clock_time(value: object) -> time:
    """Take a time of day, `hh:mm`."""
    if isinstance(value, str) and re.fullmatch(_CLOCK, value):
        hour, minute = map(int, value.split(":"))
        return time(hour, minute)
    message = f"must be {wanted(CLOCK_TIME)}, not {shown(value)}"
    raise UnfitError(message, 'write it as "hh:mm", in quotes')


def day_of_year(value: object) -> date:
    """Take a TOML local date."""
    if isinstance(value, date) and not isinstance(value, datetime) and value.year in _YEARS:
        return value
    message = f"must be {wanted(DATE)}, not {shown(value)}"
    raise UnfitError(message, "write it without quotes, like 2026-01-31")


def moment(value: object) -> datetime:
    """Take a TOML date-time, or a date for its midnight; naive means local."""
    if isinstance(value, date) and value.year in _YEARS:
        return value if isinstance(value, datetime) else datetime.combine(value, time())
    message = f"must be {wanted(MOMENT)}, not {shown(value)}"
    raise UnfitError(message, "write it without quotes, like 2026-12-18T00:00:00")


def on_calendar(value: object) -> CalendarEvent:
    """Take a calendar event of systemd.time(7)."""
    written = text(value)
    try:
        return decode_event(written)
    except ValueError as error:
        what, _, cure = str(error).partition("; ")
        raise UnfitError(f"{shown(written)}: {what}", cure) from error


def label(value: object) -> str:
    """Take text that will be shown."""
    return harmless(text(value))


def decode_window(item: Item, zone: tzinfo) -> Window | tuple[Fault, ...]:
    """Make a window in `zone`, or say everything that is wrong between its keys."""
    faults = tuple(_window_faults(item))
    if faults or item.written - item.found.keys():
        return faults
    found = {key: value.value for key, value in item.found.items()}
    length = timedelta(minutes=found["length_minutes"])
    if "on_calendar" in found:
        return Evented(event=found["on_calendar"], length=length, zone=zone)
    start = found["start_time"]
    if "days" in found:
        return Weekly(days=found["days"], start=start, length=length, zone=zone)
    first = found.get("start_date", _FIRST)
    try:
        check_rule(found["rrule"], first)
    except ValueError as error:
        return (Fault("rrule", harmless(str(error)), "days only, as in FREQ=MONTHLY;BYDAY=2SU"),)
    return Ruled(rule=found["rrule"], first=first, start=start, length=length, zone=zone)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to say when something is: its key, what it needs (with an example) and may have."""

    key: str
    needs: Mapping[str, str]
    may_have: frozenset[str] = frozenset()

    @property
    def goes_with(self) -> frozenset[str]:
        """Name the keys that go with it, and not with every other way."""
        return self.may_have | self.needs.keys()


_START: Final = {"start_time": '"23:30"'}
WINDOW_WAYS: Final = (
    Way("days", _START),
    Way("rrule", _START, frozenset({"start_date"})),
    Way("on_calendar", {}),
)
WINDOW_NEEDS: Final[Mapping[str, str]] = {"length_minutes": "60"}
BLACKOUT_NEEDS: Final = dict.fromkeys(("start", "end"), "2026-12-18T00:00:00")
"""What each must say, with an example."""


def _of_others(way: Way) -> frozenset[str]:
    return frozenset().union(*(each.goes_with for each in WINDOW_WAYS)) - way.goes_with


def _missing(item: Item, needs: Mapping[str, str]) -> Iterator[Fault]:
    for key, example in needs.items():
        if key not in item.written:
            yield Fault("", f"has no {key}", f"add {key} = {example}")


def _window_faults(item: Item) -> Iterator[Fault]:
    ways = [way for way in WINDOW_WAYS if way.key in item.written]
    if not ways:
        cure = 'add days = ["Sat"], an rrule or on_calendar'
        yield Fault("", "has neither days nor rrule nor on_calendar", cure)
    needs = [way.needs for way in ways] or [_START]
    yield from _missing(item, {**(needs[0] if len(needs) == 1 else {}), **WINDOW_NEEDS})
    for way in ways[1:]:
        yield Fault(way.key, f"stands beside {ways[0].key}", "keep one of them")
    if len(ways) == 1:
        for key in sorted(_of_others(ways[0]) & item.written):
            users = " or ".join(way.key for way in WINDOW_WAYS if key in way.goes_with)
            what = f"has no meaning beside {ways[0].key}"
            yield Fault(key, what, f"remove it, or use {users}")


def decode_blackout(item: Item, zone: tzinfo) -> Blackout | tuple[Fault, ...]:
    """Make a blackout, naive times being local in `zone`, or say what is wrong with it."""
    faults = tuple(_missing(item, BLACKOUT_NEEDS))
    if faults or item.written - item.found.keys():
        return faults
    found = {key: value.value for key, value in item.found.items()}
    start, end = found["start"], found["end"]
    if _instant(start, zone) >= _instant(end, zone):
        return (Fault("end", "is not after start", "end is exclusive and must be later"),)
    if (start.tzinfo is None) != (end.tzinfo is None):  # the core wants both of a kind
        start, end = (
            at.astimezone(zone).replace(tzinfo=None) if at.tzinfo else at for at in (start, end)
        )
    rule = found.get("rrule", "")
    try:
        if "rrule" in found:
            check_blackout_rule(rule, start, end)
    except ValueError as error:
        return (Fault("rrule", harmless(str(error)), "RFC 5545, as in FREQ=YEARLY"),)
    name = found.get("name", "blackout")
    return Blackout(name=name, start=start, end=end, zone=zone, rule=rule)


def _instant(at: datetime, zone: tzinfo) -> datetime:
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
