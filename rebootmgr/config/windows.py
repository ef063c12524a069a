"""Windows and blackouts: the rules for their keys, and their way into the core (SPEC 3, 5)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final

from rebootmgr.config.values import UnfitError, quoted, shown, text
from rebootmgr.core.window import Blackout, Ruled, Weekly, check_blackout_rule, check_rule
from rebootmgr.text import harmless, nearest

_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS: Final = {word: number for number, name in enumerate(_DAYS) for word in (name, name[:3])}
_MOST_SHOWN: Final = 7
_FIRST: Final = date(2000, 1, 3)
_YEARS: Final = range(1970, 3000)


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
    parts = re.fullmatch(r"([0-9]{1,2}):([0-9]{1,2})", value) if isinstance(value, str) else None
    if parts and int(parts[1]) < 24 and int(parts[2]) < 60:
        return time(int(parts[1]), int(parts[2]))
    message = f"must be a time of day from 00:00 to 23:59, not {shown(value)}"
    raise UnfitError(message, 'write it as "hh:mm", in quotes')


def day_of_year(value: object) -> date:
    """Take a TOML local date."""
    if isinstance(value, date) and not isinstance(value, datetime) and value.year in _YEARS:
        return value
    message = f"must be a date from 1970 to 2999, not {shown(value)}"
    raise UnfitError(message, "write it without quotes, like 2026-01-31")


def moment(value: object) -> datetime:
    """Take a TOML date-time, or a date for its midnight; naive means local."""
    if isinstance(value, date) and value.year in _YEARS:
        return value if isinstance(value, datetime) else datetime.combine(value, time())
    message = f"must be a date or a date with time from 1970 to 2999, not {shown(value)}"
    raise UnfitError(message, "write it without quotes, like 2026-12-18T00:00:00")


def label(value: object) -> str:
    """Take text that will be shown."""
    return harmless(text(value))


def decode_window(item: Item, zone: tzinfo) -> Weekly | Ruled | tuple[Fault, ...]:
    """Make a window in `zone`, or say everything that is wrong between its keys."""
    faults = tuple(_window_faults(item))
    if faults or item.written - item.found.keys():
        return faults
    found = {key: value.value for key, value in item.found.items()}
    start, length = found["start_time"], timedelta(minutes=found["length_minutes"])
    if "days" in found:
        return Weekly(days=found["days"], start=start, length=length, zone=zone)
    first = found.get("start_date", _FIRST)
    try:
        check_rule(found["rrule"], first)
    except ValueError as error:
        return (Fault("rrule", harmless(str(error)), "days only, as in FREQ=MONTHLY;BYDAY=2SU"),)
    return Ruled(rule=found["rrule"], first=first, start=start, length=length, zone=zone)


def _window_faults(item: Item) -> Iterator[Fault]:
    for key, example in (("start_time", '"23:30"'), ("length_minutes", "60")):
        if key not in item.written:
            yield Fault("", f"has no {key}", f"add {key} = {example}")
    match "days" in item.written, "rrule" in item.written:
        case True, True:
            yield Fault("rrule", "stands beside days", "keep one of them")
        case False, False:
            yield Fault("", "has neither days nor rrule", 'add days = ["Sat"], or an rrule')
        case True, False if "start_date" in item.written:
            yield Fault("start_date", "has no meaning beside days", "remove it, or use rrule")
        case _:
            pass


def decode_blackout(item: Item, zone: tzinfo) -> Blackout | tuple[Fault, ...]:
    """Make a blackout, naive times being local in `zone`, or say what is wrong with it."""
    faults = tuple(
        Fault("", f"has no {key}", f"add {key} = 2026-12-18T00:00:00")
        for key in ("start", "end")
        if key not in item.written
    )
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
