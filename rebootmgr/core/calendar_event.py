"""Calendar events of systemd.time(7), as far as they name at most one instant a day.

Weekdays, a date and a time of day: `Sat,Sun *-*-* 01:30`, `Mon *-*~07/1 03:00`. Their own zone, and
times that come more than once a day, are refused here, with what to write instead.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time
from typing import Final

from rebootmgr.text import harmless, nearest

LONGEST_EVENT: Final = 500  # characters
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS: Final = {word: number for number, name in enumerate(_DAYS) for word in (name, name[:3])}
_SHORTHANDS: Final = {
    "daily": "*-*-* 00:00",
    "weekly": "Mon *-*-* 00:00",
    "monthly": "*-*-01 00:00",
    "quarterly": "*-01,04,07,10-01 00:00",
    "semiannually": "*-01,07-01 00:00",
    "semi-annually": "*-01,07-01 00:00",
    "biannually": "*-01,07-01 00:00",
    "bi-annually": "*-01,07-01 00:00",
    "annually": "*-01-01 00:00",
    "yearly": "*-01-01 00:00",
    "anually": "*-01-01 00:00",
}
_DATE: Final = re.compile(r"(?:([^-~]+)-)?([^-~]+)([-~])([^-~]+)")
_PART: Final = re.compile(r"([0-9]{1,4})(?:\.\.([0-9]{1,4}))?(?:/([0-9]{1,4}))?")
_TIME: Final = re.compile(r"([0-9]{1,2}):([0-9]{1,2})(?::([0-9]{1,2}))?")
_YEARS: Final = (1970, 2199)
_SAFE_FROM_END: Final = 28  # every month has so many days, and systemd has oddities beyond
_TO_THE_END: Final = 99
_FORM: Final = 'write it as "Sat,Sun *-*-* 01:30"'


@dataclass(frozen=True, slots=True)
class Part:
    """Values from `first` on in steps, none beyond `last`."""

    first: int
    last: int
    step: int = 1

    @property
    def greatest(self) -> int:
        """Give the last of them."""
        return self.last - (self.last - self.first) % self.step

    def has(self, value: int) -> bool:
        """Whether the value is one of them."""
        return self.first <= value <= self.last and not (value - self.first) % self.step


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarEvent:
    """Days, and the local time of day; no parts are any. `from_end`: days count from the last."""

    weekdays: frozenset[int]
    years: tuple[Part, ...]
    months: tuple[Part, ...]
    days: tuple[Part, ...]
    from_end: bool
    start: time

    def is_on(self, day: date) -> bool:
        """Whether it is on this day."""
        if day.weekday() not in self.weekdays:
            return False
        length = monthrange(day.year, day.month)[1]
        parts = (
            (self.years, day.year),
            (self.months, day.month),
            (_turned(self.days, length) if self.from_end else self.days, day.day),
        )
        return all(not some or any(each.has(value) for each in some) for some, value in parts)

    def within(self, low: int, high: int) -> Iterator[date]:
        """Its days within ordinals [low, high), in order."""
        return filter(self.is_on, map(date.fromordinal, range(low, high)))


def _turned(days: tuple[Part, ...], length: int) -> tuple[Part, ...]:
    """Count days of a month from its begin that were counted from its end.

    As systemd has it, steps without an end go forward in time: `~07/1` is the last seven days.
    """
    return tuple(
        Part(length + 1 - each.first, length, each.step)
        if each.last == _TO_THE_END
        else Part(length + 1 - each.greatest, length + 1 - each.first, each.step)
        for each in days
    )


def decode_event(text: str) -> CalendarEvent:
    """Read an event; ValueError with a sentence to act on, `; ` before the cure."""
    if len(text) > LONGEST_EVENT or not text.isascii():
        raise ValueError(f"is no calendar event of systemd.time(7); {_FORM}")
    written = _SHORTHANDS.get(text.lower(), text)
    if written.lower() in {"minutely", "hourly"}:
        raise ValueError(f"comes more than once a day; {_FORM}")
    words = re.sub(r"(?<=[A-Za-z]),? +", " ", written).split()
    weekdays = frozenset(range(7))
    if words and words[0][0].isalpha():
        weekdays = _weekdays(words.pop(0))
    years: tuple[Part, ...] = ()
    months, days, from_end = years, years, False
    if words and ":" not in words[0]:
        years, months, days, from_end = _date(words.pop(0))
    start = _time(words.pop(0)) if words else time()
    if words:
        zone = harmless(words[0], longest=60)
        raise ValueError(f'has "{zone}" behind its time; write time_zone = "{zone}" instead')
    if not written.strip():
        raise ValueError(f"is empty; {_FORM}")
    return CalendarEvent(
        weekdays=weekdays, years=years, months=months, days=days, from_end=from_end, start=start
    )


def _weekdays(text: str) -> frozenset[int]:
    found: set[int] = set()
    for item in text.removesuffix(",").split(","):
        numbers = [_day(name) for name in re.split(r"\.\.|-", item, maxsplit=1)]
        if numbers[0] > numbers[-1]:
            cure = "name two ranges, as in Sat..Sun,Mon"
            raise ValueError(f'has the range "{harmless(item)}" over the end of a week; {cure}')
        found.update(range(numbers[0], numbers[-1] + 1))
    return frozenset(found)


def _day(name: str) -> int:
    if name.lower() not in _NUMBERS:
        close = nearest(name, _NUMBERS)
        cure = f'did you mean "{close.capitalize()}"?' if close else _FORM
        raise ValueError(f'"{harmless(name, longest=60)}" is no day of the week; {cure}')
    return _NUMBERS[name.lower()]


def _date(text: str) -> tuple[tuple[Part, ...], tuple[Part, ...], tuple[Part, ...], bool]:
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(f'"{harmless(text, longest=60)}" is no date; write it as in *-*-01')
    from_end = found[3] == "~"
    years = _parts(found[1] or "*", "a year", _YEARS)
    months = _parts(found[2], "a month", (1, 12))
    most = _SAFE_FROM_END if from_end else 31
    days = _parts(found[4], "a day counted from the end" if from_end else "a day", (1, most))
    if from_end:
        if not days:
            raise ValueError("has no day behind the ~; write one, as in *-*~01 for the last day")
        to_the_end = re.compile(r"[0-9]+/[0-9]+")
        items = found[4].split(",")
        days = tuple(
            Part(each.first, _TO_THE_END, each.step) if to_the_end.fullmatch(item) else each
            for each, item in zip(days, items, strict=True)
        )
    return years, months, days, from_end


def _parts(text: str, what: str, bounds: tuple[int, int]) -> tuple[Part, ...]:
    if text == "*":
        return ()
    return tuple(_part(item, what, bounds) for item in text.split(","))


def _part(item: str, what: str, bounds: tuple[int, int]) -> Part:
    low, high = bounds
    found = _PART.fullmatch(item)
    if found is None:
        shown = harmless(item, longest=60)
        raise ValueError(f'"{shown}" is not {what}; write *, 1, 1,15, 1..7 or 1/2')
    first, step = _century(int(found[1]), bounds), int(found[3] or 1)
    last = _century(int(found[2]), bounds) if found[2] else high if found[3] else first
    if not low <= first <= last <= high or not step:
        raise ValueError(f'"{item}" is not {what}; write {low} to {high}, the smaller one first')
    return Part(first, last, step)


def _century(number: int, bounds: tuple[int, int]) -> int:
    """Give a year of two digits its century, as systemd does."""
    if bounds != _YEARS or number > 99:
        return number
    return number + (2000 if number < 70 else 1900)


def _time(text: str) -> time:
    found = _TIME.fullmatch(text)
    if found is None:
        is_many = re.fullmatch(r"[0-9*,./:]+", text)
        what = "comes more than once a day" if is_many else "has no time of day that can be read"
        raise ValueError(f"{what}; write one hour and minute, as in 01:30")
    hour, minute, second = (int(each or 0) for each in found.groups())
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f'"{text}" is no time of day; write 00:00 to 23:59')
    return time(hour, minute, second)
