"""Recurrence rules of RFC 5545 §3.3.10, as far as they name days.

dateutil expands them. What it gets wrong is refused here, with what to write instead: BYWEEKNO (at
the turn of a year), numbered beside plain days (it finds none), BYSETPOS in a week (it counts from
DTSTART). And it searches until the year 9999 for a rule that matches nothing.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import takewhile
from typing import Final

from rebootmgr.text import harmless

_WEEKDAY: Final = "(MO|TU|WE|TH|FR|SA|SU)"
_TO_31: Final = "[+-]?0?([1-9]|[12][0-9]|3[01])"
_TO_366: Final = "[+-]?0{0,2}([1-9][0-9]?|[12][0-9]{2}|3[0-5][0-9]|36[0-6])"
_SINGLE: Final = {
    "FREQ": ("DAILY|WEEKLY|MONTHLY|YEARLY", "DAILY, WEEKLY, MONTHLY or YEARLY"),
    "INTERVAL": ("[1-9][0-9]{0,2}", "a number from 1 to 999"),
    "UNTIL": ("[0-9]{8}", "the last day, as UNTIL=20261231"),
    "WKST": (_WEEKDAY, "a day such as MO"),
}
_LISTS: Final = {
    "BYMONTH": ("0?[1-9]|1[0-2]", "numbers from 1 to 12"),
    "BYMONTHDAY": (_TO_31, "days from 1 to 31, or backwards from -1 to -31"),
    "BYYEARDAY": (_TO_366, "days from 1 to 366, or backwards from -1 to -366"),
    "BYDAY": (f"([+-]?[1-9][0-9]?)?{_WEEKDAY}", "days such as SU, 2SU or -1FR"),
    "BYSETPOS": (_TO_366, "numbers from 1 to 366, or backwards from -1 to -366"),
}
_VALUES: Final = _SINGLE | {
    name: (f"({item})(,({item})){{0,30}}", f"{what} (31 at most)")
    for name, (item, what) in _LISTS.items()
}
_NOT_DAYS: Final = {"COUNT", "BYHOUR", "BYMINUTE", "BYSECOND"}
_LONGEST_RULE: Final = 500  # characters
_LONGEST_REPEATING: Final = timedelta(days=366)
_RAREST: Final = 40  # years: 29 February on a given weekday, across 2100


def check_rule(rule: str, first: date) -> None:
    """Raise ValueError, with a sentence to act on, unless the rule names days from `first` on."""
    parts = _parts(rule)
    until = _until(parts)
    if until < first:
        raise ValueError(f"the rule ends on {until}, before it begins on {first}")
    late = first.replace(year=_late_year(first.year))
    waited = next(_search(parts, late, late), date.max) - late
    if waited.days > _RAREST * 365.25:
        raise ValueError(f"the rule matches no day in the {_RAREST} years from {first} on")
    if waited > until - first:
        raise ValueError(f"the rule matches no day from {first} to {until}")


def check_blackout_rule(rule: str, start: datetime, end: datetime) -> None:
    """Raise ValueError unless the rule can repeat the blackout [start, end)."""
    check_rule(rule, start.date())
    if end - start > _LONGEST_REPEATING:
        raise ValueError("a blackout that repeats lasts 366 days at most; leave out the rule")


def days(rule: str, first: date, low: int, high: int) -> Iterator[date]:
    """Days of a checked rule from `first` (its DTSTART) on, in order, within ordinals [low, high).

    `first` is none of them unless the rule matches it.
    """
    parts = _parts(rule)
    low = max(low, first.toordinal())
    high = min(high, _until(parts).toordinal() + 1)
    if low < high:
        found = _search(parts, first, date.fromordinal(low))
        yield from takewhile(lambda day: day.toordinal() < high, found)


def _search(parts: dict[str, str], first: date, low: date) -> Iterator[date]:
    """Days from `low` on, whatever UNTIL; for want of one, goes on until the year 9999."""
    from dateutil.rrule import rrulestr  # noqa: PLC0415 - half a megabyte that few need

    # dateutil walks from its start, so begin near `low` where that is exact.
    step = {"DAILY": 1, "WEEKLY": 7}.get(parts["FREQ"], 0) * int(parts.get("INTERVAL", "1"))
    start = first + timedelta((low - first).days // step * step) if step else first
    text = ";".join(f"{name}={value}" for name, value in parts.items() if name != "UNTIL")
    try:
        for found in rrulestr(text, dtstart=datetime.combine(start, time())):
            if found.date() >= low:
                yield found.date()
    except ValueError:  # a week that would end after the year 9999
        return


def _late_year(year: int) -> int:
    """Find the last year from which 40 years are as they are from `year`, day by day.

    A search from there is exact, and soon over. All repeats every 400 years, and every 28 as long
    as each fourth year is a leap year.
    """

    def january(begin: int) -> list[int]:
        return [date(each, 1, 1).weekday() for each in range(begin, begin + _RAREST + 2)]

    wanted = january(2000 + year % 400)
    last = date.max.year - _RAREST - 1
    return next(each for each in range(last, last - 400, -1) if january(each) == wanted)


def _parts(rule: str) -> dict[str, str]:
    if len(rule) > _LONGEST_RULE:
        raise ValueError(f"the rule is longer than {_LONGEST_RULE} characters")
    parts: dict[str, str] = {}
    for part in rule.upper().split(";"):
        name, _, value = part.partition("=")
        if name.startswith(("DTSTART", "RRULE:")):
            raise ValueError("write only the rule (FREQ=…); start_date gives its DTSTART")
        if name in _NOT_DAYS:
            raise ValueError(f"{name} cannot be used: the rule names days, for ever or UNTIL a day")
        if name == "BYWEEKNO":
            raise ValueError("BYWEEKNO cannot be used; write as FREQ=YEARLY;BYMONTH=5;BYDAY=2MO")
        if not value or name not in _VALUES:
            shown = harmless(name, longest=40)
            raise ValueError(f"{shown!r} is no part of a rule; known are {', '.join(_VALUES)}")
        if name in parts:
            raise ValueError(f"{name} is given twice")
        pattern, takes = _VALUES[name]
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{name} takes {takes}, not {harmless(value, longest=40)!r}")
        parts[name] = value
    _check_together(parts)
    return parts


def _check_together(parts: dict[str, str]) -> None:
    frequency = parts.get("FREQ")
    if frequency is None:
        raise ValueError("the rule needs a FREQ, as FREQ=WEEKLY")
    if "BYYEARDAY" in parts and frequency != "YEARLY":
        raise ValueError("BYYEARDAY goes with FREQ=YEARLY only")
    if "BYMONTHDAY" in parts and frequency == "WEEKLY":
        raise ValueError("BYMONTHDAY does not go with FREQ=WEEKLY; use FREQ=DAILY")
    if "BYSETPOS" in parts:
        if frequency in {"DAILY", "WEEKLY"}:
            raise ValueError("BYSETPOS goes with FREQ=MONTHLY or YEARLY only; name days in BYDAY")
        if not any(name in parts for name in _LISTS if name != "BYSETPOS"):
            raise ValueError("BYSETPOS needs another BY… part to choose from")
    found = [int(item[:-2]) for item in parts.get("BYDAY", "").split(",") if item[:-2]]
    if found and frequency in {"DAILY", "WEEKLY"}:
        raise ValueError("numbered days in BYDAY (as 2SU) go with FREQ=MONTHLY or YEARLY only")
    if found and len(found) <= parts["BYDAY"].count(","):
        raise ValueError("BYDAY cannot mix plain and numbered days: make two entries of it")
    most, span = (5, "month") if frequency == "MONTHLY" or "BYMONTH" in parts else (53, "year")
    if any(abs(number) > most for number in found):
        raise ValueError(f"numbered days in BYDAY go up to {most} in a {span}")


def _until(parts: dict[str, str]) -> date:
    if "UNTIL" not in parts:
        return date.max
    try:
        return date.fromisoformat(parts["UNTIL"])
    except ValueError as error:
        raise ValueError(f"UNTIL takes the last day, and {parts['UNTIL']} is none") from error
